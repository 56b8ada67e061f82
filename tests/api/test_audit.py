"""The audit log: who did what, to which ids, when and from where; never what was said."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from app.main import ROUTES
from tests.api.conftest import OpenClient
from tests.client import Client
from tests.conftest import PASSWORD
from tests.processes import eventually
from tests.promises import proves

OpenAgent = Callable[..., Awaitable[Client]]
NOT_AUDITED = {"/auth/refresh", "/auth/logout", "/auth/login", "/auth/register"}
"""By the route; they find out by themselves whom they concern."""


async def entries(client: Client, **params: Any) -> list[Any]:
    return list((await client.data("GET", "/audit", params={"limit": 100} | params))["entries"])


async def ended(client: Client, action: str, count: int = 1) -> list[Any]:
    """Entries of an action, once it is known how they ended: that is noted behind the answer."""
    found: list[Any] = []

    async def known() -> bool:
        found[:] = await entries(client, action=action)
        return len(found) == count and all(entry["status"] for entry in found)

    await eventually(known, 5)
    return found


def test_whatever_looks_after_things_or_takes_them_away_is_audited() -> None:
    for route in ROUTES:
        changes = route.method != "GET" and route.needs == "admin"
        takes_away = route.method == "DELETE" or route.path.endswith(("/restore", "/hard", "/export", "/import"))
        wanted = (changes or takes_away or route.path == "/audit") and route.path not in NOT_AUDITED
        assert (route.audit is not None) == wanted, route.path
    names = [route.audit for route in ROUTES if route.audit]
    assert len(set(names)) == len(names)


@proves("audit.entries")
async def test_an_entry_says_who_did_what_when_and_from_where(organisation: Client) -> None:
    session_id = await organisation.session()
    episode_id = await organisation.store("nobody reads this in a log", session_id=session_id)
    answer = await organisation.send(
        "DELETE", f"/memory/{episode_id}", headers={"User-Agent": "a test", "X-Request-ID": "mine-1"}
    )
    assert answer.status_code == 200
    (entry,) = await ended(organisation, "memory.delete")
    assert entry["targets"] == [episode_id]
    assert entry["status"] == 200
    assert entry["user_id"] == organisation.user_id
    assert entry["credential"].startswith("key:")
    assert (entry["address"], entry["user_agent"], entry["request_id"]) == ("127.0.0.1", "a test", "mine-1")
    assert "nobody reads" not in (await organisation.send("GET", "/audit")).text


async def test_what_was_refused_is_there_too(organisation: Client) -> None:
    unknown = str(uuid.uuid4())
    await organisation.error("DELETE", f"/memory/{unknown}", 404)
    (entry,) = await ended(organisation, "memory.delete")
    assert (entry["targets"], entry["status"]) == ([unknown], 404)


async def test_what_is_no_id_is_not_written_down(organisation: Client) -> None:
    await organisation.error("DELETE", "/memory/my-secret-words", 404)
    (entry,) = await ended(organisation, "memory.delete")
    assert entry["targets"] == []


async def test_what_was_made_is_named(organisation: Client) -> None:
    key = await organisation.data("POST", "/api-keys", status=201, json={"name": "new"})
    assert any(key["id"] in entry["targets"] for entry in await ended(organisation, "api_key.create", 2))
    assert key["api_key"] not in (await organisation.send("GET", "/audit")).text


async def test_logging_in_is_there_with_its_outcome(organisation: Client, anonymous: Client) -> None:
    email = (await organisation.data("GET", "/me"))["email"]
    await anonymous.data("POST", "/auth/login", json={"email": email, "password": PASSWORD})
    await anonymous.error("POST", "/auth/login", 401, json={"email": email, "password": "not this one"})
    found = await ended(organisation, "auth.login", 2)
    assert sorted(entry["status"] for entry in found) == [200, 401]
    assert {entry["credential"] for entry in found} == {f"user:{organisation.user_id}"}
    text = (await organisation.send("GET", "/audit")).text
    assert email not in text
    assert "not this one" not in text
    assert len(await ended(organisation, "auth.register")) == 1


async def test_a_revoked_refresh_token_that_is_used_is_told(organisation: Client, anonymous: Client) -> None:
    token = {"refresh_token": organisation.tokens["refresh_token"]}
    await anonymous.data("POST", "/auth/logout", json=token)
    await anonymous.error("POST", "/auth/refresh", 401, json=token)
    (entry,) = await ended(organisation, "auth.refresh")
    assert entry["status"] == 401
    await ended(organisation, "auth.logout")


async def test_entries_are_narrowed_and_paged_newest_first(organisation: Client) -> None:
    ids = [await organisation.store(f"{n}") for n in range(3)]
    for episode_id in ids:
        await organisation.data("DELETE", f"/memory/{episode_id}")
    found = await ended(organisation, "memory.delete", 3)
    assert [entry["targets"][0] for entry in found] == ids[::-1]
    assert await entries(organisation, action="memory.delete", limit=1, offset=1) == [found[1]]
    assert await entries(organisation, target=ids[0], action="memory.delete") == [found[2]]
    assert await entries(organisation, user_id=str(uuid.uuid4())) == []
    assert await entries(organisation, action="memory.delete", from_time=found[0]["at"]) == [found[0]]
    assert await entries(organisation, action="memory.delete", to_time=found[2]["at"]) == [found[2]]
    wrong = {"from_time": found[0]["at"], "to_time": found[2]["at"]}
    await organisation.error("GET", "/audit", 422, "INVALID_TIME_RANGE", params=wrong)


async def test_reading_the_log_is_in_the_log(organisation: Client) -> None:
    await entries(organisation)

    async def seen() -> bool:
        return any(entry["status"] == 200 for entry in await entries(organisation, action="audit.read"))

    await eventually(seen, 5)


@proves("audit.scope")
async def test_nobody_elses_log_is_read_and_no_agents_key_reads_any(
    organisation: Client, stranger: Client, agent_of: OpenClient
) -> None:
    episode_id = await organisation.store("x")
    await organisation.data("DELETE", f"/memory/{episode_id}")
    assert episode_id not in (await stranger.send("GET", "/audit")).text
    agent = await agent_of(organisation)
    await agent.error("GET", "/audit", 403)


async def test_a_race_of_deletes_has_an_entry_each(organisation: Client) -> None:
    episode_id = await organisation.store("x")
    answers = await asyncio.gather(*(organisation.send("DELETE", f"/memory/{episode_id}") for _ in range(5)))
    found = await ended(organisation, "memory.delete", 5)
    assert sorted(entry["status"] for entry in found) == sorted(answer.status_code for answer in answers)
