"""Every query on episodes, as pure functions from a scope and a request to a `ScopedQuery`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.elastic.scope import AnyScope, Query, Scope, ScopedQuery, SystemScope
from app.episodes import ranking, tags
from app.episodes.embedded import FORM, VECTOR_FIELDS
from app.episodes.models import DiffQuery, Mix, SearchRequest
from app.episodes.ranking import Curves
from app.lineage import FIRST, Lineage
from app.types import JsonObject, iso

COUNT_MAX = 100_000
"""How far hits are counted, and how far one can page: the index's max_result_window."""

QUERY_WORDS_MAX = 512
"""Words of a query that BM25 looks for: the embedding reads about as many, and clauses are bounded."""

PUBLIC_FIELDS = ("session_id", "content", "role", "created_at", "ordinal", "tags", "metadata")
_ID_COLUMNS = ("episode_id",)
ORDER_COLUMNS = (*_ID_COLUMNS, "created_at", "ordinal")
"""What equals are ordered by."""

CANDIDATE_FIELDS = (
    "session_id", "role", "created_at", "ordinal", "token_count", "speaker", "is_question", "context_of", "token_codes",
    "embedding_model", "embedding_form",
)  # fmt: skip
"""What the second stage of a search looks at."""

# Without what an embedding makes anew: vectors, codes, context, context_of.
_ALL_BUT_VECTORS = (
    "org_id", "user_id", "agent_id", "episode_id", "session_id", "role", "content", "token_count", "tags",
    "tag_numbers", "metadata", "created_at", "ordinal", "branch", "embedding_status", "embedding_model",
    "embedding_form", "speaker", "is_question", "embedding_generated_at", "embedding_error", "embedding_attempts",
    "embedding_due_at", "deleted_at", "events", "request_id",
)  # fmt: skip

NEWEST_FIRST: list[Query] = [{"created_at": "desc"}, {"ordinal": "desc"}, {"episode_id": "asc"}]
OLDEST_FIRST: list[Query] = [{"created_at": "asc"}, {"ordinal": "asc"}, {"episode_id": "desc"}]
BEST_FIRST: list[Query] = [{"_score": "desc"}, *NEWEST_FIRST]

