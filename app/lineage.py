"""What of a session is its present: the branch it is on, and how far each branch before belongs to it. Pure.

A restore deletes nothing. It opens a new branch, whose past is what was there at the checkpoint;
the rest is superseded. Branches are cut by ordinals, the order of arrival: times can be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.elastic.scope import Query
from app.types import JsonObject

FIRST = 0
"""The branch of every session until its first restore. Episodes leave the field `branch` out in it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Part of a past: the episodes of a branch up to an ordinal, that one included."""

    branch: int
    ordinal: int


Path = tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a session is. branch: the newest there has ever been; path: its past."""

    branch: int = FIRST
    path: Path = ()

    def sees(self, branch: int, ordinal: int) -> bool:
        """Whether an episode is part of the present."""
        return branch == self.branch or any(cut.branch == branch and ordinal <= cut.ordinal for cut in self.path)

    def until(self, last: int | None) -> Path:
        """The present as a past. last: the highest ordinal on the branch itself, None where it is empty."""
        return self.path if last is None else (*self.path, Cut(self.branch, last))

    def restored(self, path: Path) -> Lineage:
        """A new branch that goes on from there."""
        return Lineage(self.branch + 1, path)

    def source(self) -> JsonObject:
        """The fields of a session's document."""
        return {"branch": self.branch, "path": path_source(self.path)}

    def filters(self) -> list[Query]:
        """`sees` as filters on episodes of the session."""
        clauses = [_on(self.branch)]
        for cut in self.path:
            upto: Query = {"range": {"ordinal": {"lte": cut.ordinal}}}
            clauses.append({"bool": {"filter": [_on(cut.branch), upto]}})
        return clauses if len(clauses) == 1 else [{"bool": {"should": clauses, "minimum_should_match": 1}}]


def lineage_of(source: JsonObject) -> Lineage:
    """Out of a session's document; one of before there were branches is on the first."""
    return Lineage(source.get("branch", FIRST), path_of(source.get("path") or []))


def path_of(stored: Sequence[JsonObject]) -> Path:
    """Inverse of `path_source`."""
    return tuple(Cut(cut["branch"], cut["ordinal"]) for cut in stored)


def path_source(path: Path) -> list[JsonObject]:
    """As it is stored."""
    return [{"branch": cut.branch, "ordinal": cut.ordinal} for cut in path]


def _on(branch: int) -> Query:
    if branch == FIRST:
        return {"bool": {"must_not": [{"exists": {"field": "branch"}}]}}
    return {"term": {"branch": branch}}
