"""Calls of the REST API, with or without asyncio; what fails for a moment is tried again where that is safe."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Self

import httpx
import orjson
import stamina

from app.client.errors import ApiError

TIMEOUT_S = 30.0
_TRIES = 4
_WITHIN_S = 20.0
_LATER = frozenset({429, 503})
_KEYED = frozenset({"/memory", "/memory/batch", "/sessions"})
"""Where a POST takes an idempotency key; so do checkpoints."""


def _again(error: Exception) -> bool | float:
    """Whether to try again, and when the server has said after how many seconds."""
    if not isinstance(error, ApiError) or error.status not in {0, *_LATER}:
        return False
    return True if error.retry_after_s is None else error.retry_after_s


def _request(method: str, path: str, body: Any, query: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """The request as httpx takes it, and whether it may be sent twice."""
    headers = {"Accept": "application/json"}
    request: dict[str, Any] = {"method": method, "url": path.lstrip("/"), "headers": headers}
    if query is not None:
        request["params"] = {name: value for name, value in query.items() if value is not None}
    if body is not None:
        headers["Content-Type"] = "application/json"
        request["content"] = orjson.dumps(body)
    keyed = method == "POST" and (path in _KEYED or path.endswith("/checkpoint"))
    if keyed:
        headers["Idempotency-Key"] = uuid.uuid4().hex
    reads = method == "GET" or path == "/memory/search"
    return request, keyed or reads or method == "DELETE"


def _data(answer: httpx.Response) -> Any:
    """`data` of a success. Raises ApiError."""
    try:
        envelope = orjson.loads(answer.content)
        if answer.is_success:
            return envelope["data"]
        error = envelope["error"]
        message, code = str(error["message"]), str(error["code"])
        details = error.get("details") or {}
        problems = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in details.get("errors", [])]
    except (ValueError, KeyError, TypeError):
        raise ApiError(
            f"{answer.url} answered {answer.status_code}, and not as a Remembr server does.", status=answer.status_code
        ) from None
    after = answer.headers.get("Retry-After", "")
    raise ApiError(
        " ".join([message, *problems]),
        status=answer.status_code,
        code=code,
        retry_after_s=float(after) if after.isdigit() else None,
    )


def _unreached(base_url: str, error: Exception) -> ApiError:
    return ApiError(f"No Remembr server answers at {base_url}: {error or type(error).__name__}")


def _options(base_url: str, credential: str, timeout_s: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {credential}"}
    return {"base_url": base_url.rstrip("/") + "/", "headers": headers, "timeout": timeout_s}


class Remembr:
    """A server as one caller sees it. base_url: with /api/v1. credential: an API key, or an access token."""

    def __init__(self, base_url: str, credential: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.base_url = base_url
        self._http = httpx.Client(**_options(base_url, credential, timeout_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def call(self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """`data` of the answer. query: without those that are None. Raises ApiError."""
        request, twice = _request(method, path, body, query)
        for attempt in stamina.retry_context(on=_again, attempts=_TRIES if twice else 1, timeout=_WITHIN_S):
            with attempt:
                try:
                    answer = self._http.request(**request)
                except httpx.TransportError as error:
                    raise _unreached(self.base_url, error) from error
                return _data(answer)
        raise AssertionError("there is at least one try")


class AsyncRemembr:
    """`Remembr` for asyncio."""

    def __init__(self, base_url: str, credential: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.base_url = base_url
        self._http = httpx.AsyncClient(**_options(base_url, credential, timeout_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def call(self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """`data` of the answer. query: without those that are None. Raises ApiError."""
        request, twice = _request(method, path, body, query)
        async for attempt in stamina.retry_context(on=_again, attempts=_TRIES if twice else 1, timeout=_WITHIN_S):
            with attempt:
                try:
                    answer = await self._http.request(**request)
                except httpx.TransportError as error:
                    raise _unreached(self.base_url, error) from error
                return _data(answer)
        raise AssertionError("there is at least one try")