_EVERYTHING: Query = {"match_all": {}}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A query's embedding and the model whose vectors it may be compared with. by_token: the tokens of its texts are
    compared one by one in the second stage, which leaves the first a share of the semantic part."""

    vector: list[float]
    model_id: str
    by_token: bool


def request_filters(request: SearchRequest) -> list[Query]:
    """The filters of a search."""
    filters = tags.clauses(request.tags, request.tag_filters)
    if request.session_id is not None:
        filters.append({"term": {"session_id": request.session_id}})
    if request.role is not None:
        filters.append({"term": {"role": request.role}})
    filters += between(request.from_time, request.to_time)
    return filters


def between(from_time: datetime | None, to_time: datetime | None) -> list[Query]:
    """A filter on created_at, both ends inclusive; nothing where neither is given."""
    bounds = {key: iso(moment) for key, moment in (("gte", from_time), ("lte", to_time)) if moment is not None}
    return [{"range": {"created_at": bounds}}] if bounds else []


def newest(scope: Scope, request: SearchRequest) -> ScopedQuery:
    """Without words: what the filters match, newest first, uncounted."""
    # Each later text takes an earlier one's place, and ids are what takes long to compare: of 150,000 that lie in the
    # order of time, 112 ms with them and 19 without. Only two processes in the same microsecond write equals.
    return replace(_page(scope, request, _EVERYTHING, sort=NEWEST_FIRST[:2]), count_up_to=False)


def keyword(scope: Scope, request: SearchRequest, curves: Curves) -> ScopedQuery:
    """By words. With tag filters, what they match but no word hits comes last, with score 0."""
    needed = 0 if request.tags or request.tag_filters else 1
    query = _scored(words(request.words, needed, named=request.explain), None, Mix(0.0, 1.0, 0.0), curves)
    return _page(scope, request, query, sort=BEST_FIRST)


def exact(scope: Scope, request: SearchRequest, meaning: Meaning, mix: Mix, curves: Curves) -> ScopedQuery:
    """Score every episode in scope. In semantic mode only those that have been embedded."""
    query = _scored(words(request.words, 0, named=request.explain), meaning, mix, curves)
    return _page(scope, request, query, sort=BEST_FIRST, extra=_semantic_only(request, meaning))


def candidates(
    scope: Scope, request: SearchRequest, meaning: Meaning, mix: Mix, curves: Curves, size: int, *, ordered: bool
) -> ScopedQuery:
    """Which are the best of an `exact` search. ordered: equals by time, newest first, which takes half as long again;
    otherwise in no order among themselves."""
    return ScopedQuery(
        scope,
        query=_scored(words(request.words, 0), meaning, mix, curves),
        filters=[*request_filters(request), *_semantic_only(request, meaning)],
        sort=BEST_FIRST if ordered else (),
        size=size,
        columns=_ID_COLUMNS,
        count_up_to=COUNT_MAX,
    )


def closely(scope: Scope, episode_ids: Sequence[str], *, short_tokens: int | None = None) -> ScopedQuery:
    """What the second stage looks at, of these. short_tokens: only those of at most so many, with what results show."""
    filters: list[Query] = [{"terms": {"episode_id": list(episode_ids)}}]
    if short_tokens is None:
        return ScopedQuery(scope, filters=filters, size=len(episode_ids), fields=CANDIDATE_FIELDS)
    filters.append({"range": {"token_count": {"lte": short_tokens}}})
    return ScopedQuery(scope, filters=filters, size=len(episode_ids), whole=True)


def scans(vector_index: str | None) -> bool:
    """Whether kNN on this type of index compares every vector that is left to it, rather than search a graph."""
    return vector_index is not None and vector_index.endswith("_flat")


def windowed(
    scope: Scope,
    request: SearchRequest,
    meaning: Meaning,
    mix: Mix,
    curves: Curves,
    *,
    window: int,
    size: int,
    visible: Sequence[Query] | None,
    columns: Sequence[str] = (),
) -> ScopedQuery:
    """Score exactly the `window` best candidates of an approximate first pass.

    visible: all filters in force (`ScopedIndex.filters`), for a kNN clause that searches a graph before anything
    around it filters; none for one that compares what the filters around it leave. size: how many of the list's top to
    fetch; ties are the caller's to order, since a rescored search can't be sorted otherwise. columns: in place of what
    results show, ORDER_COLUMNS.
    """
    spread = curves.high - curves.low
    meant = mix.semantic * _vector_share(meaning)
    candidates: list[Query] = []
    if mix.semantic > 0:
        # A graph gives the nearest a score and all others none: as many as the window holds would fill it, and what
        # only words find would have no place.
        nearest = max(1, round(window * meant / (meant + mix.keyword)))
        candidates.append(
            {
                "knn": {
                    "field": "context_vector",
                    "query_vector": meaning.vector,
                    "k": nearest,
                    "num_candidates": nearest,
                    # The window is rescored exactly anyway; by default three times as many would be, too.
                    "rescore_vector": {"oversample": 0},
                    **({"filter": list(visible)} if visible is not None else {}),
                    "boost": 2 * meant / spread,
                }
            }
        )
    if mix.keyword > 0:
        boost = mix.keyword / (2 * ranking.BM25_HALF)
        candidates += _word_by_word("content", request.words, boost)
        candidates += _word_by_word("context", request.words, boost * ranking.CONTEXT_BOOST)
    if mix.recency > 0:
        pivot = f"{int(curves.half_life_ms)}ms"
        newer = {"field": "created_at", "origin": curves.now_ms, "pivot": pivot, "boost": mix.recency}
        candidates.append({"distance_feature": newer})
    rescored = _scored(words(request.words, 0, named=request.explain), meaning, mix, curves)
    return ScopedQuery(
        scope,
        query={"bool": {"should": candidates, "minimum_should_match": 1}},
        filters=[*request_filters(request), *_semantic_only(request, meaning)],
        size=size,
        fields=PUBLIC_FIELDS,
        columns=columns,
        rescore={
            "window_size": window,
            "query": {"rescore_query": rescored, "query_weight": 0, "rescore_query_weight": 1},
        },
        count_up_to=window,
        named_scores=request.explain,
        highlight="content" if request.explain else None,
    )


def explained(scope: Scope, request: SearchRequest, episode_ids: Sequence[str]) -> ScopedQuery:
    """What an explained answer shows of these episodes, and how the query's words score in them."""
    return ScopedQuery(
        scope,
        query=words(request.words, 0, named=True),
        filters=[{"terms": {"episode_id": list(episode_ids)}}],
        size=len(episode_ids),
        fields=PUBLIC_FIELDS,
        named_scores=True,
        highlight="content",
    )


