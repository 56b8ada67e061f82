"""From a stored episode to a receiver's door: five webhooks of one organisation, so each event goes out five times.

*At a pace*: stores arrive at 20 a second, and milliseconds are those from an event's own time until it was received.
*At once*: a batch is stored, and what is measured is how many are received a second until all have arrived.
"""

from __future__ import annotations

import json
import random
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import SecretStr

from app.settings import Settings
from bench import stack, tables
from bench.caller import post, register
from bench.embedding import turns
from bench.load import load

WEBHOOKS = 5
_PER_S = 20.0
_PACED = 200
_AT_ONCE = 400
_WARM_UP = 20
_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Result:
    """per_s: deliveries received a second. Milliseconds from the event to its receipt."""

    way: str
    deliveries: int
    per_s: float
    p50_ms: float
    p95_ms: float


@dataclass
class _Inbox:
    """seconds: from each event to its receipt, in the order of receipts."""

    seconds: list[float] = field(default_factory=list)

    def receive(self, body: bytes) -> None:
        said = datetime.fromisoformat(json.loads(body)["created_at"])
        self.seconds.append(time.time() - said.timestamp())

    def wait(self, count: int) -> None:
        """Raises TimeoutError."""
        end = time.monotonic() + _TIMEOUT_S
        while len(self.seconds) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.seconds)} of {count} deliveries within {_TIMEOUT_S:.0f} s")
            time.sleep(0.02)

    def empty(self) -> None:
        self.seconds = []


def run(settings: Settings) -> list[Result]:
    """Raises TimeoutError when deliveries don't arrive."""
    changes = {
        "encryption_keys": SecretStr(uuid.uuid4().hex),
        "webhook_allowed_networks": "127.0.0.0/8",
    }
    dice = random.Random(8)
    with (
        stack.indices(settings, **changes) as own,
        stack.server(own) as server,
        stack.worker(own),
        load() as clients,
        _listening() as (inbox, url),
    ):
        caller = register(server.api)
        for number in range(WEBHOOKS):
            wanted = {"url": f"{url}/{number}", "events": ["memory.stored"]}
            caller.call(server.api, "POST", "/webhooks", wanted)

        def stored(count: int, per_s: float) -> Result:
            inbox.empty()
            requests = [post("/memory", {"role": "user", "content": content}) for content in turns(count, dice)]
            began = time.perf_counter()
            clients.arrive(server.api, requests, per_s, caller.headers)
            inbox.wait(count * WEBHOOKS)
            return _result("at a pace", inbox, time.perf_counter() - began)

        stored(_WARM_UP, _PER_S)
        paced = stored(_PACED, _PER_S)
        inbox.empty()
        episodes = [{"role": "user", "content": content} for content in turns(_AT_ONCE, dice)]
        began = time.perf_counter()
        caller.call(server.api, "POST", "/memory/batch", {"episodes": episodes})
        inbox.wait(_AT_ONCE * WEBHOOKS)
        return [paced, _result("at once", inbox, time.perf_counter() - began)]


@contextmanager
def _listening() -> Iterator[tuple[_Inbox, str]]:
    inbox = _Inbox()

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            inbox.receive(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: there are thousands."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield inbox, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _result(way: str, inbox: _Inbox, took_s: float) -> Result:
    seconds = sorted(inbox.seconds)
    return Result(
        way,
        len(seconds),
        per_s=len(seconds) / took_s,
        p50_ms=statistics.median(seconds) * 1e3,
        p95_ms=seconds[int(len(seconds) * 0.95)] * 1e3,
    )


def table(results: list[Result]) -> str:
    """As Markdown."""
    rows = (
        [each.way, f"{each.deliveries:,}", f"{each.per_s:.0f}", f"{each.p50_ms:.0f}", f"{each.p95_ms:.0f}"]
        for each in results
    )
    return tables.markdown(["stored", "deliveries", "received a second", "p50 ms", "p95 ms"], rows)
