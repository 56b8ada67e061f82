"""When the model changes, everything is embedded again, and until then nothing is compared across models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from app.container import Core
from app.elastic.generations import generations, model_of, note
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope
from app.embedding import QueryEmbedder
from app.embedding.encoder import AsyncEncoder, Encoder
from app.episodes.models import DetailedResult, SearchMode, SearchRequest, SearchResults
from app.episodes.search import EpisodeSearch
from app.episodes.store import EpisodeStore
from tests.client import Client
from tests.workers.conftest import NewWorker, status, stored
from tests.workers.encoders import Refusing, Renamed

Search = Callable[..., "object"]
NEXT = "the-next-model"
QUERY = "a pet keeping itself warm"


@pytest.fixture
def searching(core: Core, threaded: Callable[[Encoder], AsyncEncoder]) -> Callable[[Encoder], EpisodeSearch]:
    """A server's search whose queries are embedded by this encoder."""

    def service(encoder: Encoder) -> EpisodeSearch:
        queries = QueryEmbedder(threaded(encoder), cache_size=0)
        return EpisodeSearch(EpisodeStore(core.engine, core.once), lambda: queries, core.settings)

    return service


async def made_for(core: Core, model_id: str) -> None:
    """Say that the episodes are to be embedded by this model, as a changed file behind the same name does."""
    alias = EPISODES.alias(core.settings.index_prefix)
    known = await model_of(core.es, alias)
    assert known is not None
    (live,) = [generation.name for generation in await generations(core.es, alias) if generation.live]
    await note(core.es, live, embedding=replace(known, model_id=model_id).meta())


@pytest.fixture(autouse=True)
async def made_for_the_usual(core: Core, model: Encoder) -> AsyncIterator[None]:
    yield
    await made_for(core, model.info.model_id)


async def found(service: EpisodeSearch, client: Client, mode: SearchMode) -> SearchResults:
    request = SearchRequest(query=QUERY, search_mode=mode, explain=True)
    return await service.search(Scope(client.org_id, client.user_id), request, "request")


def meanings(results: SearchResults) -> list[float]:
    explanations = [
        result.explanation for result in results.results if isinstance(result, DetailedResult) and result.explanation
    ]
    assert len(explanations) == len(results.results)
    return [explanation.semantic.share for explanation in explanations]


async def test_a_changed_model_embeds_everything_again_and_models_are_never_mixed(
    client: Client,
    core: Core,
    worker: NewWorker,
    model: Encoder,
    searching: Callable[[Encoder], EpisodeSearch],
) -> None:
    first = await client.store("Our cat sleeps on the radiator")
    await worker().embed()
    second = await client.store("The dog lies by the stove")
    old, new = searching(model), searching(Renamed(model, NEXT))

    assert [result.episode_id for result in (await found(old, client, "semantic")).results] == [first]
    assert (await found(new, client, "semantic")).total == 0
    mixed = await found(new, client, "hybrid")
    assert mixed.total == 2
    assert meanings(mixed) == [0, 0]

    await worker(Renamed(model, NEXT)).embed()
    assert (await found(new, client, "semantic")).total == 0
    await made_for(core, NEXT)
    await worker(Renamed(model, NEXT)).embed()
    assert {(await stored(core, client, episode_id))["embedding_model"] for episode_id in (first, second)} == {NEXT}
    assert (await found(new, client, "semantic")).total == 2
    assert min(meanings(await found(new, client, "hybrid"))) > 0
    assert (await found(old, client, "semantic")).total == 0
    assert meanings(await found(old, client, "hybrid")) == [0, 0]

    await made_for(core, model.info.model_id)
    await worker().embed()
    assert (await found(old, client, "semantic")).total == 2


@pytest.mark.parametrize("mode", ["semantic", "hybrid", "keyword"])
async def test_an_episode_that_the_new_model_cannot_read_is_found_by_its_words_under_both(
    client: Client,
    core: Core,
    worker: NewWorker,
    model: Encoder,
    searching: Callable[[Encoder], EpisodeSearch],
    mode: SearchMode,
) -> None:
    poisonous = await client.store("a pet with a POISON bottle")
    good = await client.store("a pet without")
    await worker().embed()
    renamed = Renamed(model, NEXT)
    await made_for(core, NEXT)
    await worker(Refusing(renamed, "POISON")).embed()
    assert [await status(client, episode_id) for episode_id in (poisonous, good)] == ["failed", "ready"]
    expected = {"semantic": {good}, "hybrid": {good, poisonous}, "keyword": {good, poisonous}}[mode]
    under_new = await found(searching(renamed), client, mode)
    assert {result.episode_id for result in under_new.results} == expected
    under_old = await found(searching(model), client, mode)
    assert {result.episode_id for result in under_old.results} == expected - ({good} if mode == "semantic" else set())