def beside(
    scope: AnyScope,
    session_id: str,
    moment_ms: int,
    ordinal: int,
    size: int,
    *,
    later: bool = False,
    org_id: str | None = None,
) -> ScopedQuery:
    """The turns next to a moment in a session, the nearest first. org_id: whose, where the scope is of all."""
    theirs: list[Query] = [{"term": {"org_id": org_id}}] if org_id else []
    return ScopedQuery(
        scope,
        filters=[*theirs, *present(session_id, None)],
        sort=OLDEST_FIRST[:2] if later else NEWEST_FIRST[:2],
        after=[moment_ms, ordinal],
        size=size,
        fields=("role", "content", "created_at", "ordinal"),
    )


def in_scope(scope: Scope, request: SearchRequest) -> ScopedQuery:
    """What a search would have to score, for counting it."""
    return ScopedQuery(scope, filters=request_filters(request))


def words(text: str, needed: int, *, named: bool = False) -> Query:
    """BM25 on the own text plus half of it on the context. needed: 1 if the own text must match. named: so that each
    hit tells how much which of both gave, which takes time.

    Any word may match, never must all: a question rarely shares all of its words with its answer.
    """
    own = _match("content", text, 1.0, name="content" if named else None)
    context = _match("context", text, ranking.CONTEXT_BOOST, name="context" if named else None)
    if needed:
        return {"bool": {"must": [own], "should": [context]}}
    return {"bool": {"filter": [_EVERYTHING], "should": [own, context]}}


def _word_by_word(field: str, text: str, boost: float) -> list[Query]:
    """The same score as of one clause, in a clause for each word: Lucene then skips what only common words are in
    (MAXSCORE, Turtle & Flood 1995), which it can't see through a clause within a clause."""
    counted = Counter(text.split()[:QUERY_WORDS_MAX])
    return [_match(field, word, boost * count) for word, count in counted.items()]


def _match(field: str, text: str, boost: float, name: str | None = None) -> Query:
    clause: JsonObject = {"query": " ".join(text.split()[:QUERY_WORDS_MAX]), "boost": boost}
    if name:
        clause["_name"] = name
    return {"match": {field: clause}}


def _scored(query: Query, meaning: Meaning | None, mix: Mix, curves: Curves) -> Query:
    """Replace a query's BM25 by the mixed score. Vectors of another model are never compared."""
    without = {"source": ranking.WITHOUT_VECTORS, "params": curves.params(mix, None)}
    if meaning is None or mix.semantic == 0:
        functions: list[JsonObject] = [{"script_score": {"script": without}}]
    else:
        ours, current = {"term": {"embedding_model": meaning.model_id}}, {"term": {"embedding_form": FORM}}
        params = curves.params(mix, meaning.vector, _vector_share(meaning))
        # Of an earlier form no tokens are known: vectors stand for everything.
        earlier_params = curves.params(mix, meaning.vector)
        with_vector = {"source": ranking.WITH_VECTOR, "params": params}
        with_two = {"source": ranking.WITH_EARLIER_VECTORS, "params": earlier_params}
        functions = [
            {"filter": {"bool": {"filter": [ours, current]}}, "script_score": {"script": with_vector}},
            {
                "filter": {"bool": {"filter": [ours], "must_not": [current]}},
                "script_score": {"script": with_two},
            },
            {"filter": {"bool": {"must_not": [ours]}}, "script_score": {"script": without}},
        ]
    return {
        "function_score": {
            "query": query,
            "functions": functions,
            "score_mode": "sum",
            "boost_mode": "replace",
        }
    }


def _vector_share(meaning: Meaning) -> float:
    return ranking.VECTOR_SHARE if meaning.by_token else 1.0


def _semantic_only(request: SearchRequest, meaning: Meaning) -> list[Query]:
    return [{"term": {"embedding_model": meaning.model_id}}] if request.search_mode == "semantic" else []


def _page(
    scope: Scope,
    request: SearchRequest,
    query: Query,
    *,
    sort: Sequence[Query],
    extra: Sequence[Query] = (),
) -> ScopedQuery:
    reachable = request.offset + request.limit <= COUNT_MAX
    return ScopedQuery(
        scope,
        query=query,
        filters=[*request_filters(request), *extra],
        sort=sort,
        size=request.limit if reachable else 0,
        offset=request.offset if reachable else 0,
        fields=PUBLIC_FIELDS,
        count_up_to=COUNT_MAX,
        named_scores=request.explain,
        highlight="content" if request.explain and request.words else None,
        min_score=request.min_score or None,
    )


