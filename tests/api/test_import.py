"""A file taken in: ids and times as they were, nothing twice, nothing of anybody else's, each line by itself."""

from __future__ import annotations

import asyncio
import gzip
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.settings import Settings
from tests.api.conftest import OpenClient
from tests.client import Client, connect
from tests.conftest import PASSWORD, Embed, serving
from tests.promises import proves

NDJSON = {"Content-Type": "application/x-ndjson"}
COUNTS = ("imported", "existing", "failed", "sessions_created")


def lines(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as NDJSON."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


async def taken(client: Client, body: Any, **headers: str) -> Any:
    """`data` of an import."""
    return await client.data("POST", "/import", content=body, headers=NDJSON | headers)


def counts(answer: dict[str, Any]) -> tuple[int, ...]:
    """imported, existing, failed, sessions_created."""
    return tuple(answer[name] for name in COUNTS)


async def given_out(client: Client, **query: Any) -> bytes:
    """An export as NDJSON."""
    response = await client.send("GET", "/export", params={"format": "ndjson"} | query)
    assert response.status_code == 200, response.text
    return response.content


async def forget(client: Client, file: bytes) -> None:
    """Remove everything in a file for good."""
    for line in file.splitlines():
        await client.data("DELETE", f"/memory/{json.loads(line)['id']}/hard")


def row(content: str = "said", **fields: Any) -> dict[str, Any]:
    """A line's episode."""
    return {"id": str(uuid.uuid4()), "role": "user", "content": content, "created_at": "2026-03-01T10:00:00Z"} | fields


EVERY_PLANE = "".join(chr(plane * 0x10000 + offset) for plane in range(17) for offset in (0x21, 0x3A9, 0xABC, 0xFFFD))
AWKWARD = [
    EVERY_PLANE,
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eabc\u202c",
    "a\u200bb\u200c\u200d\ufeffc \u2028 \u2029 \x85 \x1f",
    'quotes " and \\ and \r\n lines \t',
    "e\u0301 \u00e9",
    "=1+1",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 20_000,
]


async def test_an_id_may_be_called_as_the_api_calls_it(organisation: Client) -> None:
    line = row()
    line["episode_id"] = line.pop("id")
    for expected in ((1, 0), (0, 1)):
        answer = await organisation.data("POST", "/import", content=json.dumps(line), headers=NDJSON)
        assert counts(answer)[:2] == expected
    assert (await organisation.search())["results"][0]["episode_id"] == line["episode_id"]


@proves("import.identity")
async def test_what_was_exported_and_removed_comes_back_byte_for_byte(unembedded: Client) -> None:
    """Contents of every plane, right to left, of no width, and as long as they may be, through every stage."""
    session_id = await unembedded.session()
    metadata = {"z": [1, 1.0, 0.1, 1e300, 2**63, None, True], "a": {"deep": {}}, "": "\u200b"}
    for number, text in enumerate(AWKWARD):
        fields = {"tags": [f"n:{number}", "b", "a"], "metadata": metadata, "created_at": "2026-03-01T10:00:00.123Z"}
        await unembedded.store(text, session_id=session_id if number % 2 else None, **fields)
    found = await unembedded.contents(search_mode="keyword", limit=20)
    assert sorted(found) == sorted(AWKWARD)
    before = await given_out(unembedded)
    assert [json.loads(line)["content"] for line in before.splitlines()] == AWKWARD
    await forget(unembedded, before)
    assert await given_out(unembedded) == b""
    assert counts(await taken(unembedded, before)) == (len(AWKWARD), 0, 0, 0)
    assert await given_out(unembedded) == before
    assert sorted(await unembedded.contents(search_mode="keyword", limit=20)) == sorted(AWKWARD)
    history = await unembedded.data("GET", f"/sessions/{session_id}/history")
    assert [episode["content"] for episode in history["episodes"]] == AWKWARD[1::2]


_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.text(alphabet=_CHARACTERS, min_size=1, max_size=60)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet=_CHARACTERS, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "content": TEXT.filter(str.strip),
            "role": st.sampled_from(["user", "assistant", "tool", "\u2603"]),
            "tags": st.lists(TEXT.filter(str.strip), max_size=3),
            "metadata": st.dictionaries(TEXT, JSON_VALUES, max_size=3),
            "created_at": st.sampled_from(["2026-03-01T10:00:00Z", "2026-03-01T10:00:00.001Z", "1969-12-31T23:59:59Z"]),
            "session": st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=12,
)


