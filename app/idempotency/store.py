"""Creating things once per idempotency key, by ids that derive from the request.

The thing and the marker of its key go in one bulk. Where the thing exists already, the request is a
repeat; where only the marker does, the key came with another body. Nothing waits and nothing is
locked: of a hundred at once, Elasticsearch lets one create the document and the others find it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.elastic.client import VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import IDEMPOTENCY
from app.elastic.writes import Revision, Write
from app.errors import ConflictError
from app.idempotency.models import KEY_LIFE, Answered, Creation
from app.types import JsonObject, from_iso, iso, utc_now

_TRIES = 5
_GENERATIONS_MAX = 10_000

Make = Callable[[str], JsonObject]
"""A new document's source for its id."""

WrittenAt = Callable[[JsonObject], datetime]
"""When a stored document was written, by its source."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to create. number: its place in the request."""

    make: Make
    number: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A thing that is stored. source: as it is stored, also where it was there before."""

    id: str
    source: JsonObject
    replayed: bool


class OnceStore:
    """See the module. strict: a key that comes with another body is refused."""

    def __init__(self, engine: Engine, *, strict: bool) -> None:
        self._engine = engine
        self._markers = ScopedIndex(engine, IDEMPOTENCY)
        self._strict = strict

    async def create(
        self, creation: Creation, index: ScopedIndex, make: Make, written_at: WrittenAt, answered: Answered
    ) -> Made:
        """Store one thing durably, or find it stored by an earlier request.

        Raises Unavailable, or ConflictError where a key is used with another body and that is refused.
        """
        made = (await self.create_all(creation, index, [Item(make)], written_at, answered))[0]
        if isinstance(made, BaseException):
            raise made
        return made

    async def create_all(
        self,
        creation: Creation,
        index: ScopedIndex,
        items: Sequence[Item],
        written_at: WrittenAt,
        answered: Answered,
    ) -> list[Made | BaseException]:
        """The same for many, each with a result or exception of its own, in order."""
        if creation.key is None:
            sources = [(creation.id(), item) for item in items]
            documents = [(document_id, item.make(document_id)) for document_id, item in sources]
            results = await index.create_all(creation.scope, documents)
            return [
                Made(document_id, source, replayed=False) if isinstance(result, Revision) else result
                for (document_id, source), result in zip(documents, results, strict=True)
            ]
        if self._strict:
            await self._claim(creation)
        outcomes: dict[int, Made | BaseException] = {}
        left = list(range(len(items)))
        for generation in range(_GENERATIONS_MAX):
            left = await self._generation(creation, index, items, left, generation, written_at, outcomes, answered)
            if not left:
                break
        answered.replayed = bool(items) and all(isinstance(made, Made) and made.replayed for made in outcomes.values())
        return [outcomes[number] for number in range(len(items))]

    async def _generation(
        self,
        creation: Creation,
        index: ScopedIndex,
        items: Sequence[Item],
        left: Sequence[int],
        generation: int,
        written_at: WrittenAt,
        outcomes: dict[int, Made | BaseException],
        answered: Answered,
    ) -> list[int]:
        """Try one generation of ids for the items that are left; returns those that met one that is too old."""
        again: list[int] = []
        waiting = list(left)
        for _ in range(_TRIES):
            sources = {}
            for place in waiting:
                document_id = creation.id(generation, items[place].number)
                sources[place] = (document_id, items[place].make(document_id))
            marker = [] if self._strict else [self._marker(creation)]
            writes = [index.creation(creation.scope, *sources[place]) for place in waiting]
            results = await self._engine.writer.write_all([*writes, *marker])
            met = []
            for place, result in zip(waiting, results, strict=False):
                document_id, source = sources[place]
                if isinstance(result, Revision):
                    outcomes[place] = Made(document_id, source, replayed=False)
                elif isinstance(result, VersionConflict):
                    met.append(place)
                else:
                    outcomes[place] = result
            if not self._strict:
                await self._note_reuse(creation, results[-1], answered)
            waiting = []
            for place in met:
                found = await index.get(creation.scope, sources[place][0])
                if found is None:
                    # Deleted for good between the two requests.
                    waiting.append(place)
                elif written_at(found.source) + KEY_LIFE < utc_now():
                    again.append(place)
                else:
                    outcomes[place] = Made(found.id, found.source, replayed=True)
            if not waiting:
                return again
        raise RuntimeError("what an idempotency key names kept appearing and disappearing")

    async def _note_reuse(self, creation: Creation, result: Revision | BaseException, answered: Answered) -> None:
        """See whether the key was in use with another body; one that has run out counts from now again."""
        if not isinstance(result, VersionConflict):
            return
        marker = await self._markers.get(creation.scope, creation.marker_id)
        if marker is None or await self._renewed(creation, marker):
            return
        answered.reused = answered.reused or marker.source["fingerprint"] != creation.fingerprint

    async def _claim(self, creation: Creation) -> None:
        """Take the key for this body before anything is made. Raises ConflictError when another body has it."""
        for _ in range(_TRIES):
            try:
                write = self._marker(creation)
                await self._engine.writer.write(write)
            except VersionConflict:
                marker = await self._markers.get(creation.scope, creation.marker_id)
                if marker is None or await self._renewed(creation, marker):
                    continue
                if marker.source["fingerprint"] != creation.fingerprint:
                    raise ConflictError(
                        "This idempotency key was used with another request body; use a new key for a new request.",
                        code="IDEMPOTENCY_KEY_REUSED",
                    ) from None
            return
        raise RuntimeError("an idempotency key kept changing")

    async def _renewed(self, creation: Creation, marker: Document) -> bool:
        """Whether the key had run out. If so it is given to this request, or another one just took it."""
        if from_iso(marker.source["created_at"]) + KEY_LIFE >= utc_now():
            return False
        try:
            await self._markers.update(
                creation.scope, marker, {"fingerprint": creation.fingerprint, "created_at": iso(utc_now())}
            )
        except VersionConflict:
            return True
        return True

    def _marker(self, creation: Creation) -> Write:
        source = creation.scope.stamp() | {"fingerprint": creation.fingerprint, "created_at": iso(utc_now())}
        kept = {key: value for key, value in source.items() if value is not None}
        return self._markers.creation(creation.scope, creation.marker_id, kept)
