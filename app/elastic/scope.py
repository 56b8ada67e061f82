"""Who asks, and queries that can't be built without saying so.

`ScopedIndex.search` takes a `ScopedQuery` and nothing else, a `ScopedQuery` takes a scope first and
puts its filters around whatever it is given: a forgotten tenant filter is a type error, not a leak.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.types import JsonObject

Query = dict[str, Any]

MARK = f"\x01{secrets.token_hex(8)}\x01"
"""Before and after each word that a highlight marks; nobody can store a text that contains it."""

_HIGHLIGHTED_CHARS = 100_000


class Ownership(Enum):
    """Whose a document is."""

    ORGANISATION = "organisation"
    """Everyone in the organisation reads it."""
    USER = "user"
    """Its user reads it (and its agent, where it names one); without a user, the organisation."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A caller: always in one organisation, as one user, maybe as one of that user's agents.

    Made by authentication and by tests, nowhere else.
    """

    org_id: str
    user_id: str
    agent_id: str | None = None

    def filters(self, ownership: Ownership) -> list[Query]:
        """Clauses that a document must match for this caller to read it."""
        clauses: list[Query] = [{"term": {"org_id": self.org_id}}]
        if ownership is Ownership.USER:
            theirs: list[Query] = [{"term": {"user_id": self.user_id}}]
            if self.agent_id is not None:
                theirs.append(_any_of({"term": {"agent_id": self.agent_id}}, _missing("agent_id")))
            clauses.append(_any_of({"bool": {"filter": theirs}}, _missing("user_id")))
        return clauses

    def allows(self, source: JsonObject, ownership: Ownership) -> bool:
        """The same predicate for a document at hand."""
        if source.get("org_id") != self.org_id:
            return False
        if ownership is Ownership.ORGANISATION or source.get("user_id") is None:
            return True
        agent = source.get("agent_id")
        return source["user_id"] == self.user_id and (self.agent_id is None or agent in (None, self.agent_id))

    def stamp(self) -> JsonObject:
        """The fields that make a new document this caller's."""
        return {"org_id": self.org_id, "user_id": self.user_id, "agent_id": self.agent_id}

    @property
    def organisations(self) -> str | None:
        """The organisation to route to."""
        return self.org_id


@dataclass(frozen=True, slots=True)
class UserScope:
    """All rows of one user in one organisation, whichever agent wrote them, and nobody else's: those
    of the whole organisation are left out. What is forgotten with a user.

    Made where it has been checked that the caller may act for that user, nowhere else.
    """

    org_id: str
    user_id: str

    def filters(self, ownership: Ownership) -> list[Query]:
        """Clauses that a document must match to be this user's."""
        return [{"term": {"org_id": self.org_id}}, {"term": {"user_id": self.user_id}}]

    def allows(self, source: JsonObject, ownership: Ownership) -> bool:
        """The same predicate for a document at hand."""
        return source.get("org_id") == self.org_id and source.get("user_id") == self.user_id

    @property
    def organisations(self) -> str | None:
        """The organisation to route to."""
        return self.org_id


@dataclass(frozen=True, slots=True)
class SystemScope:
    """The service itself, across organisations: workers, log-in, migrations.

    reason: why no tenant's scope can do; it is what a reviewer reads.
    """

    reason: str

    def filters(self, ownership: Ownership) -> list[Query]:
        """Nothing: the service reads every organisation."""
        return []

    def allows(self, source: JsonObject, ownership: Ownership) -> bool:
        """Always."""
        return True

    @property
    def organisations(self) -> str | None:
        """All."""
        return None


AnyScope = Scope | UserScope | SystemScope


@dataclass(frozen=True, slots=True)
class ScopedQuery:
    """A search that carries its scope. Scores come from `query`, everything else only filters.

    filters: clauses of the caller's request. deleted: whether soft-deleted documents are wanted.
    sort, size, offset, after: as in Elasticsearch (`after` is `search_after`). rescore reorders what
    is matched, so it can't reach past the scope; neither can the aggregations that are offered. vectors: whether
    those among `fields` are read, which is never so by itself. highlight: a field in which to mark what matched.
    whole: all fields but vectors, which of many hits is faster than taking some out of each.
    columns: read in place of `fields`, one value each, from doc values: of many hits several times as fast as taking
    their documents apart. The first is the document's id.
    """

    scope: AnyScope
    query: Query | None = None
    filters: Sequence[Query] = ()
    deleted: bool = False
    sort: Sequence[Query] = ()
    size: int = 10
    offset: int = 0
    after: Sequence[Any] | None = None
    fields: Sequence[str] = ()
    whole: bool = False
    columns: Sequence[str] = ()
    rescore: JsonObject | None = None
    aggregations: JsonObject = field(default_factory=dict)
    count_up_to: int | bool = False
    named_scores: bool = False
    vectors: bool = False
    min_score: float | None = None
    highlight: str | None = None

    def __post_init__(self) -> None:
        if any("global" in aggregation for aggregation in self.aggregations.values()):
            raise ValueError("a global aggregation would leave the scope")

    def visible(self, ownership: Ownership, soft_deletes: bool) -> list[Query]:
        """Every filter that applies: the scope's, the soft deletes', and the request's."""
        hidden = [_missing("deleted_at")] if soft_deletes and not self.deleted else []
        return [*self.scope.filters(ownership), *hidden, *self.filters]

    def body(self, ownership: Ownership, soft_deletes: bool) -> JsonObject:
        """The search request's body."""
        inside: JsonObject = {"filter": self.visible(ownership, soft_deletes)}
        if self.query is not None:
            inside["must"] = [self.query]
        body: JsonObject = {
            "query": {"bool": inside},
            "size": self.size,
            "from": self.offset,
            "track_total_hits": self.count_up_to,
        }
        if self.columns:
            body |= {"stored_fields": "_none_", "docvalue_fields": list(self.columns)}
        else:
            body["_source"] = self._source()
        if self.sort:
            body["sort"] = list(self.sort)
        if self.after is not None:
            body["search_after"] = list(self.after)
        if self.rescore is not None:
            body["rescore"] = self.rescore
        if self.aggregations:
            body["aggs"] = self.aggregations
        if self.min_score is not None:
            body["min_score"] = self.min_score
        if self.highlight is not None:
            whole = {"number_of_fragments": 0, "pre_tags": [MARK], "post_tags": [MARK]}
            body["highlight"] = {"fields": {self.highlight: whole}, "max_analyzed_offset": _HIGHLIGHTED_CHARS}
        return body

    def _source(self) -> object:
        if self.whole:
            return True
        if self.vectors:
            return {"includes": list(self.fields), "exclude_vectors": False}
        return list(self.fields) if self.fields else False


def _any_of(*clauses: Query) -> Query:
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def _missing(field_name: str) -> Query:
    return {"bool": {"must_not": [{"exists": {"field": field_name}}]}}