@proves("import.identity")
async def test_export_removal_and_import_are_the_identity(unembedded: Client) -> None:
    sessions = [None, str(uuid.uuid4()), str(uuid.uuid4())]

    @hypothesis_settings(max_examples=12, derandomize=True, database=None)
    @given(ROWS)
    def examples(rows: list[dict[str, Any]]) -> None:
        made.append(rows)

    made: list[list[dict[str, Any]]] = []
    examples()
    for rows in made:
        given_in = [row(**{key: value for key, value in one.items() if key != "session"}) for one in rows]
        for one, fields in zip(given_in, rows, strict=True):
            one["session_id"] = sessions[fields["session"]]
        assert (await taken(unembedded, lines(given_in)))["imported"] == len(rows)
        first = await given_out(unembedded)
        read = {line["id"]: line for line in map(json.loads, first.splitlines())}
        for one in given_in:
            assert {key: read[one["id"]][key] for key in one} == one
        await forget(unembedded, first)
        assert (await taken(unembedded, first))["imported"] == len(rows)
        assert await given_out(unembedded) == first
        await forget(unembedded, first)


@proves("import.identity")
async def test_rows_of_one_moment_keep_their_order_over_many_batches(unembedded: Client) -> None:
    rows = [row(f"row {number}") for number in range(1_200)]
    assert counts(await taken(unembedded, lines(rows))) == (1_200, 0, 0, 0)
    assert [json.loads(line)["content"] for line in (await given_out(unembedded)).splitlines()] == [
        f"row {number}" for number in range(1_200)
    ]


@proves("import.once")
async def test_imported_twice_nothing_is_there_twice(unembedded: Client) -> None:
    body = lines([row(f"row {number}", session_id="6f3b0a52-7c6e-4d0a-9a0e-2f6d9d1c7b11") for number in range(3)])
    body = body.replace(b"6f3b0a52-7c6e-4d0a-9a0e-2f6d9d1c7b11", str(uuid.uuid4()).encode())
    assert counts(await taken(unembedded, body)) == (3, 0, 0, 1)
    before = await given_out(unembedded)
    assert counts(await taken(unembedded, body)) == (0, 3, 0, 0)
    assert await given_out(unembedded) == before


@proves("import.key")
async def test_a_key_says_that_all_was_there(unembedded: Client) -> None:
    """Rows without ids are made once per key, too."""
    body = lines([{"role": "user", "content": "no id"}, {"role": "user", "content": "no id"}])

    async def send() -> tuple[tuple[int, ...], str | None]:
        response = await unembedded.send("POST", "/import", content=body, headers=NDJSON | {"Idempotency-Key": "once"})
        return counts(response.json()["data"]), response.headers.get("X-Idempotent-Replay")

    assert await send() == ((2, 0, 0, 0), None)
    assert await send() == ((0, 2, 0, 0), "true")
    assert len((await given_out(unembedded)).splitlines()) == 2


@proves("import.once")
async def test_an_import_that_broke_off_is_completed_by_the_next(unembedded: Client) -> None:
    rows = [row(f"row {number}") for number in range(700)]
    assert counts(await taken(unembedded, lines(rows[:550]))) == (550, 0, 0, 0)
    assert counts(await taken(unembedded, lines(rows))) == (150, 550, 0, 0)
    contents = [json.loads(line)["content"] for line in (await given_out(unembedded)).splitlines()]
    assert contents == [one["content"] for one in rows]


