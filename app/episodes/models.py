"""What the memory takes and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.episodes.tags import TAG_MAX_CHARS, TagFilter
from app.types import CleanText, Id, JsonObject, Metadata, UtcDateTime, utc_now
from app.validation import Input, examples

ROLE_MAX_CHARS = 64
TAGS_MAX = 50
BATCH_MAX = 500
SEARCH_MAX = 100
DIFF_MAX = 1_000
NEIGHBOURS_MAX = 10
OFFSET_MAX = 10_000_000
QUERY_MAX_CHARS = 100_000
TAG_FILTERS_MAX = 50
EARLIEST_YEAR = 1
WEIGHT_TOLERANCE = 1e-6

EmbeddingStatus = Literal["pending", "ready", "failed"]
SearchMode = Literal["semantic", "keyword", "hybrid"]

Role = Annotated[CleanText, StringConstraints(min_length=1, max_length=ROLE_MAX_CHARS)]
Tag = Annotated[CleanText, StringConstraints(min_length=1, max_length=TAG_MAX_CHARS)]


class NewEpisode(Input):
    """Something that was said."""

    model_config = ConfigDict(
        json_schema_extra=examples(
            {"role": "user", "content": "I am allergic to peanuts.", "tags": ["topic:food"], "metadata": {"turn": 1}}
        )
    )

    role: Role
    content: Annotated[CleanText, Field(min_length=1)]
    session_id: Id | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=TAGS_MAX)
    metadata: Metadata = Field(default_factory=dict)
    created_at: UtcDateTime | None = Field(None, description="When it was said, for imported history; default now.")

    @field_validator("role", "content")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value

    @field_validator("created_at")
    @classmethod
    def _past(cls, value: datetime | None) -> datetime | None:
        if value is not None and value > utc_now():
            raise ValueError("must not be in the future")
        return value.replace(microsecond=value.microsecond // 1000 * 1000) if value else None


class NewEpisodes(Input):
    """Up to 500 episodes, each validated and answered by itself."""

    model_config = ConfigDict(
        json_schema_extra=examples(
            {
                "episodes": [
                    {"role": "user", "content": "Where is my order?"},
                    {"role": "assistant", "content": "It left today."},
                ]
            }
        )
    )

    episodes: list[JsonObject] = Field(min_length=1, max_length=BATCH_MAX)


class Weights(Input):
    """How much each part of a hybrid score counts; they sum to 1."""

    semantic: float | None = Field(None, ge=0, le=1)
    keyword: float | None = Field(None, ge=0, le=1)
    recency: float | None = Field(None, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights in full."""

    semantic: float
    keyword: float
    recency: float


DEFAULT_MIX = Mix(semantic=0.6, keyword=0.3, recency=0.1)


def mix_of(weights: Weights | None) -> Mix:
    """Fill in what was left out: with 0 when the given ones sum to 1, else with the default.

    Raises ValueError when the sum isn't 1 within 1e-6.
    """
    given = weights.model_dump(exclude_none=True) if weights else {}
    if abs(sum(given.values()) - 1) <= WEIGHT_TOLERANCE:
        return Mix(**({"semantic": 0.0, "keyword": 0.0, "recency": 0.0} | given))
    filled = {
        "semantic": DEFAULT_MIX.semantic,
        "keyword": DEFAULT_MIX.keyword,
        "recency": DEFAULT_MIX.recency,
    } | given
    total = sum(filled.values())
    if abs(total - 1) > WEIGHT_TOLERANCE:
        raise ValueError(f"must sum to 1.0, not {total:g}")
    return Mix(**filled)


