"""The composition root: who is wired with whom. Server, worker, scripts and benches open it alike."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from elasticsearch import AsyncElasticsearch

from app import tokens
from app.audit.service import AuditService
from app.audit.store import AuditStore
from app.auth.service import AuthService
from app.auth.store import AccountStore, ApiKeyStore, RefreshTokenStore
from app.backlog import BacklogStore
from app.checkpoints.automatic import AutomaticCheckpoints
from app.checkpoints.service import CheckpointService
from app.checkpoints.store import CheckpointStore
from app.crypto import Passwords, Tokens
from app.elastic.client import MissingDocument, open_elasticsearch, translate_errors
from app.elastic.freshness import Freshness
from app.elastic.index import Engine, make_engine
from app.embedding import open_document_embedder, open_query_embedder
from app.episodes.archive import EpisodeArchive
from app.episodes.due import DueStore
from app.episodes.embed import EmbeddingService
from app.episodes.lifecycle import LifecycleStore
from app.episodes.search import EpisodeSearch
from app.episodes.service import EpisodeService
from app.episodes.store import EpisodeStore
from app.errors import EngineError, Unavailable
from app.following import following
from app.forgetting.purge import PurgeService
from app.forgetting.service import ForgettingService
from app.idempotency.store import OnceStore
from app.limits import RateLimiter
from app.outbox import Outbox
from app.own_secrets import encryption_keys
from app.production import require_ready_for_production
from app.redis import RedisGate, open_redis
from app.sealing import Sealer
from app.sessions.present import Windows
from app.sessions.service import SessionService
from app.sessions.store import SessionStore
from app.settings import Settings
from app.transfer.export import ExportService
from app.transfer.imports import ImportService
from app.usage import Usage
from app.webhooks.announcer import Announcer
from app.webhooks.deliver import DeliveryService
from app.webhooks.deliveries import DeliveryStore
from app.webhooks.guard import parse_networks
from app.webhooks.pending import EventStore
from app.webhooks.reseal import ResealService
from app.webhooks.sender import open_sender
from app.webhooks.service import WebhookService
from app.webhooks.store import WebhookStore
from app.webhooks.subscriptions import Subscriptions

_CHECK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Core:
    """What every process needs: settings, both stores, the outbox."""

    settings: Settings
    es: AsyncElasticsearch
    redis: RedisGate
    engine: Engine
    once: OnceStore
    outbox: Outbox
    sealer: Sealer

    async def check(self) -> dict[str, bool]:
        """Which stores answer within two seconds."""
        elasticsearch, redis = await asyncio.gather(self._has_its_data(), self.redis.ping())
        return {"elasticsearch": elasticsearch, "redis": redis}

    async def _has_its_data(self) -> bool:
        """A node answers some time before the shards that it holds do."""
        patient = self.es.options(request_timeout=_CHECK_TIMEOUT_S)
        try:
            with translate_errors("checking"):
                health = await patient.cluster.health(index=f"{self.settings.index_prefix}-*")
        except (Unavailable, MissingDocument):
            return False
        return str(health.body["status"]) in ("green", "yellow")


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncIterator[Core]:
    """Connect to both stores; neither has to answer yet. Raises EngineError when an address is missing."""
    if not settings.elasticsearch_url or not settings.redis_url:
        raise EngineError(
            "Set REMEMBR_ELASTICSEARCH_URL and REMEMBR_REDIS_URL, or use `remembr-server dev`, which starts both."
        )
    require_ready_for_production(settings)
    async with AsyncExitStack() as stack:
        es = await stack.enter_async_context(open_elasticsearch(settings, settings.elasticsearch_url))
        redis = await stack.enter_async_context(open_redis(settings.redis_url, settings.redis_timeout_s))
        freshness = Freshness(es, redis, settings.index_prefix)
        engine = make_engine(es, freshness, settings.index_prefix, group_commit=settings.group_commit)
        stack.push_async_callback(engine.writer.drain)
        outbox = Outbox(redis, settings.index_prefix)
        stack.push_async_callback(outbox.close)
        once = OnceStore(engine, strict=settings.idempotency_strict)
        sealer = Sealer(await asyncio.to_thread(encryption_keys, settings))
        yield Core(settings, es, redis, engine, once, outbox, sealer)


@dataclass(frozen=True, slots=True)
class Container:
    """What the server's handlers call."""

    settings: Settings
    core: Core
    limiter: RateLimiter
    auth: AuthService
    sessions: SessionService
    episodes: EpisodeService
    search: EpisodeSearch
    forgetting: ForgettingService
    checkpoints: CheckpointService
    webhooks: WebhookService
    exports: ExportService
    imports: ImportService
    audit: AuditService
    usage: Usage

    async def check(self) -> dict[str, bool]:
        """Which stores answer."""
        return await self.core.check()