@proves("import.once")
async def test_two_imports_at_once_make_each_row_once(
    unembedded: Client, open_client: OpenClient, second_url: str
) -> None:
    other = await open_client(unembedded, url=second_url)
    body = lines([row(f"row {number}", session_id=str(uuid.uuid4())) for number in range(200)])
    answers = await asyncio.gather(taken(unembedded, body), taken(other, body))
    assert sum(answer["imported"] for answer in answers) == 200
    assert sum(answer["failed"] for answer in answers) == 0
    assert len((await given_out(unembedded)).splitlines()) == 200


@proves("import.sessions")
async def test_missing_sessions_are_made_and_can_be_used_on(organisation: Client) -> None:
    session_id = str(uuid.uuid4())
    body = lines([row("first", session_id=session_id), row("second", session_id=session_id)])
    assert counts(await taken(organisation, body)) == (2, 0, 0, 1)
    await organisation.store("third", session_id=session_id)
    session = await organisation.data("GET", f"/sessions/{session_id}")
    assert session["session"]["created_at"] == "2026-03-01T10:00:00Z"
    assert session["token_usage"]["message_count"] == 3
    history = await organisation.data("GET", f"/sessions/{session_id}/history")
    assert [episode["content"] for episode in history["episodes"]] == ["first", "second", "third"]


@proves("import.scope")
async def test_ids_of_others_are_refused_and_left_alone(
    organisation: Client, stranger: Client, agent_of: OpenClient
) -> None:
    """No line reads or changes what isn't the caller's, and none is told whose it is."""
    session_id = await organisation.session()
    await organisation.store("A secret", session_id=session_id)
    before = await given_out(organisation)
    theirs = json.loads(before)
    forged = [theirs | {"content": "forged", "session_id": None}, theirs | {"id": str(uuid.uuid4())}]
    answer = await taken(stranger, lines(forged))
    assert "A secret" not in json.dumps(answer)
    for client in (organisation, stranger):
        await taken(client, lines([row("own")]))
    assert [json.loads(line)["content"] for line in (await given_out(organisation)).splitlines()] == ["own", "A secret"]
    history = await organisation.data("GET", f"/sessions/{session_id}/history")
    assert [episode["content"] for episode in history["episodes"]] == ["A secret"]
    agent, other_agent = await agent_of(organisation), await agent_of(organisation)
    mine = row("of an agent")
    assert counts(await taken(agent, lines([mine])))[0] == 1
    refused = await taken(other_agent, lines([mine]))
    assert refused["errors"] == [{"line": 1, "code": "ID_TAKEN", "message": "There is something else under this id."}]


@proves("import.lines")
async def test_another_content_under_an_own_id_is_refused(organisation: Client) -> None:
    first = row("as it was")
    await taken(organisation, lines([first]))
    for change in ({"content": "changed"}, {"role": "tool"}, {"created_at": "2026-03-02T10:00:00Z"}, {"tags": ["x"]}):
        answer = await taken(organisation, lines([first | change]))
        assert (counts(answer), answer["errors"][0]["code"]) == ((0, 0, 1, 0), "ID_TAKEN")
    assert json.loads(await given_out(organisation))["content"] == "as it was"


@proves("import.deleted")
async def test_deleted_rows_stay_deleted(unembedded: Client) -> None:
    gone, kept = await unembedded.store("gone"), await unembedded.store("kept")
    alive = await given_out(unembedded)
    await unembedded.data("DELETE", f"/memory/{gone}")
    answer = await taken(unembedded, alive)
    assert [(error["line"], error["code"]) for error in answer["errors"]] == [(1, "DELETED")]
    file = await given_out(unembedded, include_deleted="true")
    assert counts(await taken(unembedded, file)) == (0, 2, 0, 0)
    await forget(unembedded, file)
    assert counts(await taken(unembedded, file)) == (2, 0, 0, 0)
    assert await given_out(unembedded, include_deleted="true") == file
    assert [json.loads(line)["id"] for line in (await given_out(unembedded)).splitlines()] == [kept]
    await unembedded.data("POST", f"/memory/{gone}/restore")
    assert await given_out(unembedded) == alive


