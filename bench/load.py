"""Clients that send HTTP requests, as fast as they are answered or at times of their own, in a process of their own.

http.client costs a core about 0.15 ms a request, several times less than an asynchronous client, and the cores are
shared with what is measured. The same clients measure the service and bare Elasticsearch.
"""

from __future__ import annotations

import http.client
import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Elasticsearch may merge for minutes.
TIMEOUT_S = 600.0
# The server closes connections of clients that it takes for others by their default name.
USER_AGENT = "remembr-bench"
_AT_ONCE = 64


@dataclass(frozen=True)
class Request:
    """headers: in place of those of the load. then: sent when it is answered, and measured as a part of it."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Request | None = None


@dataclass(frozen=True)
class Measured:
    """seconds: of each request. wall_s: from the start of all clients to the end of the last."""

    seconds: list[float]
    wall_s: float

    @property
    def per_s(self) -> float:
        return len(self.seconds) / self.wall_s

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.seconds) * 1e3

    @property
    def p95_ms(self) -> float:
        return self._percentile_ms(0.95)

    @property
    def p99_ms(self) -> float:
        return self._percentile_ms(0.99)

    def _percentile_ms(self, share: float) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * share)] * 1e3


class Load:
    """`run` sends from another process."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def run(self, url: str, clients: Sequence[Sequence[Request]], headers: Mapping[str, str] | None = None) -> Measured:
        """Each client sends its requests one after the other over one connection, all clients at once.

        url: host, and a path that goes before each request's. Raises RuntimeError at an answer of 300 or more.
        """
        return self._pool.submit(_run, url, clients, dict(headers or {})).result()

    def arrive(
        self, url: str, requests: Sequence[Request], per_s: float, headers: Mapping[str, str] | None = None
    ) -> Measured:
        """Each request at its time, `per_s` a second, whether or not those before it were answered; seconds count from
        that time, so that waiting in line is in them. Up to 64 at once. Raises as `run`."""
        return self._pool.submit(_arrive, url, requests, per_s, dict(headers or {})).result()


@contextmanager
def load() -> Iterator[Load]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield Load(pool)


def send(url: str, request: Request, headers: Mapping[str, str] | None = None) -> bytes:
    """One request from this process; its answer's body. Raises RuntimeError at an answer of 300 or more."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    try:
        return _send(connection, parts.path, request, headers or {})
    finally:
        connection.close()


def _run(url: str, clients: Sequence[Sequence[Request]], headers: Mapping[str, str]) -> Measured:
    parts = urlsplit(url)
    ready = threading.Barrier(len(clients) + 1)

    def client(requests: Sequence[Request]) -> list[float]:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        connection.connect()
        ready.wait()
        seconds = []
        try:
            for request in requests:
                began = time.perf_counter()
                _send(connection, parts.path, request, headers)
                seconds.append(time.perf_counter() - began)
        finally:
            connection.close()
        return seconds

    with ThreadPoolExecutor(len(clients)) as threads:
        running = [threads.submit(client, requests) for requests in clients]
        ready.wait()
        began = time.perf_counter()
        seconds = [second for each in running for second in each.result()]
        return Measured(seconds, time.perf_counter() - began)


def _arrive(url: str, requests: Sequence[Request], per_s: float, headers: Mapping[str, str]) -> Measured:
    parts = urlsplit(url)
    own = threading.local()

    def send_late(request: Request, due: float) -> float:
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        _send(own.connection, parts.path, request, headers)
        return time.perf_counter() - due

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        sent, began = [], time.perf_counter()
        for number, request in enumerate(requests):
            due = began + number / per_s
            time.sleep(max(0.0, due - time.perf_counter()))
            sent.append(threads.submit(send_late, request, due))
        return Measured([each.result() for each in sent], time.perf_counter() - began)


def _send(connection: http.client.HTTPConnection, base: str, request: Request, headers: Mapping[str, str]) -> bytes:
    sent = {"User-Agent": USER_AGENT, "Content-Type": request.content_type, **headers, **request.headers}
    connection.request(request.method, base + request.path, request.body, sent)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{request.method} {request.path}: {answer.status} {body[:500]!r}")
    return _send(connection, base, request.then, headers) if request.then else body
