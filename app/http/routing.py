"""Routes as data: method, path, models and handler in one declaration.

A handler gets a `Call` with its body and query already validated and answers with an object that
orjson writes. The same declaration is what documents the API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.auth.models import Identity, Permission
from app.container import Container
from app.elastic.scope import Scope
from app.errors import AuthenticationError, NotFound, RemembrError
from app.http.origins import origin_of
from app.http.requests import CONTAINER, IDENTITY, REQUEST_ID, idempotency_key, read_body, read_query
from app.http.responses import success
from app.idempotency.models import Answered, Creation, fingerprint_of
from app.types import Id

JSON = "application/json"


class Nothing(BaseModel):
    """The body or query of a route that takes none."""


B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)

_ID: TypeAdapter[str] = TypeAdapter(Id)


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """One request, as a handler needs it."""

    request: web.Request
    body: B
    query: Q
    answered: Answered = field(default_factory=Answered)

    @property
    def container(self) -> Container:
        """Services and settings."""
        return self.request.app[CONTAINER]

    @property
    def request_id(self) -> str:
        """The id that the answer, its header and every log line carry."""
        return self.request[REQUEST_ID]

    @property
    def identity(self) -> Identity:
        """Who is asking. Raises AuthenticationError on a route that was declared public."""
        if IDENTITY not in self.request:
            raise AuthenticationError("This needs an access token or an API key.")
        return self.request[IDENTITY]

    @property
    def scope(self) -> Scope:
        """What the caller may read and write."""
        return self.identity.scope

    def creation(self, session_id: str | None = None) -> Creation:
        """What this create is to be known by: see `Creation`. session_id: the session it is for, if any.

        Raises ValidationFailed when the idempotency key can't be one.
        """
        key = idempotency_key(self.request)
        if key is None:
            return Creation(self.scope, ())
        resource = self.request.match_info.route.resource
        subject = (self.request.method, resource.canonical if resource else "", session_id or "")
        return Creation(self.scope, subject, key, fingerprint_of(self.body))

    def path_id(self, name: str, code: str) -> str:
        """A UUID of the path. Raises NotFound with `code` when it is none: such a thing can't exist."""
        try:
            return _ID.validate_python(self.request.match_info[name])
        except ValidationError:
            raise NotFound(f"There is no such {name.removesuffix('_id')}.", code=code) from None


def _is_id(text: str) -> bool:
    try:
        _ID.validate_python(text)
    except ValidationError:
        return False
    return True


Handler = Callable[[Call[B, Q]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route.

    answer: what `data` of a success holds. keyed: takes an idempotency key. errors: those that can't be
    told from the rest of the declaration. sends: type of the request body. gives: types of a success
    that is a file instead of an envelope. needs: what a key must be allowed to. audit: the action's
    name in the audit log, where it is kept.
    """

    method: str
    path: str
    handler: Callable[[Call[Any, Any]], Awaitable[Any]]
    body: type[BaseModel]
    query: type[BaseModel]
    answer: Any
    status: int
    public: bool
    keyed: bool = False
    errors: tuple[type[RemembrError], ...] = ()
    sends: str = JSON
    gives: tuple[str, ...] = ()
    needs: Permission | None = None
    audit: str | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer the request; where the route is audited, not without an entry."""
        if self.audit is None:
            return (await self._answer(request))[0]
        audit, targets = request.app[CONTAINER].audit, [text for text in request.match_info.values() if _is_id(text)]
        begun = await audit.begin(request[IDENTITY], self.audit, origin_of(request), targets)
        try:
            response, result = await self._answer(request)
        except BaseException as error:
            audit.end(begun, error.status if isinstance(error, RemembrError) else RemembrError.status)
            raise
        made = getattr(result, "id", None)
        audit.end(begun, response.status, [made] if isinstance(made, str) and made not in targets else [])
        return response

    async def _answer(self, request: web.Request) -> tuple[web.StreamResponse, object]:
        """Check what the caller may do, validate, call the handler, wrap its answer."""
        if self.needs is not None:
            request[IDENTITY].require(self.needs)
        query = read_query(request, self.query)
        # What isn't JSON is read by the handler, piece by piece.
        body = await read_body(request, self.body) if self.sends == JSON else self.body()
        call = Call(request, body, query)
        result = await self.handler(call)
        if isinstance(result, web.StreamResponse):
            return result, None
        response = success(result, request[REQUEST_ID], self.status)
        if call.answered.replayed:
            response.headers["X-Idempotent-Replay"] = "true"
        if call.answered.reused:
            response.headers["X-Idempotency-Key-Reused"] = "true"
        return response, result


@dataclass(frozen=True, slots=True)
class BareRoute:
    """A public GET that answers without the envelope. answers: by status; a `str` is a media type."""

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    answers: Mapping[int, Any]


@dataclass(slots=True)
class Routes:
    """The routes of one slice. needs: of all of them; None leaves it to the method, GET reads and all else writes."""

    needs: Permission | None = None
    all: list[Route] = field(default_factory=list)

    def add(
        self,
        method: str,
        path: str,
        *,
        answer: Any,
        body: type[B] = Nothing,  # type: ignore[assignment]
        query: type[Q] = Nothing,  # type: ignore[assignment]
        status: int = 200,
        public: bool = False,
        keyed: bool = False,
        errors: tuple[type[RemembrError], ...] = (),
        sends: str = JSON,
        gives: tuple[str, ...] = (),
        needs: Permission | Literal["nothing"] | None = None,
        audit: str | None = None,
    ) -> Callable[[Handler[B, Q]], Handler[B, Q]]:
        """Declare a route, as `Route` describes it; the decorated coroutine handles it.

        needs: instead of what follows from the slice or the method; `nothing` more than being known.
        """
        wanted = needs or self.needs or ("memory:read" if method == "GET" else "memory:write")
        required = None if public or wanted == "nothing" else wanted

        def register(handler: Handler[B, Q]) -> Handler[B, Q]:
            route = Route(
                method, path, handler, body, query, answer, status, public, keyed, errors, sends, gives, required, audit
            )
            self.all.append(route)
            return handler

        return register