WRONG = [
    (b'{"role": "user", ', "MALFORMED_JSON"),
    (b'{"role": "user", "content": "\\ud800"}', "MALFORMED_JSON"),
    (b"\xff\xfe", "MALFORMED_JSON"),
    (b"[]", "VALIDATION_ERROR"),
    (b"7", "VALIDATION_ERROR"),
    (b'{"role": "user"}', "VALIDATION_ERROR"),
    (b'{"role": "user", "content": " "}', "VALIDATION_ERROR"),
    (b'{"role": "user", "content": "x", "id": "7"}', "VALIDATION_ERROR"),
    (b'{"role": "user", "content": "x", "created_at": "2999-01-01"}', "VALIDATION_ERROR"),
    (b'{"role": "user", "content": "x", "deleted_at": "2999-01-01"}', "VALIDATION_ERROR"),
    (b'{"role": "user", "content": "' + b"x" * 100_001 + b'"}', "VALIDATION_ERROR"),
    (b'{"role": "user", "content": "' + b"x" * 2_000_000 + b'"}', "LINE_TOO_LONG"),
]


@proves("import.lines")
async def test_a_wrong_line_is_named_and_stops_no_other(organisation: Client) -> None:
    good = lines([row("good")])
    body = good + b"\n \r\n" + b"".join(line + b"\n" for line, _ in WRONG) + lines([row("last")]).rstrip()
    answer = await taken(organisation, body)
    assert counts(answer) == (2, 0, len(WRONG), 0)
    assert [(error["line"], error["code"]) for error in answer["errors"]] == [
        (number, code) for number, (_, code) in enumerate(WRONG, start=4)
    ]
    assert all(error["message"] and "xxx" not in error["message"] for error in answer["errors"])
    assert sorted(await organisation.contents(search_mode="keyword")) == ["good", "last"]


async def test_errors_are_counted_in_full_and_shown_up_to_a_hundred(organisation: Client) -> None:
    answer = await taken(organisation, b"{\n" * 1_203)
    assert counts(answer) == (0, 0, 1_203, 0)
    assert [error["line"] for error in answer["errors"]] == list(range(1, 101))


async def test_an_empty_body_is_nothing_imported(organisation: Client) -> None:
    assert counts(await taken(organisation, b"")) == (0, 0, 0, 0)


async def test_bodies_come_with_a_byte_order_mark_compressed_or_in_chunks(organisation: Client) -> None:
    assert counts(await taken(organisation, b"\xef\xbb\xbf" + lines([row("marked")]))) == (1, 0, 0, 0)
    packed = gzip.compress(lines([row("packed")]))
    assert counts(await taken(organisation, packed, **{"Content-Encoding": "gzip"})) == (1, 0, 0, 0)

    async def bytewise() -> AsyncIterator[bytes]:
        for value in lines([row("chunked \U0001f600"), row("last")]).rstrip():
            yield bytes([value])

    assert counts(await taken(organisation, bytewise())) == (2, 0, 0, 0)


@pytest.mark.parametrize("media", ["application/json", "text/csv", "application/x-www-form-urlencoded"])
async def test_other_bodies_are_refused(member: Client, media: str) -> None:
    await member.error("POST", "/import", 415, content=b"{}", headers={"Content-Type": media})


async def test_a_key_that_can_be_none_is_refused(member: Client) -> None:
    await member.error("POST", "/import", 422, content=b"", headers=NDJSON | {"Idempotency-Key": "k" * 256})


