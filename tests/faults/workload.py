"""Clients that repeat every request until it is answered, and what must be true afterwards.

Each writer has a session and episodes of its own, so that what it was answered says exactly what must be
there: an answer counts, silence doesn't. What it does follows from the seed alone.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import orjson

from tests.client import Client
from tests.receivers import Receiver

GIVE_UP_S = 180.0
"""How long a request is repeated."""
_PAUSE_S = (0.03, 0.12)
_AGAIN_S = (0.05, 0.3)
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "knoll", "lagoon")

State = Literal["alive", "deleted", "removed"]


@dataclass
class Episode:
    """What must be there. word: in no other episode."""

    id: str
    word: str
    content: str
    state: State = "alive"


@dataclass
class Record:
    """What happened. slowest_s: of the requests that were answered."""

    operations: list[str] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0
    broken: int = 0
    hung: int = 0
    under_way: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    checkpoints: set[str] = field(default_factory=set)


class Writer:
    """One client of one session. clients: the same caller at each server."""

    def __init__(self, number: int, seed: int, clients: Sequence[Client], record: Record) -> None:
        self.episodes: list[Episode] = []
        self._name = f"w{number}"
        self._random = random.Random(f"{seed} {number}")  # noqa: S311
        self._clients = clients
        self._record = record
        self._number = number
        self._serial = 0
        self._session_id = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Do one thing after the other until told to stop; what is begun is repeated until it is answered."""
        self._session_id = (await self._ask("POST", "/sessions", {201}, json={}, key=True))["session_id"]
        weights = {
            self._store: 40,
            self._batch: 6,
            self._search: 18,
            self._status: 10,
            self._delete: 10,
            self._restore: 6,
            self._remove: 4,
            self._checkpoint: 3,
        }
        while not stop.is_set():
            (act,) = self._random.choices(list(weights), list(weights.values()))
            await act()
            await asyncio.sleep(self._random.uniform(*_PAUSE_S))

    async def _store(self) -> None:
        body = self._new()
        stored = await self._ask("POST", "/memory", {201}, json=body, key=True)
        self._keep(stored["episode_id"], body)

    async def _batch(self) -> None:
        bodies = [self._new() for _ in range(self._random.randint(2, 8))]
        stored = await self._ask("POST", "/memory/batch", {201}, json={"episodes": bodies}, key=True, items=True)
        for body, item in zip(bodies, stored["items"], strict=True):
            self._keep(item["episode_id"], body)

    async def _search(self) -> None:
        episode = self._one("alive", "deleted", "removed")
        if episode is None:
            return
        mode = self._random.choice(["keyword", "hybrid"])
        body = {"query": episode.word, "search_mode": mode, "session_id": self._session_id, "limit": 100}
        found = await self._ask("POST", "/memory/search", {200}, json=body)
        there = episode.id in {result["episode_id"] for result in found["results"]}
        if there != (episode.state == "alive") and (there or found["total"] <= len(found["results"])):
            self._record.wrong.append(f"{mode} search: {episode} {'found' if there else 'not found'}")

    async def _status(self) -> None:
        episode = self._one("alive", "deleted", "removed")
        if episode is not None:
            await self._ask("GET", f"/memory/{episode.id}/status", {200 if episode.state == "alive" else 404})

    async def _delete(self) -> None:
        if episode := self._one("alive"):
            await self._ask("DELETE", f"/memory/{episode.id}", {200}, again={404})
            episode.state = "deleted"

    async def _restore(self) -> None:
        if episode := self._one("deleted"):
            await self._ask("POST", f"/memory/{episode.id}/restore", {200}, again={409})
            episode.state = "alive"

    async def _remove(self) -> None:
        if episode := self._one("alive", "deleted"):
            await self._ask("DELETE", f"/memory/{episode.id}/hard", {200}, again={404})
            episode.state = "removed"

    async def _checkpoint(self) -> None:
        taken = await self._ask("POST", f"/sessions/{self._session_id}/checkpoint", {201}, key=True)
        self._record.checkpoints.add(taken["checkpoint_id"])

    def _new(self) -> dict[str, Any]:
        word = f"{self._name}n{len(self.episodes)}x{self._random.getrandbits(40):x}"
        said = " ".join(self._random.choices(_WORDS, k=self._random.randint(3, 12)))
        return {"role": "user", "content": f"{word} {said}", "session_id": self._session_id}

    def _keep(self, episode_id: str, body: dict[str, Any]) -> None:
        content = body["content"]
        self.episodes.append(Episode(episode_id, content.split()[0], content))

    def _one(self, *states: State) -> Episode | None:
        among = [episode for episode in self.episodes if episode.state in states]
        return self._random.choice(among) if among else None

    async def _ask(
        self,
        method: str,
        path: str,
        good: set[int],
        *,
        again: frozenset[int] | set[int] = frozenset(),
        key: bool = False,
        items: bool = False,
        json: Any = None,
    ) -> Any:
        """`data` of the answer, asked for until there is one. again: what is as good from the second time on, since
        the first may have been done. key: with an idempotency key. items: 503 of an item is 503."""
        self._serial += 1
        headers = {"Idempotency-Key": f"{self._name}-{self._serial}"} if key else {}
        record, until, times = self._record, time.monotonic() + GIVE_UP_S, 0
        record.operations.append(f"{self._name} {self._serial} {method} {path} {orjson.dumps(json).decode()}")
        while True:
            client = self._clients[(self._number + times) % len(self._clients)]
            times += 1
            began = time.monotonic()
            record.under_way += 1
            try:
                response = await client.send(method, path, headers=headers, json=json)
            except httpx.TimeoutException:
                record.hung += 1
            except httpx.TransportError:
                record.broken += 1
            else:
                record.slowest_s = max(record.slowest_s, time.monotonic() - began)
                status = response.status_code
                data = response.json().get("data")
                if items and status == 201 and any(item["status"] == 503 for item in data["items"]):
                    status = 503
                if status in good or (times > 1 and status in again):
                    record.acknowledged += 1
                    return data
                if status != 503:
                    record.wrong.append(f"{method} {path}: {status} {response.text[:300]}")
                    raise AssertionError(record.wrong[-1])
                record.refused += 1
            finally:
                record.under_way -= 1
            assert time.monotonic() < until, f"never answered: {method} {path}"
            await asyncio.sleep(self._random.uniform(*_AGAIN_S))


