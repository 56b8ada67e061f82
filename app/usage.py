"""How often the service is asked for what, and how long it takes: for dashboards, by the minute and operation.

Nothing depends on these counts: those of a process that is killed are lost with it. Whose requests they were, and what
was asked, isn't in them. `/metrics` has more of the same for Prometheus.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from app.elastic.index import Engine, ScopedIndex
from app.elastic.indices import USAGE
from app.elastic.scope import SystemScope
from app.errors import Unavailable
from app.types import JsonObject, iso, new_id, utc_now

log = logging.getLogger(__name__)

_SCOPE = SystemScope("how much is asked of the service is its operator's to know, over all organisations")
_OWNER = "service"
_REFUSED = 400
_FAILED = 500
_LAST_WRITE_S = 2.0


@dataclass(slots=True)
class _Counted:
    requests: int = 0
    refused: int = 0
    failed: int = 0
    took_ms: float = 0.0
    slowest_ms: float = 0.0

    def add(self, other: _Counted) -> None:
        self.requests += other.requests
        self.refused += other.refused
        self.failed += other.failed
        self.took_ms += other.took_ms
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)


class Usage:
    """Of one server process. process: a name that tells it from others."""

    def __init__(self, engine: Engine, process: str) -> None:
        self._index = ScopedIndex(engine, USAGE)
        self._process = process
        self._counted: dict[str, _Counted] = {}

    def note(self, operation: str, status: int, took_s: float) -> None:
        """Count a request that was answered. operation: method and route, of which there are few."""
        took_ms = took_s * 1000
        refused, failed = _REFUSED <= status < _FAILED, status >= _FAILED
        one = _Counted(1, int(refused), int(failed), took_ms, took_ms)
        self._counted.setdefault(operation, _Counted()).add(one)

    async def write(self) -> None:
        """Write down what was counted since the last time; what can't be written is counted on. Raises Unavailable."""
        counted, self._counted = self._counted, {}
        at = iso(utc_now())
        documents = [(new_id(), self._document(at, operation, each)) for operation, each in counted.items()]
        results = await self._index.create_all(_SCOPE, documents)
        lost = None
        for (operation, each), result in zip(counted.items(), results, strict=True):
            if isinstance(result, BaseException):
                self._counted.setdefault(operation, _Counted()).add(each)
                lost = result
        if lost is not None:
            raise Unavailable("The counts can't be written now.") from lost

    def _document(self, at: str, operation: str, counted: _Counted) -> JsonObject:
        return {
            "org_id": _OWNER,
            "at": at,
            "process": self._process,
            "operation": operation,
            "requests": counted.requests,
            "refused": counted.refused,
            "failed": counted.failed,
            "took_ms": round(counted.took_ms, 1),
            "mean_ms": round(counted.took_ms / counted.requests, 2),
            "slowest_ms": round(counted.slowest_ms, 1),
        }

    async def run(self, every_s: float) -> None:
        """Write at intervals, until it is cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self._try()

    async def close(self) -> None:
        """Write what is left, if that can be done soon."""
        try:
            async with asyncio.timeout(_LAST_WRITE_S):
                await self._try()
        except TimeoutError:
            log.warning("usage not written", extra={"operations": len(self._counted)})

    async def _try(self) -> None:
        if not self._counted:
            return
        try:
            await self.write()
        except Unavailable as error:
            log.warning("usage not written", extra={"error": repr(error.__cause__ or error)})