@proves("import.limits")
async def test_bodies_beyond_the_limits_are_refused(settings: Settings) -> None:
    """By its announced length, by what comes, and by silence; what came before stays."""
    strict = settings.model_copy(update={"import_max_bytes": 300_000, "transfer_stall_s": 0.5})
    async with serving(strict) as url, connect(url) as client:
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        rows = [row("x" * 1_000) for _ in range(600)]
        await client.error("POST", "/import", 413, content=lines(rows), headers=NDJSON)
        assert await given_out(client) == b""

        async def unannounced() -> AsyncIterator[bytes]:
            yield lines(rows[:200])
            yield lines(rows[200:])

        await client.error("POST", "/import", 413, content=unannounced(), headers=NDJSON)

        async def silent() -> AsyncIterator[bytes]:
            yield lines(rows[:1])
            await asyncio.sleep(5)

        await client.error("POST", "/import", 400, "BODY_TOO_SLOW", content=silent(), headers=NDJSON)


@proves("import.vectors")
async def test_vectors_come_along(organisation: Client, embed: Embed) -> None:
    """Exported with its vectors, removed and imported, a memory is found by meaning at once, as before."""
    session_id = await organisation.session()
    for text in ("Anna is allergic to peanuts.", "She lives in Lisbon.", "The invoice is due on Friday."):
        await organisation.store(text, session_id=session_id)
    await embed()
    found = await organisation.search("food that makes her ill", explain=True)
    before = await given_out(organisation, include_vectors="true")
    first = json.loads(before.splitlines()[1])
    assert (first["context"], first["embedding_status"]) == ("Anna is allergic to peanuts.", "ready")
    assert len(first["context_of"]) == 1
    await forget(organisation, before)
    assert counts(await taken(organisation, before)) == (3, 0, 0, 0)
    assert await given_out(organisation, include_vectors="true") == before
    again = await organisation.search("food that makes her ill", explain=True)
    scores = [(result["episode_id"], round(result["score"], 4)) for result in found["results"]]
    assert [(result["episode_id"], round(result["score"], 4)) for result in again["results"]] == scores


@proves("import.vectors")
async def test_vectors_that_can_not_be_used_are_made_anew(unembedded: Client, embed: Embed) -> None:
    """Of another model, broken, or with a context that nothing could ever take back."""
    await unembedded.store("Anna is allergic to peanuts.")
    await embed()
    good = json.loads(await given_out(unembedded, include_vectors="true"))
    changes: list[dict[str, Any]] = [
        {},
        {"embedding_model": "another"},
        {"embedding_form": 1},
        {"context_vector": "AAAA"},
        {"context_vector": "!"},
        {"context_vector": None},
        {"context_vector": good["context_vector"].replace(good["context_vector"][:4], "f///", 1)},
        {"token_codes": None},
        {"token_codes": "AAAA"},
        {"token_codes": "!"},
        {"token_codes": good["token_codes"][:64] * 129},
        {"context": "from nowhere"},
        {"context": "from what is gone", "context_of": [str(uuid.uuid4())]},
    ]
    rows = [good | {"id": str(uuid.uuid4())} | change for change in changes]
    assert counts(await taken(unembedded, lines(rows)))[0] == len(rows)
    states = [(await unembedded.data("GET", f"/memory/{one['id']}/status"))["embedding_status"] for one in rows]
    assert states == ["ready"] + ["pending"] * (len(rows) - 1)


@proves("import.vectors")
async def test_no_context_shows_what_its_reader_does_not_read(
    organisation: Client, agent_of: OpenClient, embed: Embed
) -> None:
    session_id = await organisation.session()
    ada, bob = await agent_of(organisation), await agent_of(organisation)
    secret = await ada.store("Said by Ada alone", session_id=session_id)
    await bob.store("Said by Bob", session_id=session_id)
    await embed()
    whole = [json.loads(line) for line in (await given_out(organisation, include_vectors="true")).splitlines()]
    assert [one["context"] for one in whole] == ["", "Said by Ada alone"]
    await organisation.data("DELETE", f"/memory/{secret}")
    for client in (organisation, bob):
        (one,) = map(json.loads, (await given_out(client, include_vectors="true")).splitlines())
        assert {one[name] for name in ("context", "context_of", "context_vector", "token_codes")} == {None}


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_vectors_come_in_lines_alone(member: Client, form: str) -> None:
    await member.error("GET", "/export", 422, params={"format": form, "include_vectors": "true"})
