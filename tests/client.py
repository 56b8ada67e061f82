"""The HTTP client of the tests: what a user's client sends, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests import coverage, documented

TIMEOUT_S = 30.0
USER_AGENT = "remembr-tests"


class Client:
    """Sends requests as one caller. `org_id` and `user_id` are set once it has registered."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.org_id = ""
        self.user_id = ""
        self.tokens: dict[str, Any] = {}

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request. Fails the test on an answer that isn't as the OpenAPI document says."""
        response = await self.http.request(method, path, **options)
        documented.check(response)
        return response

    async def data(self, method: str, path: str, *, status: int = 200, **options: Any) -> Any:
        """`data` of a success; fails the test on another status or shape."""
        response = await self.send(method, path, **options)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:500]}"
        body = response.json()
        assert body["success"] is True
        assert body["request_id"] == response.headers["X-Request-ID"]
        return body["data"]

    async def error(self, method: str, path: str, status: int, code: str | None = None, **options: Any) -> Any:
        """`error` of a failure; fails the test on another status or shape. code: of `details`."""
        response = await self.send(method, path, **options)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:500]}"
        error = response.json()["error"]
        assert set(error) == {"code", "message", "details", "request_id"}
        assert error["request_id"] == response.headers["X-Request-ID"]
        if code is not None:
            assert error["details"]["code"] == code
        return error

    async def register(self, email: str, password: str) -> None:
        """Become the owner of a new organisation, by an API key."""
        body = {"email": email, "password": password, "org_name": "Acme"}
        self.tokens = await self.data("POST", "/auth/register", status=201, json=body)
        self.use(self.tokens["access_token"])
        key = await self.data("POST", "/api-keys", status=201, json={"name": "test"})
        self.org_id, self.user_id = key["org_id"], key["user_id"]
        self.use(key["api_key"])

    def use(self, credential: str) -> None:
        """Send this token or key from now on."""
        self.http.headers["Authorization"] = f"Bearer {credential}"

    async def session(self, **metadata: Any) -> str:
        """The id of a new session."""
        created = await self.data("POST", "/sessions", status=201, json={"metadata": metadata})
        return str(created["session_id"])

    async def store(self, content: str, **fields: Any) -> str:
        """The id of a new episode, of role `user` unless said otherwise."""
        stored = await self.data("POST", "/memory", status=201, json={"role": "user", "content": content} | fields)
        return str(stored["episode_id"])

    async def search(self, query: str | None = None, **fields: Any) -> Any:
        """`data` of a search."""
        return await self.data("POST", "/memory/search", json={"query": query} | fields)

    async def contents(self, query: str | None = None, **fields: Any) -> list[str]:
        """Contents of a search's results, in order."""
        return [result["content"] for result in (await self.search(query, **fields))["results"]]


@asynccontextmanager
async def connect(base_url: str) -> AsyncIterator[Client]:
    """A client of the server at `base_url`."""
    headers = {"User-Agent": USER_AGENT}
    hooks = {"response": [coverage.record]}
    async with httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT_S, headers=headers, event_hooks=hooks) as http:
        yield Client(http)