def present(session_id: str, lineage: Lineage | None) -> list[Query]:
    """A session's episodes without those that a restore has superseded; all of them without a lineage."""
    filters: list[Query] = [{"term": {"session_id": session_id}}]
    return filters if lineage is None else filters + lineage.filters()


def history(
    scope: Scope,
    session_id: str,
    lineage: Lineage | None,
    *,
    limit: int,
    offset: int,
    newest_first: bool,
    times: Sequence[Query],
) -> ScopedQuery:
    """A session's present from one end; with its superseded episodes where no lineage is given."""
    reachable = offset + limit <= COUNT_MAX
    return ScopedQuery(
        scope,
        filters=[*present(session_id, lineage), *times],
        sort=NEWEST_FIRST if newest_first else OLDEST_FIRST,
        size=limit if reachable else 0,
        offset=offset if reachable else 0,
        fields=_ALL_BUT_VECTORS,
        count_up_to=True,
    )


def statuses(scope: Scope, session_id: str | None = None) -> ScopedQuery:
    """How many episodes, of a session or of all, are in which embedding status, and from when the oldest of each is."""
    oldest = {"oldest": {"min": {"field": "created_at"}}}
    return ScopedQuery(
        scope,
        filters=[{"term": {"session_id": session_id}}] if session_id else [],
        size=0,
        count_up_to=True,
        aggregations={"statuses": {"terms": {"field": "embedding_status", "size": 3}, "aggs": oldest}},
    )


def message_counts(scope: Scope, lineages: Mapping[str, Lineage]) -> ScopedQuery:
    """How many episodes the present of each of these sessions has."""
    # Few sessions were ever restored; the others share one clause.
    plain = [session_id for session_id, lineage in lineages.items() if lineage.branch == FIRST]
    clauses: list[Query] = [{"bool": {"filter": [{"terms": {"session_id": plain}}, *Lineage().filters()]}}]
    clauses += [
        {"bool": {"filter": present(session_id, lineage)}}
        for session_id, lineage in lineages.items()
        if lineage.branch != FIRST
    ]
    return ScopedQuery(
        scope,
        filters=[{"bool": {"should": clauses, "minimum_should_match": 1}}],
        size=0,
        aggregations={"sessions": {"terms": {"field": "session_id", "size": max(1, len(lineages))}}},
    )


def by_priority(
    scope: Scope,
    session_id: str,
    lineage: Lineage,
    script: str,
    params: JsonObject,
    *,
    size: int,
    after: Sequence[object] | None,
) -> ScopedQuery:
    """A session's present, the episode that stays longest in the window first."""
    order: Query = {"_script": {"type": "number", "order": "desc", "script": {"source": script, "params": params}}}
    return ScopedQuery(
        scope,
        filters=present(session_id, lineage),
        sort=[order, *NEWEST_FIRST],
        size=size,
        after=after,
        fields=("role", "content", "token_count", "created_at", "ordinal"),
    )


def last_on_branch(scope: SystemScope, org_id: str, session_id: str, branch: int) -> ScopedQuery:
    """The newest arrival on a branch, whoever wrote it, deleted or not: a cut below something that only some
    see would take it from those who do, and what is deleted may be brought back."""
    return ScopedQuery(
        scope,
        filters=[{"term": {"org_id": org_id}}, *present(session_id, Lineage(branch))],
        deleted=True,
        sort=[{"ordinal": "desc"}],
        size=1,
        fields=("ordinal",),
    )


def tokens_since(scope: AnyScope, session_id: str, lineage: Lineage, ordinal: int) -> ScopedQuery:
    """The tokens of a session's present that arrived after an ordinal."""
    return ScopedQuery(
        scope,
        filters=[*present(session_id, lineage), {"range": {"ordinal": {"gt": ordinal}}}],
        size=0,
        aggregations={"tokens": {"sum": {"field": "token_count"}}},
    )


def due_for_embedding(scope: SystemScope, now: datetime, model_id: str, size: int) -> ScopedQuery:
    """Episodes whose embedding is due, longest waiting first: new ones, failed ones whose next try
    has come, and ready ones of a model or form that is no longer the current one."""
    due: Query = {"range": {"embedding_due_at": {"lte": iso(now)}}}
    current: Query = {"bool": {"filter": [{"term": {"embedding_model": model_id}}, {"term": {"embedding_form": FORM}}]}}
    outdated: Query = {"bool": {"filter": [{"term": {"embedding_status": "ready"}}], "must_not": [current]}}
    return ScopedQuery(
        scope,
        filters=[{"bool": {"should": [due, outdated], "minimum_should_match": 1}}],
        sort=[{"ordinal": "asc"}, {"episode_id": "asc"}],
        size=size,
        fields=_ALL_BUT_VECTORS,
        deleted=False,
    )


