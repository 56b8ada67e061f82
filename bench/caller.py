"""An organisation of its own, registered over the API, and the requests it sends."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from app.elastic.scope import Scope
from bench.load import Request, send

_PASSWORD = "correct-horse-battery-staple"  # noqa: S105 - of a throw-away organisation


@dataclass(frozen=True)
class Caller:
    """headers: its API key. scope: what the service takes it for."""

    headers: dict[str, str]
    scope: Scope

    def call(self, api: str, method: str, path: str, body: object = None) -> Any:
        """`data` of the answer."""
        return _data(send(api, post(path, body, method), self.headers))


def register(api: str) -> Caller:
    """The owner of a new organisation, by an API key."""
    account = {"email": f"{uuid.uuid4().hex}@example.com", "password": _PASSWORD, "org_name": "Bench"}
    tokens = _data(send(api, post("/auth/register", account)))
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    key = _data(send(api, post("/api-keys", {"name": "bench"}), bearer))
    return Caller({"Authorization": f"Bearer {key['api_key']}"}, Scope(key["org_id"], key["user_id"]))


def post(path: str, body: object, method: str = "POST") -> Request:
    return Request(method, path, None if body is None else json.dumps(body).encode())


def _data(answer: bytes) -> Any:
    return json.loads(answer)["data"]