@dataclass(frozen=True)
class Findings:
    """What was acknowledged and isn't so, and what is there more often than it was acknowledged."""

    episodes: int
    lost: list[str]
    duplicated: list[str]
    untold: list[str]
    events: int


async def compare(
    client: Client, writers: Sequence[Writer], record: Record, receiver: Receiver | None = None
) -> Findings:
    """Hold everything that is stored against what was answered, and what a receiver was told, if there is one."""
    text = (await client.send("GET", "/export", params={"format": "ndjson", "include_deleted": "true"})).text
    rows = [orjson.loads(line) for line in text.splitlines()]
    by_id = {row["id"]: row for row in rows}
    expected = {episode.id: episode for writer in writers for episode in writer.episodes}
    lost = []
    for episode in expected.values():
        row = by_id.get(episode.id)
        state: State = "removed" if row is None else "deleted" if row["deleted_at"] else "alive"
        if state != episode.state or (row is not None and row["content"] != episode.content):
            lost.append(f"{episode} is {state}")
        if row is not None and state == "alive" and row["embedding_status"] != "ready":
            lost.append(f"{episode} is {row['embedding_status']}")
    times = Counter(row["content"] for row in rows)
    duplicated = [f"{content} is there {count} times" for content, count in times.items() if count > 1]
    duplicated += [f"nobody was told of {row}" for row in rows if row["id"] not in expected]
    if receiver is None:
        return Findings(len(expected), lost, duplicated, [], 0)
    told = {(event["event"], event["data"].get("episode_id")) for event in receiver.payloads.values()}
    untold = [f"memory.stored of {each}" for each in expected if ("memory.stored", each) not in told]
    untold += [
        f"memory.deleted of {episode}"
        for episode in expected.values()
        if episode.state != "alive" and ("memory.deleted", episode.id) not in told
    ]
    kept = {event["data"].get("checkpoint_id") for event in receiver.payloads.values()}
    untold += [f"checkpoint.created of {each}" for each in record.checkpoints - kept]
    return Findings(len(expected), lost, duplicated, untold, len(receiver.payloads))
