"""Indices of their own for the worker's tests, so that what is due is what a test has stored."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.container import Core, automatic_checkpoints, open_core, open_deliveries
from app.elastic.indices import EPISODES
from app.embedding import DocumentEmbedder
from app.embedding.encoder import AsyncEncoder, Encoder
from app.embedding.load import ModelSpec, load_onnx
from app.embedding.thread import ThreadEncoder
from app.episodes.due import DueStore
from app.episodes.embed import Embedded, EmbeddingService
from app.migrate import migrate
from app.settings import Settings
from app.webhooks.deliver import DeliveryService
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.prefixes import forget

READY_TIMEOUT_S = 120


@pytest.fixture(scope="session")
async def own_settings(settings: Settings) -> Settings:
    """The run's engines, with indices that no other folder's tests write to."""
    own = settings.model_copy(
        update={"index_prefix": f"{settings.index_prefix}-w", "webhook_allowed_networks": "127.0.0.0/8"}
    )
    await migrate(own)
    return own


@pytest.fixture(scope="session")
async def core(own_settings: Settings) -> AsyncIterator[Core]:
    """Both stores, as the worker opens them; what was made in them goes at the end."""
    async with open_core(own_settings) as opened:
        yield opened
        await forget(opened.es, own_settings.index_prefix)


@pytest.fixture
async def deliveries(core: Core) -> AsyncIterator[DeliveryService]:
    """What tells webhooks; receivers on loopback may be named."""
    async with open_deliveries(core) as opened:
        yield opened


@pytest.fixture(scope="session")
async def own_url(own_settings: Settings, core: Core) -> AsyncIterator[str]:
    """A server over the same indices. It nudges; nobody listens unless a test starts a worker."""
    async with serving(own_settings) as url:
        yield url


@pytest.fixture
async def client(own_url: str) -> AsyncIterator[Client]:
    """A fresh organisation."""
    async with connect(own_url) as connected:
        await connected.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        yield connected


@pytest.fixture
async def stranger_of_client(own_url: str) -> AsyncIterator[Client]:
    """Another fresh organisation on the same server."""
    async with connect(own_url) as connected:
        await connected.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        yield connected


@pytest.fixture(scope="session")
def model(own_settings: Settings) -> Encoder:
    """The real model, run in this process."""
    return load_onnx(ModelSpec.of(own_settings))


@pytest.fixture
def threaded() -> Iterator[Callable[[Encoder], AsyncEncoder]]:
    """Puts encoders into threads, as the server does."""
    made: list[ThreadEncoder] = []

    def put(encoder: Encoder) -> AsyncEncoder:
        made.append(ThreadEncoder(encoder, parallel=2, timeout_s=30))
        return made[-1]

    yield put
    for encoder in made:
        encoder._threads.shutdown()


@dataclass
class Worker:
    """An embedding service over the tests' indices, wired with an encoder of the test's choice."""

    core: Core
    encoder: AsyncEncoder
    max_attempts: int = 8
    rounds: list[Embedded] = field(default_factory=list)

    @property
    def service(self) -> EmbeddingService:
        embedder = DocumentEmbedder(self.encoder)
        return EmbeddingService(
            DueStore(self.core.engine),
            lambda: embedder,
            automatic_checkpoints(self.core).look,
            batch=64,
            max_attempts=self.max_attempts,
        )

    async def embed(self) -> Embedded:
        """Until nothing is due; what all rounds did together."""
        rounds = []
        while (done := await self.service.embed_due()).total:
            rounds.append(done)
            assert len(rounds) < 50
        return Embedded(*(sum(getattr(done, name) for done in rounds) for name in ("ready", "failed", "skipped")))


NewWorker = Callable[..., Worker]


@pytest.fixture
async def worker(core: Core, model: Encoder, threaded: Callable[[Encoder], AsyncEncoder]) -> NewWorker:
    """Makes workers of an encoder (default: the real one). What earlier tests left due is done first."""
    await Worker(core, threaded(model)).embed()

    def make(encoder: Encoder = model, *, max_attempts: int = 8) -> Worker:
        return Worker(core, threaded(encoder), max_attempts)

    return make


async def stored(core: Core, client: Client, episode_id: str) -> dict[str, Any]:
    """An episode's document as it lies in Elasticsearch, vectors and version included."""
    found = await core.es.get(
        index=EPISODES.alias(core.settings.index_prefix),
        id=episode_id,
        routing=client.org_id,
        source_exclude_vectors=False,
    )
    return dict(found.body["_source"]) | {"_version": found.body["_version"]}


async def overwrite(core: Core, client: Client, episode_id: str, **fields: Any) -> None:
    """Change fields of an episode behind the service's back."""
    await core.es.update(
        index=EPISODES.alias(core.settings.index_prefix),
        id=episode_id,
        routing=client.org_id,
        doc=fields,
        refresh=True,
    )


async def status(client: Client, episode_id: str) -> str:
    """An episode's embedding status."""
    return str((await client.data("GET", f"/memory/{episode_id}/status"))["embedding_status"])


async def all_ready(client: Client, session_id: str, count: int) -> bool:
    """Whether a session has that many episodes and all are embedded."""
    counts = await client.data("GET", f"/sessions/{session_id}/embedding-status")
    return bool(counts["ready"] == counts["total"] == count)
