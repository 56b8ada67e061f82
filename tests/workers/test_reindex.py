"""A new index in an old one's place, while clients store, search and delete: nobody notices, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from app.container import Core, open_core
from app.doctor import examine
from app.elastic import generations as moving
from app.elastic import writes
from app.elastic.generations import IndexModel, MoveBroken, generations
from app.elastic.indices import EPISODES, SESSIONS
from app.embedding import DocumentEmbedder
from app.embedding.encoder import AsyncEncoder, Encoder
from app.errors import EngineError
from app.migrate import migrate
from app.reindex import service
from app.reindex.comparing import Comparer
from app.reindex.copying import Copier
from app.reindex.service import NewModel, Reindex
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.faults.workload import Record, Writer, compare
from tests.prefixes import forget
from tests.workers.conftest import Worker, stored
from tests.workers.encoders import Renamed

WRITERS = 3


@pytest.fixture
async def moved(own_settings: Settings) -> AsyncIterator[Core]:
    """An installation of its own, of two shards: numbers of one say nothing of the other."""
    changed = {"index_prefix": f"re-{uuid.uuid4().hex[:8]}", "index_shards": 2, "rate_limit_per_minute": 0}
    settings = own_settings.model_copy(update=changed)
    await migrate(settings)
    async with open_core(settings) as core:
        yield core
        await forget(core.es, settings.index_prefix)


@pytest.fixture
async def callers(moved: Core) -> AsyncIterator[list[Client]]:
    """One organisation at two servers."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(moved.settings)) for _ in range(2)]
        clients = [await stack.enter_async_context(connect(url)) for url in urls]
        await clients[0].register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        clients[1].http.headers["Authorization"] = clients[0].http.headers["Authorization"]
        yield clients


@pytest.fixture
def alias(moved: Core) -> str:
    return EPISODES.alias(moved.settings.index_prefix)


def work(core: Core, **changed: Any) -> Reindex:
    return Reindex(core.es, core.settings, EPISODES, lambda _doing, _done, _total: None, **changed)


async def in_place(core: Core, alias: str) -> str:
    (live,) = [generation.name for generation in await generations(core.es, alias) if generation.live]
    return live


