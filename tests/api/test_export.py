"""A memory as a file: complete, in order, as it was at one moment, and never half a file that looks whole."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from app.elastic.indices import EPISODES
from app.settings import Settings
from tests.api.conftest import OpenClient
from tests.client import Client
from tests.installations import installation
from tests.processes import eventually
from tests.promises import proves

COLUMNS = ["id", "session_id", "role", "content", "tags", "metadata", "created_at", "embedding_status"]


async def exported(client: Client, **query: Any) -> list[dict[str, Any]]:
    """Rows of an export as JSON."""
    response = await client.send("GET", "/export", params=query)
    assert response.status_code == 200, response.text
    rows = response.json()
    assert isinstance(rows, list)
    return rows


async def cells(client: Client, **query: Any) -> list[list[str]]:
    """Lines of an export as CSV, the header too."""
    response = await client.send("GET", "/export", params={"format": "csv"} | query)
    assert response.status_code == 200, response.text
    return list(csv.reader(io.StringIO(response.text, newline="")))


async def batch(client: Client, episodes: list[dict[str, Any]]) -> list[str]:
    """Ids of what is stored."""
    stored = await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    assert stored["failed"] == 0
    return [item["episode_id"] for item in stored["items"]]


@proves("export.json")
async def test_json_is_a_bare_array_of_the_columns_in_order(organisation: Client) -> None:
    """Export: `format=json` (default): one JSON array."""
    session_id = await organisation.session()
    fields = {"tags": ["b", "a:1", "b"], "metadata": {"z": [1, 0.1, None], "a": {}}, "created_at": "2026-03-01T10:00Z"}
    first = await organisation.store("said", session_id=session_id, **fields)
    second = await organisation.store("alone")
    response = await organisation.send("GET", "/export")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="remembr_export.json"'
    assert response.headers["X-Request-ID"]
    rows = response.json()
    assert [list(row) for row in rows] == [COLUMNS, COLUMNS]
    assert rows[0] == fields | {
        "id": first,
        "session_id": session_id,
        "role": "user",
        "content": "said",
        "created_at": "2026-03-01T10:00:00Z",
        "embedding_status": "pending",
    }
    assert list(rows[0]["metadata"]) == ["z", "a"]
    assert (rows[1]["id"], rows[1]["session_id"], rows[1]["tags"], rows[1]["metadata"]) == (second, None, [], {})


@proves("export.ndjson")
async def test_ndjson_is_a_line_each(organisation: Client) -> None:
    """Export: `format=ndjson`: a line each."""
    await batch(organisation, [{"role": "user", "content": f"line {n}\nbreak \u2028"} for n in range(3)])
    response = await organisation.send("GET", "/export", params={"format": "ndjson"})
    assert response.headers["Content-Type"].startswith("application/x-ndjson")
    assert response.headers["Content-Disposition"].endswith('filename="remembr_export.ndjson"')
    assert response.content.endswith(b"\n")
    lines = response.content[:-1].split(b"\n")
    assert [json.loads(line) for line in lines] == await exported(organisation)


@proves("export.csv")
async def test_csv_has_a_header_joined_tags_and_metadata_as_json(organisation: Client) -> None:
    """Export: `format=csv`: header row, tags joined by `;`, metadata as JSON."""
    session_id = await organisation.session()
    text = 'He said "yes", then;\nleft 日本語 \U0001f600'
    await organisation.store(text, session_id=session_id, tags=["a", "k:v"], metadata={"a": [1, "x,y"]})
    await organisation.store("plain")
    response = await organisation.send("GET", "/export", params={"format": "csv"})
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"].endswith('filename="remembr_export.csv"')
    header, first, second = await cells(organisation)
    assert response.content.startswith(b"id,session_id,role,content,tags,metadata,created_at,embedding_status\r\n")
    assert header == COLUMNS
    assert first[1:6] == [session_id, "user", text, "a;k:v", '{"a":[1,"x,y"]}']
    assert (second[1], second[4], second[5]) == ("", "", "{}")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d"], ids=ascii)
@proves("export.csv")
async def test_scenario_17_no_cell_begins_a_formula(organisation: Client, start: str) -> None:
    """Scenario 17: CSV bytes open in a spreadsheet without running formulas."""
    text = f"{start}cmd|' /C calc'!A0"
    await organisation.store(text, role=f"{start}1+1", tags=[f"{start}tag", "x"])
    row = (await cells(organisation))[1]
    assert [row[2], row[3], row[4]] == [f"'{start}1+1", f"'{text}", f"'{start}tag;x"]
    assert (await exported(organisation))[0]["content"] == text


@proves("export.json")
async def test_nothing_exported_is_still_a_whole_file(organisation: Client) -> None:
    assert await exported(organisation) == []
    assert await cells(organisation) == [COLUMNS]
    assert (await organisation.send("GET", "/export", params={"format": "ndjson"})).content == b""


@proves("export.whole")
async def test_every_row_once_and_oldest_first_over_many_pages(unembedded: Client) -> None:
    """Export: oldest first. Rows of one moment keep the order in which they came."""
    times = [f"2026-01-{1 + n % 7:02}" for n in range(1_250)]
    ids: list[str] = []
    for start in range(0, len(times), 250):
        episodes = [{"role": "user", "content": f"row {n}", "created_at": times[n]} for n in range(start, start + 250)]
        ids += await batch(unembedded, episodes)
    rows = await exported(unembedded)
    expected = sorted(range(len(times)), key=lambda n: (times[n], n))
    assert [row["id"] for row in rows] == [ids[n] for n in expected]
    assert [line[0] for line in (await cells(unembedded))[1:]] == [ids[n] for n in expected]


@proves("export.whole")
async def test_long_contents_come_out_byte_for_byte(unembedded: Client) -> None:
    texts = [chr(0x1F600 + n % 60) * 99_000 + str(n) for n in range(12)]
    for text in texts:
        await unembedded.store(text)
    assert [row["content"] for row in await exported(unembedded)] == texts
    csv.field_size_limit(200_000)
    assert [line[3] for line in (await cells(unembedded))[1:]] == texts


@proves("export.narrowed")
async def test_dates_bound_it_inclusively_and_take_the_published_clients_spelling(organisation: Client) -> None:
    """In a query string a `+` of an offset arrives as a space: accept it."""
    for hour in (9, 10, 11, 12):
        await organisation.store(f"at {hour}", created_at=f"2026-03-01T{hour:02}:00:00Z")

    async def between(**query: str) -> list[str]:
        return [row["content"] for row in await exported(organisation, **query)]

    assert await between(from_date="2026-03-01T10:00:00Z", to_date="2026-03-01T11:00:00Z") == ["at 10", "at 11"]
    assert await between(from_date="2026-03-01T11:00:00") == ["at 11", "at 12"]
    assert await between(to_date="2026-03-01") == []
    assert await between(from_date="2026-03-01") == ["at 9", "at 10", "at 11", "at 12"]
    unescaped = await organisation.send("GET", "/export?from_date=2026-03-01T12:00:00+01:00&include_deleted=false")
    assert [row["content"] for row in unescaped.json()] == ["at 11", "at 12"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"format": "xml"}, "format"),
        ({"from_date": "yesterday"}, "from_date"),
        ({"to_date": "2026-02-30"}, "to_date"),
        ({"session_id": "7"}, "session_id"),
        ({"include_deleted": "perhaps"}, "include_deleted"),
    ],
)
async def test_a_bad_query_is_refused_before_the_file_begins(member: Client, query: dict[str, str], field: str) -> None:
    error = await member.error("GET", "/export", 422, params=query)
    assert error["code"] == "VALIDATION_ERROR"
    assert [problem["loc"] for problem in error["details"]["errors"]] == [["query", field]]


async def test_dates_out_of_order_are_refused(member: Client) -> None:
    query = {"from_date": "2026-03-02", "to_date": "2026-03-01", "format": "csv"}
    await member.error("GET", "/export", 422, "INVALID_TIME_RANGE", params=query)


@proves("export.narrowed")
async def test_a_session_alone(organisation: Client) -> None:
    session_id = await organisation.session()
    await organisation.store("inside", session_id=session_id)
    await organisation.store("outside")
    assert [row["content"] for row in await exported(organisation, session_id=session_id)] == ["inside"]
    assert await exported(organisation, session_id=str(uuid.uuid4())) == []


@proves("export.narrowed")
async def test_deleted_episodes_are_there_only_when_asked_for(organisation: Client) -> None:
    """Export: `deleted_at` with `include_deleted=true`."""
    gone, kept = await organisation.store("gone"), await organisation.store("kept")
    await organisation.data("DELETE", f"/memory/{gone}")
    assert [row["id"] for row in await exported(organisation)] == [kept]
    rows = await exported(organisation, include_deleted="true")
    assert [list(row) for row in rows] == [[*COLUMNS, "deleted_at"]] * 2
    assert {row["id"]: row["deleted_at"] is None for row in rows} == {gone: False, kept: True}
    header, first, second = await cells(organisation, include_deleted="true")
    assert (header[-1], bool(first[-1]), second[-1]) == ("deleted_at", True, "")


@proves("export.snapshot")
async def test_what_was_just_stored_on_another_process_is_in_it(
    organisation: Client, open_client: OpenClient, second_url: str
) -> None:
    """Any read that follows the answer, on any server process, sees it: export."""
    other = await open_client(organisation, url=second_url)
    for n in range(5):
        await organisation.store(f"row {n}")
        assert len(await exported(other)) == n + 1


@proves("export.scope")
async def test_no_export_shows_another_organisation(organisation: Client, stranger: Client) -> None:
    session_id = await organisation.session()
    await organisation.store("A secret", session_id=session_id)
    await stranger.store("theirs")
    assert [row["content"] for row in await exported(stranger)] == ["theirs"]
    for form in ("json", "ndjson", "csv"):
        text = (await stranger.send("GET", "/export", params={"format": form, "include_deleted": "true"})).text
        assert "A secret" not in text
    assert await exported(stranger, session_id=session_id) == []


@proves("export.scope")
async def test_an_agent_exports_what_it_reads(organisation: Client, agent_of: OpenClient) -> None:
    ada, bob = await agent_of(organisation), await agent_of(organisation)
    for client, name in ((organisation, "user"), (ada, "ada"), (bob, "bob")):
        await client.store(name)
    assert [row["content"] for row in await exported(ada)] == ["user", "ada"]
    assert [row["content"] for row in await exported(organisation)] == ["user", "ada", "bob"]


async def test_synchronous_clients_are_told_that_the_connection_ends(organisation: Client) -> None:
    headers = {"User-Agent": "python-httpx/0.28.1", "Accept": "application/json", "Content-Type": "application/json"}
    response = await organisation.send("GET", "/export", headers=headers)
    assert response.headers["Connection"] == "close"
    assert response.json() == []


LONG = "x" * 90_000
"""Two hundred of these are more than the buffers of a connection hold."""


@asynccontextmanager
async def full_server(settings: Settings, **changes: Any) -> AsyncIterator[tuple[Client, AsyncElasticsearch, str]]:
    """A server with indices of its own and 200 long episodes: client, Elasticsearch, the episodes' index."""
    async with installation(settings, **changes) as (client, es, own):
        # So that what is stored is as long as what is sent.
        client.http.headers["Accept-Encoding"] = "identity"
        for _ in range(20):
            await batch(client, [{"role": "user", "content": LONG} for _ in range(10)])
        yield client, es, EPISODES.alias(own.index_prefix)