class SearchRequest(Input):
    """What to look for, in which mode, within which filters."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra=examples(
            {
                "query": "What must I not eat?",
                "tag_filters": [{"key": "topic", "op": "eq", "value": "food"}],
                "limit": 5,
            }
        ),
    )

    query: Annotated[CleanText, Field(max_length=QUERY_MAX_CHARS)] = ""
    session_id: Id | None = None
    role: Role | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=TAGS_MAX)
    tag_filters: list[TagFilter] = Field(default_factory=list, max_length=TAG_FILTERS_MAX)
    from_time: UtcDateTime | None = None
    to_time: UtcDateTime | None = None
    limit: int = Field(20, ge=1, le=SEARCH_MAX)
    offset: int = Field(0, ge=0, le=OFFSET_MAX)
    search_mode: SearchMode = Field("hybrid", validation_alias=AliasChoices("search_mode", "mode"))
    weights: Weights | None = None
    explain: bool = Field(False, description="Show each part of every score, and the words that matched.")
    include_context: int = Field(
        0, ge=0, le=NEIGHBOURS_MAX, description="Show so many turns of its session before and after each result."
    )
    collapse: bool = Field(
        False, description="Show near-duplicates once, with their number; reaches the best 200 results."
    )
    min_score: float = Field(0, ge=0, le=1, description="Leave out what scores less.")
    at: UtcDateTime | None = Field(None, description="The moment that recency is counted from; default now.")

    @model_validator(mode="after")
    def _weights_sum(self) -> SearchRequest:
        if self.search_mode == "hybrid":
            try:
                mix_of(self.weights)
            except ValueError as error:
                raise PydanticCustomError("weights_sum", "weights {reason}", {"reason": str(error)}) from None
        return self

    @property
    def words(self) -> str:
        """The query, or nothing where it is blank and only the filters count."""
        return self.query.strip()


class DiffQuery(Input):
    """Which period, and which episodes of it. tags: repeated or separated by commas, all must match."""

    from_time: UtcDateTime
    to_time: UtcDateTime
    session_id: Id | None = None
    user_id: Id | None = None
    role: Role | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=TAGS_MAX)
    limit: int = Field(100, ge=1, le=DIFF_MAX)

    @field_validator("tags", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
            return value
        return [tag for item in given for tag in item.split(",") if tag]


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode as stored."""

    id: str
    session_id: str | None
    role: str
    content: str
    created_at: datetime
    ordinal: int
    tags: list[str]
    metadata: JsonObject
    token_count: int
    embedding_status: EmbeddingStatus
    embedding_generated_at: datetime | None
    embedding_error: str | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """The receipt of a stored episode: it is durable, and every later read sees it."""

    request_id: str
    episode_id: str
    session_id: str | None
    created_at: datetime
    token_count: int
    embedding_status: EmbeddingStatus


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What became of one episode of a batch. error: `{code, message, details}`, or None."""

    index: int
    status: int
    episode_id: str | None = None
    session_id: str | None = None
    created_at: datetime | None = None
    token_count: int | None = None
    embedding_status: EmbeddingStatus | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """One item per episode, in the order in which they came."""

    request_id: str
    items: list[BatchItem]
    stored: int
    failed: int


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One part of a score: itself in 0..1, its weight, and their product."""

    score: float
    weight: float
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a score came about; the shares sum to it. lift: for what a text can't show by itself; its weight is what the
    other parts left to 1."""

    semantic: ScorePart
    keyword: ScorePart
    recency: ScorePart
    lift: ScorePart


@dataclass(frozen=True, slots=True)
class SearchResult:
    """An episode that was found. score: 0..1."""

    episode_id: str
    session_id: str | None
    content: str
    role: str
    score: float
    created_at: datetime
    tags: list[str]
    metadata: JsonObject


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn beside a result."""

    episode_id: str
    role: str
    content: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was said in the session around a result, each list oldest first."""

    before: list[Turn]
    after: list[Turn]


@dataclass(frozen=True, slots=True)
class DetailedResult(SearchResult):
    """With what was asked for beside it. explanation: the parts of its score. matched: words of its content that the
    query has too, in any form. context: the turns around it, of a result in a session. duplicates: how many
    near-duplicates it stands for."""

    explanation: Explanation | None = None
    matched: list[str] | None = None
    context: Surroundings | None = None
    duplicates: int | None = None


@dataclass(frozen=True, slots=True)
class SearchResults:
    """A page of results. total: how many could be paged through."""

    request_id: str
    results: Sequence[DetailedResult | SearchResult]
    total: int
    query_time_ms: int


@dataclass(frozen=True, slots=True)
class EpisodeStatus:
    """How far the embedding of an episode is."""

    episode_id: str
    embedding_status: EmbeddingStatus
    embedding_generated_at: datetime | None
    embedding_error: str | None


@dataclass(frozen=True, slots=True)
class EmbeddingLag:
    """How many of the caller's episodes are in which state. oldest_pending_at: when the first of those that aren't
    embedded yet was said."""

    pending: int
    ready: int
    failed: int
    total: int
    oldest_pending_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeletedEpisode:
    """The receipt of a soft delete."""

    request_id: str
    deleted: bool
    episode_id: str
    soft: bool
    restorable_until: datetime
