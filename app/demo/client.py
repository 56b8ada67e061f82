"""A small client of the REST API: one session, time-outs everywhere, patient with a busy server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import orjson
import pydantic
import stamina

from app import __version__

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
ATTEMPTS = 5
RETRY_TIMEOUT_S = 90.0
LONGEST_PAUSE_S = 30.0
PREFIX = "/api/v1"

Answer = TypeVar("Answer", bound=pydantic.BaseModel)


class DemoError(Exception):
    """The demo can't go on. The text is for the person at the terminal: what happened, what to do."""


class _BusyError(Exception):
    """The server answered 429 or 503. pause_s: seconds it asks to wait."""

    def __init__(self, status: int, pause_s: float) -> None:
        super().__init__(status, pause_s)
        self.status = status
        self.pause_s = pause_s


class Client:
    """Calls of the REST API that answer with the validated `data` of the envelope.

    Every call raises DemoError when the server can't be reached, refuses, stays busy (429 and 503
    are asked again after their Retry-After), or answers in a shape that was not expected.
    """

    def __init__(self, http: aiohttp.ClientSession, address: str) -> None:
        self._http = http
        self._address = address
        self._credentials: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, base_url: str) -> AsyncIterator[Client]:
        """A client of the server at base_url, with or without `/api/v1`; closed on leaving."""
        address = base_url.rstrip("/").removesuffix(PREFIX)
        async with aiohttp.ClientSession(
            timeout=REQUEST_TIMEOUT,
            json_serialize=lambda body: orjson.dumps(body).decode(),
            headers={"User-Agent": f"remembr-demo/{__version__}"},
        ) as http:
            yield cls(http, address)

    def authenticate(self, token: str) -> None:
        """Send this access token or API key from now on."""
        self._credentials = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, answer: type[Answer], **params: int) -> Answer:
        """Read."""
        return await self._call("GET", path, answer, params=params)

    async def delete(self, path: str, answer: type[Answer]) -> Answer:
        """Delete; not repeated when the connection breaks, since a second try would be a 404."""
        return await self._call("DELETE", path, answer, repeatable=False)

    async def post(self, path: str, answer: type[Answer], body: Mapping[str, Any]) -> Answer:
        """Post what is not repeated when the connection breaks: registering, making a key."""
        return await self._call("POST", path, answer, body=body, repeatable=False)

    async def search(self, answer: type[Answer], body: Mapping[str, Any]) -> Answer:
        """`POST /memory/search`."""
        return await self._call("POST", "/memory/search", answer, body=body)

    async def create(self, path: str, answer: type[Answer], body: Mapping[str, Any]) -> Answer:
        """Post with an Idempotency-Key, so that a repeat after a broken connection stores nothing twice."""
        return await self._call("POST", path, answer, body=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, int] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        def pause(failure: Exception) -> bool | float:
            if isinstance(failure, _BusyError):
                return failure.pause_s
            return repeatable and isinstance(failure, (aiohttp.ClientConnectionError, TimeoutError))

        what = f"{method} {path}"
        try:
            async for attempt in stamina.retry_context(on=pause, attempts=ATTEMPTS, timeout=RETRY_TIMEOUT_S):
                with attempt:
                    async with self._http.request(
                        method,
                        f"{self._address}{PREFIX}{path}",
                        json=body,
                        params=params,
                        headers={**self._credentials, **(headers or {})},
                    ) as response:
                        payload = await _payload(response, what)
        except _BusyError as busy:
            raise DemoError(
                f"{what} still answers {busy.status} after {ATTEMPTS} tries. "
                f"{self._address}/health/ready says what the server misses; try again when it is back."
            ) from busy
        except (aiohttp.ClientError, TimeoutError) as failure:
            raise DemoError(
                f"{what}: no answer from {self._address} ({failure or type(failure).__name__}). "
                "Start the server, or name the address where it listens."
            ) from failure
        try:
            return answer.model_validate(payload)
        except pydantic.ValidationError as failure:
            raise DemoError(
                f"{what} answers in a shape that this demo doesn't know; are both of one version? {failure}"
            ) from failure


async def _payload(response: aiohttp.ClientResponse, what: str) -> Any:
    """`data` of a good answer. Raises _BusyError for 429 and 503, DemoError for any other refusal."""
    raw = await response.read()
    try:
        envelope = orjson.loads(raw)
        if response.ok:
            return envelope["data"]
        problem = envelope["error"]
        reason = f"{problem['code']}: {problem['message']} (request {problem['request_id']})"
    except (orjson.JSONDecodeError, KeyError, TypeError) as failure:
        if response.ok:
            raise DemoError(f"{what}: what answers at {response.url.origin()} is not this service.") from failure
        reason = f"and no JSON: {' '.join(raw.decode(errors='replace').split())[:120]}"
    if response.status in (429, 503):
        pause_s = _seconds(response.headers.get("Retry-After"))
        if pause_s <= LONGEST_PAUSE_S:
            raise _BusyError(response.status, pause_s)
        reason += f" The server asks to come back in {pause_s:.0f} s."
    raise DemoError(f"{what} was refused with {response.status}, {reason}")


def _seconds(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; 1 where there is none. The service sends no HTTP dates."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 1.0
