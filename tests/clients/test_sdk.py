"""The published client `remembr` 0.2.0: every call of it that sessions and memory serve."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from remembr import RemembrClient, SearchWeights, TagFilter
from remembr.exceptions import AuthenticationError, NotFoundError, RemembrError

from tests.client import Client
from tests.conftest import Embed

FRIDAYS = "User prefers email notifications on Fridays"


async def test_scenario_1_quick_start(sdk: RemembrClient) -> None:
    session = await sdk.create_session(metadata={"user": "demo"})
    await sdk.store(FRIDAYS, role="user", session_id=session.session_id, tags=["kind:preference"])
    found = await sdk.search("When should I send notifications?", session_id=session.session_id)
    assert found.results[0].content == FRIDAYS
    assert f"{found.results[0].score:.3f}"


async def test_a_session_is_created_read_and_listed(sdk: RemembrClient, organisation: Client) -> None:
    created = await sdk.create_session({"thread": "a", "nested": {"list": [1, None]}})
    read = await sdk.get_session(created.session_id)
    assert (read.session_id, read.metadata, read.created_at) == (
        created.session_id,
        {"thread": "a", "nested": {"list": [1, None]}},
        created.created_at,
    )
    assert read.org_id == created.org_id == organisation.org_id
    assert created.request_id


async def test_scenario_12_listed_sessions_have_their_organisation(sdk: RemembrClient, organisation: Client) -> None:
    made = [(await sdk.create_session()).session_id for _ in range(3)]
    listed = await sdk.list_sessions()
    assert [session.session_id for session in listed] == made[::-1]
    assert {session.org_id for session in listed} == {organisation.org_id}
    assert all(session.metadata == {} for session in listed)
    assert [session.session_id for session in await sdk.list_sessions(limit=1, offset=1)] == [made[1]]


async def test_an_idempotency_key_is_taken(sdk: RemembrClient) -> None:
    session = await sdk.create_session(idempotency_key="a-session")
    episode = await sdk.store("once", session_id=session.session_id, idempotency_key="an-episode")
    assert [item.episode_id for item in await sdk.get_session_history(session.session_id)] == [episode.episode_id]


async def test_a_stored_episode_comes_back_in_the_history(sdk: RemembrClient) -> None:
    session = await sdk.create_session()
    stored = [
        await sdk.store(f"turn {n}", role=role, session_id=session.session_id, tags=["k:v"], metadata={"n": n})
        for n, role in enumerate(("user", "assistant", "tool", "handoff"))
    ]
    past = await sdk.get_session_history(session.session_id)
    assert [episode.model_dump() for episode in past] == [episode.model_dump() for episode in stored]
    assert {episode.embedding_status for episode in stored} == {"pending"}
    assert [episode.content for episode in await sdk.get_session_history(session.session_id, limit=2)] == [
        "turn 2", "turn 3",
    ]  # fmt: skip


async def test_an_episode_without_a_session(sdk: RemembrClient) -> None:
    stored = await sdk.store("alone")
    assert (stored.session_id, stored.tags) == (None, [])


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
async def test_search_takes_all_its_arguments(sdk: RemembrClient, embed: Embed, mode: str) -> None:
    session = await sdk.create_session()
    right = await sdk.store("The oauth timeout is thirty seconds", session_id=session.session_id, tags=["kind:fact"])
    await sdk.store("The oauth timeout elsewhere", tags=["kind:fact"])
    await sdk.store("The oauth timeout untagged", session_id=session.session_id)
    await embed()
    found = await sdk.search(
        "oauth timeout",
        session_id=session.session_id,
        tags=["kind:fact"],
        tag_filters=[TagFilter(key="kind", value="fact", op="eq"), TagFilter(key="other", op="ne")],
        from_time=right.created_at,
        to_time=datetime.now(UTC),
        limit=5,
        search_mode=mode,
        weights=SearchWeights(semantic=0.5, keyword=0.4, recency=0.1),
    )
    assert [result.episode_id for result in found.results] == [right.episode_id]
    assert (found.total, found.results[0].tags) == (1, ["kind:fact"])
    assert 0 < found.results[0].score <= 1
    assert found.query_time_ms >= 0
    assert found.request_id


async def test_scenario_12_niceties_of_search(sdk: RemembrClient) -> None:
    stored = await sdk.store("a nicety")
    for found in (
        await sdk.search("nicety", tags=None),
        await sdk.search("nicety", mode="hybrid"),
        await sdk.search("nicety", weights={"semantic": 0.2, "keyword": 0.7, "recency": 0.1}),
    ):
        assert [result.episode_id for result in found.results] == [stored.episode_id]


async def test_scenario_12_datetimes_may_be_aware_of_any_zone_or_naive(sdk: RemembrClient) -> None:
    await sdk.store("timely")
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    for zone in (None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))):
        moment = now.replace(tzinfo=None) if zone is None else now.astimezone(zone)
        assert (await sdk.search("timely", from_time=moment - hour, to_time=moment + hour)).total == 1
        assert (await sdk.search("timely", from_time=moment + hour)).total == 0
        assert (await sdk.search("timely", to_time=moment - hour)).total == 0


@pytest.mark.parametrize(
    ("tag_filter", "found"),
    [
        (TagFilter(key="score", value="0.8", op="gte"), ["high"]),
        (TagFilter(key="score", value="0.8", op="lt"), ["low"]),
        (TagFilter(key="score", op="exists"), ["high", "low"]),
        (TagFilter(key="score"), ["high", "low"]),
        (TagFilter(key="score", value="0.", op="prefix"), ["high", "low"]),
        (TagFilter(key="score", value="0.1", op="ne"), ["high", "none"]),
    ],
)
async def test_tag_filters_of_the_client(sdk: RemembrClient, tag_filter: TagFilter, found: list[str]) -> None:
    for content, tags in (("low", ["score:0.1"]), ("high", ["score:0.9"]), ("none", [])):
        await sdk.store(content, tags=tags)
    results = (await sdk.search("anything", search_mode="keyword", tag_filters=[tag_filter])).results
    assert sorted(result.content for result in results) == found


async def test_scenario_14_a_forgotten_episode_is_gone(sdk: RemembrClient) -> None:
    session = await sdk.create_session()
    episode = await sdk.store("forget this", session_id=session.session_id)
    receipt = await sdk.forget_episode(episode.episode_id)
    assert (receipt["deleted"], receipt["episode_id"]) == (True, episode.episode_id)
    assert (await sdk.search("forget this")).total == 0
    assert await sdk.get_session_history(session.session_id) == []
    with pytest.raises(NotFoundError):
        await sdk.forget_episode(episode.episode_id)


async def test_an_access_token_serves_as_the_clients_key(organisation: Client, base_url: str) -> None:
    async with RemembrClient(api_key=organisation.tokens["access_token"], base_url=base_url) as client:
        assert (await client.create_session()).org_id == organisation.org_id


async def test_errors_become_the_clients_exceptions(sdk: RemembrClient, base_url: str) -> None:
    with pytest.raises(NotFoundError) as missing:
        await sdk.get_session(str(uuid.uuid4()))
    assert (missing.value.code, missing.value.status_code) == ("NOT_FOUND", 404)
    assert missing.value.details == {"code": "SESSION_NOT_FOUND"}
    assert missing.value.request_id
    with pytest.raises(RemembrError) as invalid:
        await sdk.store("x", session_id="no-uuid")
    assert (invalid.value.code, invalid.value.status_code) == ("VALIDATION_ERROR", 422)
    async with RemembrClient(api_key="rk_wrong", base_url=base_url) as nobody:
        with pytest.raises(AuthenticationError) as refused:
            await nobody.list_sessions()
    assert refused.value.code == "AUTHENTICATION_ERROR"


async def test_requests_by_hand(sdk: RemembrClient) -> None:
    assert await sdk.arequest("GET", "/health") == {"status": "ok"}
    assert (await sdk.arequest("GET", "/me"))["auth_method"] == "api_key"
