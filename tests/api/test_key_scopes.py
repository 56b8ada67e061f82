"""What an API key may do: only what it was made for."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from app.auth.models import PERMISSIONS
from app.elastic.indices import API_KEYS
from app.http.routing import Route
from app.main import ROUTES
from tests.api.conftest import OpenClient
from tests.api.paths import body_of, each, filled
from tests.client import Client
from tests.promises import proves

NEEDS_NOTHING = {"/me", "/auth/me"}


async def limited(client: Client, open_client: OpenClient, *scopes: str) -> Client:
    """A client by a key of these scopes."""
    key = await client.data("POST", "/api-keys", status=201, json={"name": "limited", "scopes": list(scopes)})
    assert set(key["scopes"]) == set(scopes)
    limited = await open_client(client)
    limited.use(key["api_key"])
    return limited


def test_every_route_says_what_a_key_needs() -> None:
    for route in ROUTES:
        if route.public or route.path in NEEDS_NOTHING:
            assert route.needs is None
        elif route.path.startswith(("/api-keys", "/webhooks", "/memory/user", "/audit")):
            assert route.needs == "admin"
        elif route.method == "GET" or route.path == "/memory/search":
            assert route.needs == "memory:read"
        else:
            assert route.needs == "memory:write"


@each(lambda route: route.needs is not None)
@proves("auth.key-scopes")
async def test_a_key_without_the_scope_is_refused_before_anything_is_looked_at(
    organisation: Client, open_client: OpenClient, route: Route
) -> None:
    others = [permission for permission in PERMISSIONS if permission != route.needs]
    client = await limited(organisation, open_client, *others)
    unknown = str(uuid.uuid4())
    body = body_of(route, unknown)
    await client.error(route.method, filled(route, unknown), 403, "INSUFFICIENT_SCOPE", json=body)


@each(lambda route: route.needs is not None)
async def test_a_key_with_that_scope_alone_is_let_through(
    organisation: Client, open_client: OpenClient, route: Route
) -> None:
    client = await limited(organisation, open_client, str(route.needs))
    unknown = str(uuid.uuid4())
    answer = await client.send(route.method, filled(route, unknown), json=body_of(route, unknown))
    assert answer.status_code != 403, answer.text


async def test_a_key_made_without_saying_may_do_what_its_maker_may(
    organisation: Client, open_client: OpenClient
) -> None:
    assert (await organisation.data("POST", "/api-keys", status=201, json={"name": "all"}))["scopes"] == [*PERMISSIONS]
    admin = await limited(organisation, open_client, "admin")
    made = await admin.data("POST", "/api-keys", status=201, json={"name": "as its maker"})
    assert made["scopes"] == ["admin"]
    shown = await organisation.data("GET", "/api-keys")
    assert {key["name"]: key["scopes"] for key in shown["keys"]}["as its maker"] == ["admin"]


async def test_no_key_widens_itself(organisation: Client, open_client: OpenClient) -> None:
    admin = await limited(organisation, open_client, "admin")
    wider = {"name": "wider", "scopes": ["admin", "memory:read"]}
    await admin.error("POST", "/api-keys", 403, "INSUFFICIENT_SCOPE", json=wider)
    assert "wider" not in (await organisation.send("GET", "/api-keys")).text


@pytest.mark.parametrize("scopes", [[], ["memory"], ["admin", "root"], "admin", [None]])
async def test_scopes_that_are_none_are_refused(organisation: Client, scopes: Any) -> None:
    await organisation.error("POST", "/api-keys", 422, json={"name": "x", "scopes": scopes})


async def test_a_key_from_before_there_were_scopes_may_do_everything(
    organisation: Client, open_client: OpenClient, worker_container: Any
) -> None:
    key = await organisation.data("POST", "/api-keys", status=201, json={"name": "old", "scopes": ["admin"]})
    core = worker_container.core
    index = API_KEYS.alias(core.settings.index_prefix)
    await core.es.update(index=index, id=key["id"], script={"source": "ctx._source.remove('scopes')"}, refresh=True)
    old = await open_client(organisation)
    old.use(key["api_key"])
    await old.store("as before")
    assert await old.contents("before") == ["as before"]
    shown = await old.data("GET", "/api-keys")
    assert {each["name"]: each["scopes"] for each in shown["keys"]}["old"] == [*PERMISSIONS]
