"""What Elasticsearch computes in Painless is what the Python twins say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app.container import Core
from app.elastic.index import Hit
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope
from app.embedding.encoder import Encoder
from app.episodes import queries, ranking
from app.episodes.models import DEFAULT_MIX, Mix, Weights, mix_of
from app.episodes.rescoring import Rescored, candidate_of, rescore
from app.episodes.store import EpisodeStore
from app.lineage import Lineage
from app.sessions import window
from app.types import epoch_ms, from_iso, utc_now
from tests.client import Client, connect
from tests.conftest import serving
from tests.workers.conftest import NewWorker, stored

QUERY = "where does the cat sleep at noon"
SAID = (
    ("system", "Answer in one sentence, please"),
    ("user", "Where does the cat sleep?"),
    ("assistant", "On the radiator, from noon until evening"),
    ("user", "And the dog?"),
    ("tool", "temperature=21"),
    ("handoff", "The invoice for order 1842 was paid in May"),
    ("assistant", "The cat, the cat, the cat sleeps and sleeps at noon"),
)
SCORE_TOLERANCE = 2e-6


@pytest.fixture(scope="module")
async def windowed_url(core: Core) -> AsyncIterator[str]:
    """A server that rescores a window of candidates, however few there are."""
    async with serving(core.settings.model_copy(update={"exact_search_limit": 0})) as url:
        yield url


async def conversation(client: Client, worker: NewWorker) -> list[str]:
    """Seven turns over half a year, of which the last two are not embedded."""
    session_id, start = await client.session(), datetime(2026, 1, 5, 9, tzinfo=UTC)
    ids = []
    for number, (role, content) in enumerate(SAID):
        if number == 5:
            await worker().embed()
        at = (start + timedelta(days=30 * number, minutes=number)).isoformat()
        ids.append(await client.store(content, role=role, session_id=session_id, created_at=at))
    return ids


async def words_score(core: Core, client: Client) -> dict[str, float]:
    """BM25 per episode, as Elasticsearch explains it."""
    answer = await core.es.search(
        index=EPISODES.alias(core.settings.index_prefix),
        routing=client.org_id,
        query={"bool": {"filter": [{"term": {"org_id": client.org_id}}], "must": [queries.words(QUERY, 0)]}},
        explain=True,
        size=100,
    )
    return {hit["_id"]: hit["_explanation"]["value"] for hit in answer.body["hits"]["hits"]}


def cosine(left: Any, right: Any) -> float:
    first, second = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.mark.parametrize("way", ["exact", "windowed"])
@pytest.mark.parametrize("weights", [None, {"semantic": 1.0}, {"semantic": 0.2, "keyword": 0.3, "recency": 0.5}])
async def test_scores_are_what_numpy_and_bm25_make_of_the_stored_vectors(
    client: Client,
    core: Core,
    worker: NewWorker,
    model: Encoder,
    windowed_url: str,
    way: str,
    weights: dict[str, float] | None,
) -> None:
    ids = await conversation(client, worker)
    half_life_ms = core.settings.recency_half_life_days * 86_400_000
    mix = mix_of(Weights(**weights)) if weights else DEFAULT_MIX
    query, (low, high) = model.encode_query(QUERY), model.info.scale
    assert model.info.token_scale is not None

    moments = [ranking.scoring_moment(utc_now())]
    async with connect(windowed_url) as windowed:
        windowed.http.headers.update(client.http.headers)
        asked = windowed if way == "windowed" else client
        answer = await asked.search(QUERY, weights=weights, explain=True, limit=50)
    moments.append(ranking.scoring_moment(utc_now()))
    bm25 = await words_score(core, client)
    assert any(value > 0 for value in bm25.values())

    def first_stage(document: dict[str, Any], now_ms: int) -> tuple[float, float, float]:
        meaning = 0.0
        if document["embedding_status"] == "ready":
            meaning = ranking.semantic(cosine(query.vector, document["context_vector"]), low, high)
        age_ms = now_ms - epoch_ms(from_iso(document["created_at"]))
        return (
            mix.semantic * ranking.VECTOR_SHARE * meaning,
            mix.keyword * ranking.keyword(bm25.get(document["episode_id"], 0.0)),
            mix.recency * ranking.recency(age_ms, half_life_ms),
        )

    def closely(now_ms: int) -> dict[str, Rescored]:
        hits = [
            Hit(episode_id, documents[episode_id], sum(first_stage(documents[episode_id], now_ms)), [], {}, None)
            for episode_id in shown
        ]
        candidates = [(candidate_of(hit, model.info.model_id), hit.score) for hit in hits]
        curves = ranking.Curves(low, high, half_life_ms, now_ms)
        found = rescore(candidates, QUERY, query.tokens, model.info.token_scale, mix, curves)
        return {one.episode_id: one for one in found}

    documents = {episode_id: await stored(core, client, episode_id) for episode_id in ids}
    assert sorted(document["embedding_status"] for document in documents.values()).count("ready") == 5
    shown = {result["episode_id"]: result for result in answer["results"]}
    if way == "exact":
        assert set(shown) == set(ids)
    assert len(shown) >= 5
    # The full hour, from which ages are counted, may have passed between.
    now_ms = min(moments, key=lambda moment: abs(closely(moment)[ids[0]].score - shown[ids[0]]["score"]))
    expected = closely(now_ms)
    for episode_id, result in shown.items():
        one = expected[episode_id]
        assert result["score"] == pytest.approx(one.score, abs=SCORE_TOLERANCE)
        explained = result["explanation"]
        _, of_words, of_time = first_stage(documents[episode_id], now_ms)
        shares = {
            "semantic": one.relevance - of_words - of_time,
            "keyword": of_words,
            "recency": of_time,
            "lift": (1 - one.relevance) * one.lift,
        }
        for name, share in shares.items():
            assert explained[name]["share"] == pytest.approx(share, abs=4 * SCORE_TOLERANCE)
    scores = [result["score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)


async def test_keyword_scores_are_bm25_on_the_same_curve(client: Client, core: Core, worker: NewWorker) -> None:
    await conversation(client, worker)
    answer = await client.search(QUERY, search_mode="keyword")
    bm25 = await words_score(core, client)
    assert answer["total"] >= 3
    for result in answer["results"]:
        assert result["score"] == pytest.approx(ranking.keyword(bm25[result["episode_id"]]), abs=SCORE_TOLERANCE)
    assert Mix(0, 1, 0).keyword == 1


async def test_elasticsearch_sorts_a_window_by_the_same_key(client: Client, core: Core) -> None:
    session_id = await client.session()
    moments = [
        datetime(1969, 12, 31, 23, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 2, tzinfo=UTC),
    ]
    said = [(role, at) for role in (*window.ROLE_WEIGHTS, "handoff") for at in moments]
    for role, at in said:
        await client.store("x", role=role, session_id=session_id, created_at=at.isoformat())
    scope = Scope(client.org_id, client.user_id)
    hits = await EpisodeStore(core.engine, core.once).by_priority(
        scope, session_id, Lineage(), window.ORDER_SCRIPT, window.ORDER_PARAMS, size=100, after=None
    )
    keys = [window.order_key(hit.source["role"], from_iso(hit.source["created_at"])) for hit in hits]
    assert len(hits) == len(said)
    assert keys == sorted(keys, reverse=True)
    assert [hit.sort[0] for hit in hits] == pytest.approx(keys, rel=1e-12)
    assert [hit.source["role"] for hit in hits[:3]] == ["system"] * 3