@asynccontextmanager
async def _counting(core: Core) -> AsyncIterator[Usage]:
    usage = Usage(core.engine, f"{socket.gethostname()}:{os.getpid()}")
    if not core.settings.usage_every_s:
        yield usage
        return
    running = asyncio.create_task(usage.run(core.settings.usage_every_s))
    try:
        yield usage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await usage.close()


@asynccontextmanager
async def open_container(settings: Settings) -> AsyncIterator[Container]:
    """Everything the server needs, model loaded. Raises EngineError when a setting is missing."""
    if settings.jwt_secret is None:
        raise EngineError("Set REMEMBR_JWT_SECRET to at least 32 random characters: `openssl rand -hex 32`.")
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(tokens.prepare, settings.cache_dir)
        core = await stack.enter_async_context(open_core(settings))
        embedder = await stack.enter_async_context(following(core.es, settings, open_query_embedder))
        session_store = SessionStore(core.engine, core.once)
        episode_store = EpisodeStore(core.engine, core.once)
        checkpoint_store = CheckpointStore(core.engine, core.once)
        windows = Windows(episode_store, settings.window_tokens)
        accounts = AccountStore(core.engine)
        auth = AuthService(
            accounts,
            ApiKeyStore(core.engine),
            RefreshTokenStore(core.engine),
            await asyncio.to_thread(Passwords, settings.bcrypt_rounds),
            Tokens(
                settings.signing_keys,
                access=timedelta(minutes=settings.access_token_minutes),
                refresh=timedelta(days=settings.refresh_token_days),
            ),
            settings.api_key_cache_s,
        )
        stack.push_async_callback(auth.close)
        audit = AuditService(AuditStore(core.engine))
        stack.push_async_callback(audit.close)
        usage = await stack.enter_async_context(_counting(core))
        yield Container(
            settings,
            core,
            RateLimiter(core.redis, settings.index_prefix),
            auth,
            SessionService(session_store, episode_store, windows),
            EpisodeService(episode_store, session_store, core.outbox, settings),
            EpisodeSearch(episode_store, embedder, settings),
            ForgettingService(
                LifecycleStore(core.engine),
                session_store,
                checkpoint_store,
                accounts,
                core.outbox,
                Announcer(core.engine, core.outbox),
                settings.restore_days,
            ),
            CheckpointService(checkpoint_store, session_store, episode_store, windows, core.outbox),
            WebhookService(
                WebhookStore(core.engine),
                DeliveryStore(core.engine),
                Subscriptions(core.engine),
                core.sealer,
                core.outbox,
                most=settings.webhook_max,
                allowed=parse_networks(settings.webhook_allowed_networks),
            ),
            ExportService(EpisodeArchive(core.engine)),
            ImportService(
                episode_store, session_store, core.outbox, lambda: embedder().info, settings.content_max_chars
            ),
            audit,
            usage,
        )


@dataclass(frozen=True, slots=True)
class WorkerContainer:
    """What the worker's jobs call."""

    core: Core
    embedding: EmbeddingService
    purge: PurgeService
    reseal: ResealService
    backlog: BacklogStore
    webhooks: DeliveryService


@asynccontextmanager
async def open_worker_container(settings: Settings) -> AsyncIterator[WorkerContainer]:
    """Everything the embedding worker needs, model loaded."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings))
        embedder = await stack.enter_async_context(following(core.es, settings, open_document_embedder))
        embedding = EmbeddingService(
            DueStore(core.engine),
            embedder,
            automatic_checkpoints(core).look,
            batch=settings.embedding_batch,
            max_attempts=settings.embedding_max_attempts,
        )
        purge = PurgeService(core.engine, LifecycleStore(core.engine), settings)
        deliveries = await stack.enter_async_context(open_deliveries(core))
        reseal = ResealService(WebhookStore(core.engine), core.sealer)
        yield WorkerContainer(core, embedding, purge, reseal, BacklogStore(core.engine), deliveries)


def automatic_checkpoints(core: Core) -> AutomaticCheckpoints:
    """What keeps windows that fill up."""
    episodes = EpisodeStore(core.engine, core.once)
    return AutomaticCheckpoints(
        CheckpointStore(core.engine, core.once),
        SessionStore(core.engine, core.once),
        episodes,
        Windows(episodes, core.settings.window_tokens),
        core.outbox,
        budget=core.settings.window_tokens,
        kept=core.settings.automatic_checkpoints_kept,
    )


@asynccontextmanager
async def open_deliveries(core: Core) -> AsyncIterator[DeliveryService]:
    """What tells webhooks, stopped at the end."""
    settings = core.settings
    allowed = parse_networks(settings.webhook_allowed_networks)
    async with open_sender(allowed, settings.webhook_timeout_s) as sender:
        service = DeliveryService(
            EventStore(core.engine),
            WebhookStore(core.engine),
            DeliveryStore(core.engine),
            sender,
            core.sealer,
            retry_s=[float(pause) for pause in settings.webhook_retry_s.split(",")],
        )
        try:
            yield service
        finally:
            await service.close()