async def open_points(es: AsyncElasticsearch, index: str) -> int:
    """How many points in time are open on an index."""
    stats = await es.indices.stats(index=index, metric="search")
    return int(stats.body["_all"]["total"]["search"]["open_contexts"])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
@proves("export.failure")
async def test_a_failure_in_mid_stream_breaks_the_connection(
    settings: Settings, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure in mid-stream breaks the connection rather than ending a valid file."""
    async with full_server(settings) as (client, es, index):
        headers = {"X-Request-ID": f"broken-{form}"}
        async with client.http.stream("GET", "/export", params={"format": form}, headers=headers) as response:
            assert response.status_code == 200
            chunks = response.aiter_raw()
            await anext(chunks)
            # The index takes the point in time with it.
            await es.indices.delete(index=list((await es.indices.get(index=index)).body))
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                async for _ in chunks:
                    pass
        await eventually(lambda: any("a stream broke off" in line.message for line in caplog.records), 10)


@pytest.mark.slow
@proves("export.snapshot")
async def test_a_snapshot_holds_nothing_that_came_later(settings: Settings) -> None:
    """Export: a consistent snapshot (point in time) however many rows."""
    async with full_server(settings) as (client, _, _):
        async with client.http.stream("GET", "/export", params={"format": "ndjson"}) as response:
            lines = response.aiter_lines()
            rows = [json.loads(await anext(lines))]
            await client.store("later")
            await client.data("DELETE", f"/memory/{rows[0]['id']}")
            rows += [json.loads(line) async for line in lines]
        assert [row["content"] for row in rows] == [LONG] * 200
        after = await exported(client)
        assert len(after) == 200
        assert after[-1]["content"] == "later"


@pytest.mark.slow
async def test_a_reader_that_stands_still_is_cut_off_and_holds_nothing(settings: Settings) -> None:
    async with (
        full_server(settings, transfer_stall_s=0.5) as (client, es, index),
        client.http.stream("GET", "/export") as response,
    ):
        chunks = response.aiter_raw()
        await anext(chunks)
        assert await open_points(es, index) == 1

        async def closed() -> bool:
            return await open_points(es, index) == 0

        await eventually(closed, 20)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            async for _ in chunks:
                pass


@pytest.mark.slow
async def test_a_reader_that_leaves_frees_what_it_held(settings: Settings) -> None:
    async with full_server(settings) as (client, es, index):
        async with client.http.stream("GET", "/export") as response:
            # Kept by name: a stream that nothing refers to any more is closed at once.
            chunks = response.aiter_raw()
            await anext(chunks)
            assert await open_points(es, index) == 1

        async def closed() -> bool:
            return await open_points(es, index) == 0

        await eventually(closed, 20)
        assert len(await exported(client)) == 200
        assert await open_points(es, index) == 0