HIDE = "ctx._source.deleted_at = params.at"
"""Soft delete, as a script on many."""

DROP_CONTEXT = (
    "ctx._source.context = ''; ctx._source.remove('context_of');"
    " ctx._source.remove('context_vector'); ctx._source.remove('token_codes');"
    " ctx._source.remove('embedding_model'); ctx._source.remove('embedding_form');"
    " if (ctx._source.embedding_status == 'ready') { ctx._source.embedding_status = 'pending' }"
    " ctx._source.embedding_due_at = params.now"
)
"""Leaves nothing of what had been said before an episode, and has it embedded anew."""


def of_session(scope: AnyScope, session_id: str) -> ScopedQuery:
    """All of a session's episodes that are not deleted."""
    return ScopedQuery(scope, filters=[{"term": {"session_id": session_id}}])


def with_context_of(scope: AnyScope, episode_ids: Collection[str]) -> ScopedQuery:
    """Episodes, deleted ones too, whose context was taken from one of these."""
    return ScopedQuery(scope, filters=[{"terms": {"context_of": list(episode_ids)}}], deleted=True)


def expired(scope: AnyScope, before_time: datetime, size: int) -> ScopedQuery:
    """Episodes that were deleted longer ago than they can be restored."""
    return ScopedQuery(
        scope,
        filters=[{"range": {"deleted_at": {"lt": iso(before_time)}}}],
        deleted=True,
        size=size,
        fields=("org_id",),
    )


def added(scope: Scope, wanted: DiffQuery) -> ScopedQuery:
    """What was said in a period, oldest first."""
    return ScopedQuery(
        scope,
        filters=[*_diff_filters(wanted), *between(wanted.from_time, wanted.to_time)],
        sort=OLDEST_FIRST,
        size=wanted.limit,
        fields=_ALL_BUT_VECTORS,
    )


def taken_away(scope: Scope, wanted: DiffQuery) -> ScopedQuery:
    """What was soft-deleted in a period, oldest deletion first."""
    period = {"range": {"deleted_at": {"gte": iso(wanted.from_time), "lte": iso(wanted.to_time)}}}
    return ScopedQuery(
        scope,
        filters=[*_diff_filters(wanted), period],
        deleted=True,
        sort=[{"deleted_at": "asc"}, {"episode_id": "asc"}],
        size=wanted.limit,
        fields=("session_id", "deleted_at"),
    )


def _diff_filters(wanted: DiffQuery) -> list[Query]:
    terms = {"session_id": wanted.session_id, "role": wanted.role, "user_id": wanted.user_id}
    return [
        *({"term": {field: value}} for field, value in terms.items() if value is not None),
        *tags.clauses(wanted.tags, ()),
    ]


EXPORTED_FIELDS = (
    "session_id", "role", "content", "tags", "metadata", "created_at", "embedding_status", "deleted_at",
)  # fmt: skip
EMBEDDED_FIELDS = ("embedding_model", "embedding_form", "context", "context_of", *VECTOR_FIELDS)


def exported(
    scope: Scope, *, session_id: str | None, times: Sequence[Query], deleted: bool, vectors: bool, page_rows: int
) -> ScopedQuery:
    """All that an export holds, oldest first. page_rows: how many to read at once."""
    session: list[Query] = [] if session_id is None else [{"term": {"session_id": session_id}}]
    return ScopedQuery(
        scope,
        filters=[*session, *times],
        deleted=deleted,
        sort=OLDEST_FIRST,
        size=page_rows,
        fields=(*EXPORTED_FIELDS, *EMBEDDED_FIELDS) if vectors else EXPORTED_FIELDS,
        vectors=vectors,
    )


def those(scope: Scope, episode_ids: Collection[str], *, deleted: bool) -> ScopedQuery:
    """Which of these episodes the caller reads."""
    return ScopedQuery(
        scope,
        filters=[{"terms": {"episode_id": list(episode_ids)}}],
        deleted=deleted,
        size=max(1, len(episode_ids)),
        fields=("episode_id",),
    )
