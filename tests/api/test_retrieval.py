"""The bar below which search must not fall: conversations of our own with questions whose answers are known."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.container import Core, WorkerContainer, open_core
from app.episodes.due import DueStore
from app.episodes.embed import EmbeddingService
from app.migrate import migrate
from app.settings import Settings
from bench.retrieval import measures
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.prefixes import forget

CONVERSATIONS = Path(__file__).parents[1] / "fixtures" / "conversations.json"


@dataclass(frozen=True)
class Asked:
    client: Client
    question: str
    evidence: frozenset[str]


@pytest.fixture(scope="module")
async def asked(settings: Settings, worker_container: WorkerContainer) -> AsyncIterator[list[Asked]]:
    """Each conversation an organisation's, and the questions about it.

    In an index of their own: how rare a word is depends on all that is in one.
    """
    own = settings.model_copy(update={"index_prefix": f"bar-{uuid.uuid4().hex[:8]}"})
    questions = []
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(own))
        stack.push_async_callback(forget, core.es, own.index_prefix)
        await migrate(own)
        base_url = await stack.enter_async_context(serving(own))
        for conversation in json.loads(CONVERSATIONS.read_bytes())["conversations"]:
            client = await stack.enter_async_context(connect(base_url))
            await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
            ids = await remember(client, conversation)
            questions += [
                Asked(client, one["question"], frozenset(ids[turn_id] for turn_id in one["evidence"]))
                for one in conversation["questions"]
            ]
        await embed_all(core, worker_container)
        yield questions


async def embed_all(core: Core, worker: WorkerContainer) -> None:
    """With the model that the worker of the other tests has loaded."""

    async def look(_: object) -> None:
        return

    service = EmbeddingService(DueStore(core.engine), worker.embedding.embedder, look, batch=64, max_attempts=1)
    while (await service.embed_due()).total:
        pass


async def remember(client: Client, conversation: dict[str, Any]) -> dict[str, str]:
    ids = {}
    for session in conversation["sessions"]:
        session_id, began = await client.session(), datetime.fromisoformat(session["started_at"])
        for number, turn in enumerate(session["turns"]):
            at = (began + timedelta(minutes=number)).isoformat()
            role = turn["speaker"] if turn["speaker"] in ("user", "assistant") else "user"
            ids[turn["turn_id"]] = await client.store(turn["content"], role=role, session_id=session_id, created_at=at)
    return ids


@pytest.mark.parametrize(
    ("mode", "recall_3", "ndcg_10"), [("hybrid", 0.71, 0.68), ("semantic", 0.69, 0.68), ("keyword", 0.62, 0.57)]
)
async def test_what_answers_is_found(asked: list[Asked], mode: str, recall_3: float, ndcg_10: float) -> None:
    """The bars are 0.03 below what was measured when they were set."""
    gains, recalls = [], []
    for one in asked:
        found = await one.client.search(one.question, search_mode=mode, limit=50)
        ids = [result["episode_id"] for result in found["results"]]
        gains.append(measures(ids, one.evidence)[2])
        recalls.append(len(one.evidence & set(ids[:3])) / len(one.evidence))
    assert sum(recalls) / len(recalls) >= recall_3
    assert sum(gains) / len(gains) >= ndcg_10
