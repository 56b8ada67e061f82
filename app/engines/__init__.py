"""Real Elasticsearch and Redis for development, demo, tests and benchmarks, with nothing to set up.

    with engines.start(settings, console=Console()) as running:
        ... running.elasticsearch_url, running.redis_url ...

What the settings give by URL is used and not started. The engines end with this process, whatever ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console

from app.engines import distribution, elasticsearch, folders, ports, valkey
from app.engines.configuration import Node
from app.engines.service import Service
from app.engines.user import User, engine_user
from app.errors import EngineError
from app.settings import Settings

__all__ = ["SHORT_LIVED", "Engines", "Service", "start", "start_together"]

SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""Java options for an Elasticsearch that runs for minutes: compiling in full costs more than it then gains."""


@dataclass(frozen=True)
class Engines:
    """Addresses of both stores, and the handles of those that were started here (none: given by URL).

    elasticsearch_url: of all its nodes, separated by commas.
    """

    elasticsearch_url: str
    redis_url: str
    nodes: tuple[Service, ...] = ()
    redis: Service | None = None

    @property
    def services(self) -> list[Service]:
        """All that was started here."""
        return [service for service in (self.redis, *self.nodes) if service]

    @property
    def elasticsearch(self) -> Service | None:
        """The first node of Elasticsearch."""
        return self.nodes[0] if self.nodes else None

    def stop(self) -> None:
        """End what was started here: both at once, in good order, within 25 seconds. May be called again."""
        for service in self.services:
            service.ask_to_stop()
        for service in self.services:
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

    Data lies in `<data_dir>/elasticsearch` (of further nodes in `elasticsearch-2` and so on) and
    `<data_dir>/redis`, where the next start finds it again (for root see `folders`). Port 0 takes a free one,
    as further nodes do. console: where progress is shown. Blocks: some
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
        nodes = () if settings.elasticsearch_url else _elasticsearch(settings, elasticsearch_port, user, console)
        for node in nodes:
            undo.callback(node.stop)
        start_together(nodes, console)
        undo.pop_all()
    return Engines(
        elasticsearch_url=",".join(node.url for node in nodes) or str(settings.elasticsearch_url),
        redis_url=redis.url if redis else str(settings.redis_url),
        nodes=nodes,
        redis=redis,
    )


def start_together(nodes: Sequence[Service], console: Console | None = None) -> None:
    """Start the nodes of one cluster, which answer only when most of them are there.

    Raises EngineError; the others may be running then.
    """
    with ThreadPoolExecutor(max(1, len(nodes))) as pool:
        # One line of progress is enough for all.
        begun = [pool.submit(node.start, console if place == 0 else None) for place, node in enumerate(nodes)]
    for start_of_one in begun:
        start_of_one.result()


def _redis(settings: Settings, wanted: int, user: User | None) -> Service:
    port = ports.pick(wanted, "Redis", "REMEMBR_REDIS_URL")
    folder = folders.data_folder(settings, "redis", user)
    return Service(valkey.plan(folder, port, folders.cache_folder(settings, user), user))


def _elasticsearch(settings: Settings, wanted: int, user: User | None, console: Console | None) -> tuple[Service, ...]:
    count = settings.elasticsearch_nodes
    each = [folders.data_folder(settings, folder_name(number), user) for number in range(1, count + 1)]
    if (each[0].parent / folder_name(count + 1)).exists():
        raise EngineError(
            f"The data in {each[0].parent} belongs to more nodes than {count}. Set REMEMBR_ELASTICSEARCH_NODES to how"
            " many there were, or REMEMBR_DATA_DIR to another folder."
        )
    home = distribution.find(settings, user, console)
    http = [_elasticsearch_port(wanted), *(_elasticsearch_port(0) for _ in each[1:])]
    transport = [_elasticsearch_port(0) for _ in each] if count > 1 else [0]
    return tuple(
        Service(
            elasticsearch.plan(
                home,
                folder,
                Node(number, http[number - 1], tuple(transport), each[0]),
                heap=settings.elasticsearch_heap,
                java_options=settings.elasticsearch_java_options,
                start_timeout_s=settings.elasticsearch_start_timeout_s,
                user=user,
            )
        )
        for number, folder in enumerate(each, start=1)
    )


def folder_name(number: int) -> str:
    """Where the data of a node lies, counted from 1: the first is where that of a single one is."""
    return "elasticsearch" if number == 1 else f"elasticsearch-{number}"


def _elasticsearch_port(wanted: int) -> int:
    return ports.pick(wanted, "Elasticsearch", "REMEMBR_ELASTICSEARCH_URL")
