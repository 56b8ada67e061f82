"""What searches remember of episodes is never older than the episodes themselves."""

from __future__ import annotations

from app.container import Core
from app.elastic.index import Found
from app.elastic.scope import Scope, ScopedQuery
from app.embedding.encoder import Encoder
from app.episodes import queries
from app.episodes.closeups import Closeups
from app.episodes.models import SearchRequest
from app.episodes.rescoring import Candidate
from app.episodes.store import EpisodeStore
from tests.client import Client
from tests.workers.conftest import NewWorker, overwrite


class Counting(EpisodeStore):
    """How many searches it has done, and for how many hits."""

    asked = 0

    async def find(self, query: ScopedQuery, *, fresh: bool = True) -> Found:
        self.asked += query.size
        return await super().find(query, fresh=fresh)


async def look(closeups: Closeups, store: Counting, client: Client, model: Encoder) -> tuple[list[Candidate], int]:
    """All of the caller's episodes, and how many of them were read for it."""
    scope = Scope(client.org_id, client.user_id)
    hits = (await store.find(queries.newest(scope, SearchRequest(limit=50)))).hits
    store.asked = 0
    found = await closeups.of(scope, hits, model.info.model_id)
    return [one.candidate for one, _ in found], store.asked


async def test_an_episode_is_read_once_and_again_when_it_has_changed(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    store = Counting(core.engine, core.once)
    closeups = Closeups(store, 10)
    ids = [await client.store(f"sentence {number}") for number in range(4)]
    pending, read = await look(closeups, store, client, model)
    assert (len(pending), read) == (4, 4)
    assert not any(candidate.codes for candidate in pending)
    await worker().embed()
    embedded, read = await look(closeups, store, client, model)
    assert read == 4
    assert all(candidate.codes for candidate in embedded)
    assert await look(closeups, store, client, model) == (embedded, 0)
    await overwrite(core, client, ids[1], role="Anna")
    changed, read = await look(closeups, store, client, model)
    assert read == 1
    assert {candidate.role for candidate in changed if candidate.episode_id == ids[1]} == {"Anna"}
    await client.data("DELETE", f"/memory/{ids[0]}")
    left, read = await look(closeups, store, client, model)
    assert ([candidate.episode_id for candidate in left], read) == ([ids[3], ids[2], ids[1]], 0)


async def test_what_goes_between_both_stages_is_left_out(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    store = EpisodeStore(core.engine, core.once)
    ids = [await client.store(f"sentence {number}") for number in range(3)]
    scope = Scope(client.org_id, client.user_id)
    hits = (await store.find(queries.newest(scope, SearchRequest()))).hits
    await client.data("DELETE", f"/memory/{ids[1]}")
    await store.freshen(scope)
    found = await Closeups(store, 10).of(scope, hits, model.info.model_id)
    assert [one.candidate.episode_id for one, _ in found] == [ids[2], ids[0]]


async def test_only_so_many_are_remembered_and_none_for_another_model(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    store = Counting(core.engine, core.once)
    for number in range(5):
        await client.store(f"sentence {number}")
    few, none = Closeups(store, 2), Closeups(store, 0)
    for closeups, again in ((few, 3), (none, 5)):
        assert (await look(closeups, store, client, model))[1] == 5
        assert (await look(closeups, store, client, model))[1] >= again
    enough = Closeups(store, 10)
    await look(enough, store, client, model)
    scope = Scope(client.org_id, client.user_id)
    hits = (await store.find(queries.newest(scope, SearchRequest()))).hits
    store.asked = 0
    await enough.of(scope, hits, "another model")
    assert store.asked == 5


async def test_what_results_show_of_short_episodes_is_remembered_and_of_long_ones_read(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    store = EpisodeStore(core.engine, core.once)
    short = await client.store("a few words", tags=["a"], metadata={"k": 1})
    wide = await client.store("a few words", metadata={"k": "v" * 3_000})
    long = await client.store("a few words " * 400)
    scope = Scope(client.org_id, client.user_id)
    hits = (await store.find(queries.newest(scope, SearchRequest()))).hits
    closeups = Closeups(store, 10)
    for _ in range(2):
        found = {one.candidate.episode_id: one for one, _ in await closeups.of(scope, hits, model.info.model_id)}
        assert [episode_id for episode_id, one in found.items() if one.shown is not None] == [short]
        assert (found[short].shown or {})["metadata"] == {"k": 1}
        assert list(found) == [long, wide, short]
    await worker().embed()
    for query in ("a few words", "words"):
        results = (await client.search(query))["results"]
        assert {one["episode_id"]: len(one["content"]) for one in results} == {short: 11, wide: 11, long: 12 * 400}
        assert {one["episode_id"]: len(str(one["metadata"].get("k", ""))) for one in results}[wide] == 3_000
