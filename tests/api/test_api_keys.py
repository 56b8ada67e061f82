"""API keys: what they show, whom they act as, and how they end."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import OpenClient
from tests.client import Client
from tests.promises import proves

REVOCATION_S = 1.0
MARGIN_S = 2.0


async def new_key(client: Client, **fields: Any) -> Any:
    return await client.data("POST", "/api-keys", status=201, json={"name": "a key"} | fields)


async def eventually(status: int, client: Client) -> None:
    """Wait until `/me` answers `status` to this client."""
    deadline = time.monotonic() + REVOCATION_S + MARGIN_S
    while (answer := await client.send("GET", "/me")).status_code != status:
        assert time.monotonic() < deadline, f"still {answer.status_code}"
        await asyncio.sleep(0.05)


@proves("auth.key-secret")
async def test_a_new_key_shows_its_secret_and_all_that_was_asked(organisation: Client) -> None:
    agent, until = str(uuid.uuid4()), "2099-01-01T00:00:00Z"
    key = await new_key(organisation, name=" named ", agent_id=agent, expires_at=until)
    assert key["api_key"].startswith("rk_")
    assert key["api_key"].startswith(key["prefix"])
    assert (key["name"], key["agent_id"], key["expires_at"]) == ("named", agent, until)
    assert (key["org_id"], key["user_id"]) == (organisation.org_id, organisation.user_id)
    assert key["created_at"].endswith("Z")


@proves("envelope.null")
async def test_nulls_are_the_same_as_nothing(organisation: Client) -> None:
    key = await new_key(organisation, agent_id=None, expires_at=None)
    assert (key["agent_id"], key["expires_at"]) == (None, None)


async def test_unknown_fields_are_ignored(organisation: Client) -> None:
    await new_key(organisation, scope="agent", anything={"at": ["all"]})


@proves("auth.key-secret")
async def test_listed_keys_never_show_the_secret(organisation: Client) -> None:
    key = await new_key(organisation)
    response = await organisation.send("GET", "/api-keys")
    assert key["api_key"] not in response.text
    listed = response.json()["data"]
    assert listed["total"] == len(listed["keys"]) == 2
    newest = listed["keys"][0]
    assert newest["id"] == key["id"]
    assert set(newest) >= {
        "id", "name", "prefix", "org_id", "user_id", "agent_id", "last_used_at", "expires_at", "created_at",
        "is_expired",
    }  # fmt: skip
    assert newest["is_expired"] is False


async def test_a_key_with_an_agent_acts_as_that_agent(organisation: Client, open_client: OpenClient) -> None:
    agent = str(uuid.uuid4())
    key = await new_key(organisation, agent_id=agent)
    me = await (await open_client(credential=key["api_key"])).data("GET", "/me")
    assert (me["agent_id"], me["user_id"], me["org_id"]) == (agent, organisation.user_id, organisation.org_id)


@proves("auth.key-revoked")
async def test_a_revoked_key_is_gone_here_at_once_and_on_other_servers_within_a_second(
    organisation: Client, open_client: OpenClient, second_url: str
) -> None:
    key = await new_key(organisation)
    here = await open_client(credential=key["api_key"])
    there = await open_client(url=second_url, credential=key["api_key"])
    await asyncio.gather(here.data("GET", "/me"), there.data("GET", "/me"))
    assert set(await organisation.data("DELETE", f"/api-keys/{key['id']}")) == {"message"}
    await here.error("GET", "/me", 401, "TOKEN_INVALID")
    await eventually(401, there)
    listed = await organisation.data("GET", "/api-keys")
    assert key["id"] not in [item["id"] for item in listed["keys"]]


async def test_a_key_is_revoked_once(organisation: Client) -> None:
    key = await new_key(organisation)
    await organisation.data("DELETE", f"/api-keys/{key['id']}")
    await organisation.error("DELETE", f"/api-keys/{key['id']}", 404, "API_KEY_NOT_FOUND")


async def test_a_key_may_revoke_itself(organisation: Client, open_client: OpenClient) -> None:
    key = await new_key(organisation)
    itself = await open_client(credential=key["api_key"])
    await itself.data("DELETE", f"/api-keys/{key['id']}")
    await itself.error("GET", "/me", 401)


@proves("auth.key-expiry")
async def test_a_key_stops_when_it_expires(organisation: Client, open_client: OpenClient) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    key = await new_key(organisation, expires_at=until.isoformat())
    client = await open_client(credential=key["api_key"])
    await client.data("GET", "/me")
    await eventually(401, client)
    await client.error("GET", "/me", 401, "TOKEN_EXPIRED")
    listed = await organisation.data("GET", "/api-keys")
    assert next(item for item in listed["keys"] if item["id"] == key["id"])["is_expired"] is True


async def test_an_expiry_may_come_in_any_offset(organisation: Client) -> None:
    key = await new_key(organisation, expires_at="2099-01-01T05:30:00+05:30")
    assert key["expires_at"] == "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", " "),
        ("name", "x" * 201),
        ("name", "a\x00b"),
        ("name", 1),
        ("agent_id", "not-a-uuid"),
        ("agent_id", ""),
        ("agent_id", 7),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "yesterday"),
        ("expires_at", "2099-13-01"),
        ("expires_at", 4102444800),
        ("expires_at", {}),
    ],
)
@proves("auth.key-expiry")
async def test_a_bad_key_is_refused_and_not_made(member: Client, field: str, value: object) -> None:
    before = (await member.data("GET", "/api-keys"))["total"]
    error = await member.error("POST", "/api-keys", 422, json={"name": "bad", field: value})
    assert [problem["loc"] for problem in error["details"]["errors"]] == [["body", field]]
    assert (await member.data("GET", "/api-keys"))["total"] == before


async def test_an_agent_cannot_manage_keys(organisation: Client, agent_of: OpenClient) -> None:
    key, agent = await new_key(organisation), await agent_of(organisation)
    for method, path in (("POST", "/api-keys"), ("DELETE", f"/api-keys/{key['id']}")):
        error = await agent.error(method, path, 403, json={"name": "wider"} if method == "POST" else None)
        assert error["code"] == "AUTHORIZATION_ERROR"
    assert (await organisation.data("GET", "/api-keys"))["total"] == 3
