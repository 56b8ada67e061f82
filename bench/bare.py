"""What the service asks of Elasticsearch, to be sent without the service: the floor that it is measured against."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from app.elastic.indices import EPISODES
from app.elastic.scope import ScopedQuery
from app.embedding import QueryEmbedder
from app.episodes import queries
from app.episodes.models import DEFAULT_MIX, Mix, SearchRequest
from app.episodes.queries import Meaning
from app.episodes.ranking import Curves, scoring_moment
from app.episodes.search import CANDIDATES, TIES_MARGIN
from app.lineage import Lineage
from app.settings import Settings
from app.types import utc_now
from bench.caller import Caller, post
from bench.load import Request, send

_MIXES = {"hybrid": DEFAULT_MIX, "semantic": Mix(1.0, 0.0, 0.0), "keyword": Mix(0.0, 1.0, 0.0)}


class BareSearch:
    """Searches of one caller with so many episodes in scope, as first sent: the second stage is the service's own."""

    def __init__(self, settings: Settings, embedder: QueryEmbedder, caller: Caller, size: int) -> None:
        self._settings = settings
        self._embedder = embedder
        self._caller = caller
        self._size = size

    async def search(self, text: str, mode: str = "hybrid") -> Request:
        """Of these words."""
        scope, settings = self._caller.scope, self._settings
        request = SearchRequest.model_validate({"query": text, "search_mode": mode})
        low, high = self._embedder.info.scale
        half_life_ms = settings.recency_half_life_days * 86_400_000
        curves, mix = Curves(low, high, half_life_ms, scoring_moment(utc_now())), _MIXES[mode]
        if mode == "keyword":
            return self._sent(queries.keyword(scope, request, curves))
        vector = (await self._embedder.embed(text)).vector.tolist()
        meaning = Meaning(vector, self._embedder.info.model_id, self._embedder.info.token_scale is not None)
        if self._size <= settings.exact_search_limit:
            return self._sent(queries.candidates(scope, request, meaning, mix, curves, CANDIDATES + 1, ordered=False))
        filters = queries.in_scope(scope, request).visible(EPISODES.ownership, EPISODES.soft_deletes)
        visible = None if queries.scans(settings.vector_index) else filters
        query = queries.windowed(
            scope, request, meaning, mix, curves,
            window=settings.search_window, size=CANDIDATES + TIES_MARGIN, visible=visible,
            columns=queries.ORDER_COLUMNS,
        )  # fmt: skip
        return self._sent(query)

    def newest(self) -> Request:
        """Without words."""
        return self._sent(queries.newest(self._caller.scope, SearchRequest()))

    def history(self, session_id: str, limit: int) -> Request:
        """A page of a session."""
        query = queries.history(
            self._caller.scope, session_id, Lineage(), limit=limit, offset=0, newest_first=False, times=()
        )
        return self._sent(query)

    def everything(self, count: int) -> Request:
        """That many episodes, whole, oldest first."""
        query = ScopedQuery(
            self._caller.scope,
            sort=queries.OLDEST_FIRST,
            size=count,
            fields=(*queries.PUBLIC_FIELDS, "embedding_status"),
        )
        return self._sent(query)

    def _sent(self, query: ScopedQuery) -> Request:
        org_id = self._caller.scope.org_id
        parameters = urlencode({"routing": org_id, "preference": org_id, "seq_no_primary_term": "true"})
        path = f"/{EPISODES.alias(self._settings.index_prefix)}/_search?{parameters}"
        return post(path, query.body(EPISODES.ownership, EPISODES.soft_deletes))


class BareWrites:
    """The very documents of the service, into an index of the same template beside its own: as durable, but found by
    the next search only after a refresh."""

    def __init__(self, settings: Settings, api: str, caller: Caller) -> None:
        assert settings.elasticsearch_url is not None
        alias = EPISODES.alias(settings.index_prefix)
        self._index = f"{alias}-v{EPISODES.generation + 1}"
        send(settings.elasticsearch_url, Request("PUT", f"/{self._index}"))
        stored = caller.call(api, "POST", "/memory", {"role": "user", "content": "the first"})
        path = f"/{alias}/_source/{stored['episode_id']}?routing={caller.scope.org_id}"
        self._document: dict[str, Any] = json.loads(send(settings.elasticsearch_url, Request("GET", path)))

    def create(self, content: str, query: str = "") -> Request:
        """One of them. query: more parameters."""
        document = self._of(content)
        return post(f"/{self._index}/_create/{document['episode_id']}?routing={document['org_id']}{query}", document)

    def bulk(self, contents: Sequence[str]) -> Request:
        """Several in one request."""
        lines = []
        for document in map(self._of, contents):
            target = {"_index": self._index, "_id": document["episode_id"], "routing": document["org_id"]}
            lines += [json.dumps({"create": target}), json.dumps(document)]
        return Request("POST", "/_bulk", ("\n".join(lines) + "\n").encode(), "application/x-ndjson")

    def refresh(self) -> Request:
        """So that searches find them."""
        return Request("POST", f"/{self._index}/_refresh")

    def _of(self, content: str) -> dict[str, Any]:
        own = {"episode_id": str(uuid.uuid4()), "content": content, "ordinal": time.time_ns() // 1000}
        return self._document | own
