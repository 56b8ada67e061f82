"""What the tests of the API share: clients of other agents and other servers, and a corpus to search."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.elastic.client import open_elasticsearch
from app.elastic.indices import EPISODES
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, Embed

OpenClient = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
async def member(base_url: str) -> AsyncIterator[Client]:
    """An organisation for requests that are refused; what it holds is nobody's business."""
    async with connect(base_url) as client:
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        yield client


@pytest.fixture
async def open_client(base_url: str) -> AsyncIterator[OpenClient]:
    """Opens clients. like: whose credentials it sends. url: of which server."""
    async with AsyncExitStack() as opened:

        async def open_one(like: Client | None = None, *, url: str = base_url, credential: str | None = None) -> Client:
            client = await opened.enter_async_context(connect(url))
            if like is not None:
                client.org_id, client.user_id = like.org_id, like.user_id
                client.http.headers["Authorization"] = like.http.headers["Authorization"]
            if credential is not None:
                client.use(credential)
            return client

        yield open_one


@pytest.fixture
def agent_of(open_client: OpenClient) -> OpenClient:
    """Opens a client that acts as a new agent of `owner`."""

    async def act(owner: Client, agent_id: str | None = None) -> Client:
        body = {"name": "agent", "agent_id": agent_id or str(uuid.uuid4())}
        key = await owner.data("POST", "/api-keys", status=201, json=body)
        return await open_client(owner, credential=key["api_key"])

    return act


@pytest.fixture
async def unembedded(organisation: Client, settings: Settings) -> AsyncIterator[Client]:
    """A fresh organisation whose episodes are taken away after the test: tests that store many must
    not leave them to the next one that embeds."""
    yield organisation
    assert settings.elasticsearch_url is not None
    async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
        await es.delete_by_query(
            index=EPISODES.alias(settings.index_prefix),
            query={"term": {"org_id": organisation.org_id}},
            conflicts="proceed",
            refresh=True,
        )


@dataclass(frozen=True, slots=True)
class Corpus:
    """One organisation's memory, embedded, to be searched and never changed."""

    client: Client
    session_id: str
    started: datetime


TOPICS = ("billing", "travel", "garden", "music", "kitchen")
SENTENCES = (
    "The {topic} plan for week {n} was agreed over coffee",
    "Nobody could explain the {topic} numbers of week {n}",
    "Week {n} brought a surprise about the {topic} budget",
    "Please remind me of {topic} before week {n} ends",
)


@pytest.fixture(scope="session")
async def corpus(base_url: str, embed: Embed) -> AsyncIterator[Corpus]:
    """Sixty episodes, an hour apart, every third in a session; and four that are equal but for their times."""
    async with connect(base_url) as client:
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        session_id = await client.session()
        started = datetime(2026, 1, 5, tzinfo=UTC)
        episodes: list[dict[str, Any]] = [
            {
                "role": "user" if n % 2 else "assistant",
                "content": SENTENCES[n % 4].format(topic=TOPICS[n % 5], n=n // 5),
                "session_id": session_id if n % 3 == 0 else None,
                "tags": [f"topic:{TOPICS[n % 5]}", f"number:{n}"],
                "created_at": (started + timedelta(hours=n)).isoformat(),
            }
            for n in range(60)
        ]
        episodes += [
            {
                "role": "user",
                "content": "An identical sentence",
                "created_at": (started - timedelta(days=n)).isoformat(),
            }
            for n in range(1, 5)
        ]
        stored = await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
        assert stored["failed"] == 0
        await embed()
        yield Corpus(client, session_id, started)