@asynccontextmanager
async def busy(callers: list[Client], embed: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Clients are at it all the while, and episodes are embedded; in the end everything is as they were told."""
    record, stop = Record(), asyncio.Event()
    writers = [Writer(number, time.time_ns(), callers, record) for number in range(WRITERS)]

    async def embedding() -> None:
        while not stop.is_set():
            await embed()
            await asyncio.sleep(0.1)

    working = asyncio.gather(*(writer.run(stop) for writer in writers), embedding())
    try:
        await asyncio.sleep(2)
        yield
        await asyncio.sleep(1)
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
    await working
    await embed()
    found = await compare(callers[0], writers, record)
    assert (record.wrong, found.lost, found.duplicated) == ([], [], [])
    assert record.hung == record.broken == 0
    assert found.episodes > WRITERS


async def test_nothing_is_lost_on_the_way_there_and_back(
    moved: Core, alias: str, callers: list[Client], model: Encoder, threaded: Callable[[Encoder], AsyncEncoder]
) -> None:
    worker = Worker(moved, threaded(model))
    async with busy(callers, worker.embed):
        there = await work(moved).run()
        assert await in_place(moved, alias) == there.new == f"{alias}-v2"
        await asyncio.sleep(1)
        with pytest.raises(EngineError, match=r"--finish.*--rollback"):
            await work(moved).run()
        back = await work(moved).rollback()
        assert await in_place(moved, alias) == back.new == there.old == f"{alias}-v1"
        await asyncio.sleep(1)
        again = await work(moved).rollback()
        assert await in_place(moved, alias) == again.new == there.new
    assert there.documents > 0
    assert there.documents <= back.documents <= again.documents
    assert max(report.paused_s for report in (there, back, again)) < writes.MOVE_WAIT_S
    settings = (await moved.es.indices.get_settings(index=alias, flat_settings=True)).body[there.new]["settings"]
    assert (settings["index.refresh_interval"], settings["index.number_of_shards"]) == ("5s", "2")
    assert "index.gc_deletes" not in settings
    assert "index.blocks.write" not in settings

    assert await work(moved).finish() == [there.old]
    assert [each.name for each in await generations(moved.es, alias)] == [there.new]
    with pytest.raises(EngineError, match="nothing to go back to"):
        await work(moved).rollback()


async def test_it_goes_on_where_it_was_killed(
    moved: Core, alias: str, callers: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reindex.copying.CHUNK", 20)
    monkeypatch.setattr(service, "_BEAT_S", 0.0)
    for start in range(0, 200, 100):
        bodies = [{"role": "user", "content": f"number {start + number}"} for number in range(100)]
        await callers[0].data("POST", "/memory/batch", status=201, json={"episodes": bodies})
    running = asyncio.create_task(work(moved, per_s=60).run())
    upto: dict[str, int] = {}
    while max(upto.values(), default=0) < 40:
        await asyncio.sleep(0.05)
        assert not running.done()
        for each in await generations(moved.es, alias):
            upto = each.meta.get("reindex", {}).get("copied", {})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(EngineError, match="Another process is filling"):
        await work(moved).run()

    monkeypatch.setattr(service, "_ALONE_AFTER", timedelta(0))
    told: list[tuple[str, int, int]] = []
    resumed = Reindex(moved.es, moved.settings, EPISODES, lambda *progress: told.append(progress))
    report = await resumed.run()
    assert (report.documents, report.new) == (200, f"{alias}-v2")
    first = next(total for doing, _, total in told if doing == "copying")
    assert 0 < first < 200


async def test_one_that_dies_when_writes_are_stopped_stops_them_for_seconds_only(
    moved: Core, alias: str, callers: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "MOVE_WAIT_S", 1.0)
    episode_id = await callers[0].store("Said before")
    old = await in_place(moved, alias)
    await moving.begin_move(moved.es, alias, old)
    began = time.monotonic()
    answers = await asyncio.gather(
        callers[0].store("Said meanwhile"),
        callers[1].store("Said meanwhile as well"),
        callers[0].data("DELETE", f"/memory/{episode_id}"),
    )
    assert 1.0 <= time.monotonic() - began < 15
    assert len(set(map(str, answers))) == 3
    with pytest.raises(MoveBroken):
        await moving.complete_move(moved.es, alias, old, f"{alias}-v2")
    assert await in_place(moved, alias) == old
    assert (await callers[0].search("said")).keys() >= {"results"}


async def test_what_an_operator_has_blocked_is_left_so(
    moved: Core, alias: str, callers: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "MOVE_WAIT_S", 0.5)
    await moved.es.indices.add_block(index=await in_place(moved, alias), block="write")
    error = await callers[0].error("POST", "/memory", 503, json={"role": "user", "content": "Not now"})
    assert "read-only" in error["message"]
    assert await moving.break_move(moved.es, alias, await in_place(moved, alias)) is False


async def test_another_model_embeds_everything_before_it_is_searched(
    moved: Core, alias: str, callers: list[Client], model: Encoder, threaded: Callable[[Encoder], AsyncEncoder]
) -> None:
    session_id = await callers[0].session()
    ids = [await callers[0].store(text, session_id=session_id) for text in ("A cat purrs", "It is warm", "Gone")]
    await callers[0].data("DELETE", f"/memory/{ids[2]}")
    await Worker(moved, threaded(model)).embed()
    before = [await stored(moved, callers[0], episode_id) for episode_id in ids[:2]]
    late = await callers[0].store("Said too late for the old model")
    renamed = Renamed(model, "the-next-model")
    # Servers stay with what they can load: the name is the old one's.
    named = IndexModel(moved.settings.embedding_model, "the-next-model", renamed.info.dims)

    report = await work(moved).run(NewModel(named, DocumentEmbedder(threaded(renamed))))

    (replaced,) = [each for each in await generations(moved.es, alias) if not each.live]
    assert replaced.meta["embedding"]["next"] is None
    assert report.documents == 4
    for episode_id, old in zip(ids[:2], before, strict=True):
        new = await stored(moved, callers[0], episode_id)
        changed = {name for name in old if old[name] != new[name]}
        assert changed <= {"embedding_model", "embedding_generated_at", "context_vector", "token_codes"}
        assert (new["embedding_model"], new["embedding_status"]) == ("the-next-model", "ready")
    assert (await stored(moved, callers[0], late))["embedding_status"] == "pending"
    await Worker(moved, threaded(renamed)).embed()
    assert (await stored(moved, callers[0], late))["embedding_model"] == "the-next-model"

    back = await work(moved).rollback()
    assert back.new == f"{alias}-v1"
    assert (await stored(moved, callers[0], late))["embedding_status"] == "pending"
    assert (await stored(moved, callers[0], ids[0]))["embedding_model"] == before[0]["embedding_model"]


async def test_any_index_can_be_made_anew(moved: Core, callers: list[Client]) -> None:
    session_id = await callers[0].session()
    report = await Reindex(moved.es, moved.settings, SESSIONS, lambda *_: None).run()
    assert report.new == f"{SESSIONS.alias(moved.settings.index_prefix)}-v2"
    findings = await examine(moved)
    assert [finding.said for finding in findings if finding.about == "indices"] == [
        f"{report.old} is kept beside the one in its place"
    ]
    assert [finding.state for finding in findings if finding.about == "blocks"] == ["good"]
    assert (await callers[0].data("GET", f"/sessions/{session_id}"))["session"]["session_id"] == session_id


@pytest.fixture
async def pair(es: AsyncElasticsearch) -> AsyncIterator[tuple[str, str]]:
    """A source and a target, both empty."""
    names = (f"pair-{uuid.uuid4().hex[:8]}-a", f"pair-{uuid.uuid4().hex[:8]}-b")
    properties = {"created_at": {"type": "date"}, "text": {"type": "keyword"}}
    for name in names:
        await es.indices.create(
            index=name,
            mappings={"properties": properties},
            settings={"number_of_replicas": 0, "gc_deletes": "0s", "number_of_shards": 2},
        )
    yield names
    await es.indices.delete(index=list(names))


@pytest.fixture
def es(core: Core) -> AsyncElasticsearch:
    return core.es


async def put(es: AsyncElasticsearch, index: str, **texts: str) -> None:
    for document_id, text in texts.items():
        document = {"created_at": len(document_id), "text": text}
        await es.index(index=index, id=document_id, document=document, refresh=True)


async def texts(es: AsyncElasticsearch, index: str) -> dict[str, tuple[str, int]]:
    found = await es.search(index=index, size=1000, version=True)
    return {hit["_id"]: (hit["_source"]["text"], hit["_version"]) for hit in found.body["hits"]["hits"]}


async def test_what_was_removed_and_made_anew_is_copied_although_its_version_is_lower(
    es: AsyncElasticsearch, pair: tuple[str, str]
) -> None:
    source, target = pair
    comparer = Comparer(es)
    copier = Copier(es, source, target, comparer)
    for text in ("first", "second", "third"):
        await put(es, source, a=text, aa=text)
    reached = await copier.reached_in(source)
    assert await copier.copy({}, reached, lambda *_: None) == 2
    await copier.refresh(target)
    assert await texts(es, target) == await texts(es, source) == {"a": ("third", 3), "aa": ("third", 3)}

    while (await texts(es, source))["a"][1] != 1:
        await es.delete_by_query(index=source, query={"ids": {"values": ["a"]}}, refresh=True)
        await asyncio.sleep(0.3)
        await es.indices.refresh(index=source)
        await put(es, source, a="anew")
    now = await copier.reached_in(source)
    await copier.copy(reached, now, lambda *_: None)
    await copier.refresh(target)
    assert await texts(es, target) == await texts(es, source)
    assert (await texts(es, target))["a"] == ("anew", 1)


async def test_a_comparison_tells_what_is_behind_what_is_wrong_and_what_is_too_much(
    es: AsyncElasticsearch, pair: tuple[str, str]
) -> None:
    source, target = pair
    comparer = Comparer(es)
    copier = Copier(es, source, target, comparer)
    names = ["x" * length for length in range(1, 40)]
    await put(es, source, **dict.fromkeys(names, "same"))
    await copier.copy({}, await copier.reached_in(source), lambda *_: None)
    await put(es, source, x="gone on", y="new")
    wrong = {"created_at": 3, "text": "not the same"}
    await es.index(index=target, id="xxx", document=wrong, version=1, version_type="external_gte")
    await put(es, target, zzzzz="too much", z="too much, too")
    seen: list[int] = []
    found = await comparer.compare(source, target, seen.append)
    assert (found.checked, found.behind, found.wrong, sorted(found.surplus)) == (40, 2, ["xxx"], ["z", "zzzzz"])
    assert seen[-1] == 40

    await comparer.remove(target, ["z", "zzzzz"])
    await copier.copy_again(["xxx", "x", "y"])
    await copier.refresh(target)
    found = await comparer.compare(source, target, seen.append)
    assert (found.behind, found.wrong, found.surplus) == (0, [], [])


async def test_what_only_the_target_has_is_found_by_counting(
    es: AsyncElasticsearch, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reindex.comparing._LEAF", 3)
    source, target = pair
    names = {"x" * length: "same" for length in range(1, 60)}
    await put(es, target, **names)
    del names["x" * 7], names["x" * 23], names["x" * 59]
    await put(es, source, **names)
    assert sorted(await Comparer(es).surplus(source, target)) == ["x" * 7, "x" * 23, "x" * 59]
