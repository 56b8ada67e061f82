"""Real Elasticsearch and Redis for development, demo, tests and benchmarks, with nothing to set up.

    with engines.start(settings, console=Console()) as running:
        ... running.elasticsearch_url, running.redis_url ...

What the settings give by URL is used and not started. The engines end with this process, whatever ends it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console

from app.engines import distribution, elasticsearch, folders, ports, valkey
from app.engines.service import Service
from app.engines.user import User, engine_user
from app.settings import Settings

__all__ = ["SHORT_LIVED", "Engines", "Service", "start"]

SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""Java options for an Elasticsearch that runs for minutes: compiling in full costs more than it then gains."""


@dataclass(frozen=True)
class Engines:
    """Addresses of both stores, and the handles of those that were started here (None: given by URL)."""

    elasticsearch_url: str
    redis_url: str
    elasticsearch: Service | None = None
    redis: Service | None = None

    def stop(self) -> None:
        """End what was started here: both at once, in good order, within 25 seconds. May be called again."""
        services = [service for service in (self.redis, self.elasticsearch) if service]
        for service in services:
            service.ask_to_stop()
        for service in services:
            service.stop()

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    settings: Settings, *, console: Console | None = None, elasticsearch_port: int = 0, redis_port: int = 0
) -> Engines:
    """Start what the settings don't give by URL, on 127.0.0.1, and wait until it answers.

    Data lies in `<data_dir>/elasticsearch` and `<data_dir>/redis`, where the next start finds it again
    (for root see `folders`). Port 0 takes a free one. console: where progress is shown. Blocks: some
    seconds, and minutes where Elasticsearch has to be fetched first. May be called in any thread.
    Raises EngineError, with nothing left running.
    """
    user = engine_user()
    with ExitStack() as undo:
        # What is quick comes first: a port that is taken is said before a gigabyte is fetched.
        if not settings.elasticsearch_url:
            _elasticsearch_port(elasticsearch_port)
        redis = None if settings.redis_url else _redis(settings, redis_port, user)
        if redis:
            redis.start(console)
            undo.callback(redis.stop)
        search = None if settings.elasticsearch_url else _elasticsearch(settings, elasticsearch_port, user, console)
        if search:
            search.start(console)
        undo.pop_all()
    return Engines(
        elasticsearch_url=search.url if search else str(settings.elasticsearch_url),
        redis_url=redis.url if redis else str(settings.redis_url),
        elasticsearch=search,
        redis=redis,
    )


def _redis(settings: Settings, wanted: int, user: User | None) -> Service:
    port = ports.pick(wanted, "Redis", "REMEMBR_REDIS_URL")
    folder = folders.data_folder(settings, "redis", user)
    return Service(valkey.plan(folder, port, folders.cache_folder(settings, user), user))


def _elasticsearch(settings: Settings, wanted: int, user: User | None, console: Console | None) -> Service:
    folder = folders.data_folder(settings, "elasticsearch", user)
    home = distribution.find(settings, user, console)
    plan = elasticsearch.plan(
        home,
        folder,
        _elasticsearch_port(wanted),
        heap=settings.elasticsearch_heap,
        java_options=settings.elasticsearch_java_options,
        start_timeout_s=settings.elasticsearch_start_timeout_s,
        user=user,
    )
    return Service(plan)


def _elasticsearch_port(wanted: int) -> int:
    return ports.pick(wanted, "Elasticsearch", "REMEMBR_ELASTICSEARCH_URL")
