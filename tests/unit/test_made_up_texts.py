"""Parsers of what callers send: whatever comes, they give an answer of their kind or the one error they may raise."""

from __future__ import annotations

import ipaddress

import orjson
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import TypeAdapter, ValidationError

from app.episodes.tags import TagFilter, number, sortable, tag_numbers
from app.http.origins import client_address
from app.ndjson import Line
from app.transfer.lines import ReadRow, read_rows
from app.types import UtcDateTime, epoch_ms
from tests.fuzzing import HOSTILE, made_up
from tests.reliability import fuzzed

ANY = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))
NEARLY_TIMES = st.from_regex(r"\A\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{0,9})?)?( ?[Zz+-]?\d{0,2}:?\d{0,2})?)?\Z")
ADDRESSES = st.one_of(
    st.ip_addresses().map(str),
    ANY,
    st.ip_addresses(v=4).map(lambda ip: f"{ip}:80"),
    st.sampled_from(["[::1]:9", "::1%0"]),
)
TIME = TypeAdapter(UtcDateTime)
LINES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), ANY),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(ANY, st.sampled_from(["id", "role", "content", "tags", "metadata", "created_at", "session_id"])),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@made_up(200)
@given(st.one_of(ANY, NEARLY_TIMES))
def test_times(text: str) -> None:
    try:
        moment = TIME.validate_python(text)
    except ValidationError:
        pass
    else:
        assert moment.utcoffset() is not None
        assert not moment.utcoffset()
        assert isinstance(epoch_ms(moment), int)
    fuzzed("texts for parsers: times, numbers, filters, lines, addresses", 1)


@made_up(200)
@given(st.one_of(ANY, st.floats().map(str), st.integers().map(str)), ANY)
def test_numbers_of_tags_and_filters(value: str, key: str) -> None:
    parsed = number(value)
    if parsed is not None:
        assert parsed == float(value)
        assert len(sortable(parsed)) == 16
    for term in tag_numbers([f"{key}:{value}"]):
        assert term.count(":") >= 2
    for op in ("eq", "gt", "prefix"):
        try:
            wanted = TagFilter.model_validate({"key": key, "op": op, "value": value})
        except ValidationError:
            continue
        assert wanted.value == value
    fuzzed("texts for parsers: times, numbers, filters, lines, addresses", 1)


@made_up(200)
@given(st.lists(st.one_of(LINES.map(lambda value: _json(value)), st.binary(max_size=40)), max_size=4))
def test_lines_of_an_import(texts: list[bytes]) -> None:
    read = read_rows([Line(place, text) for place, text in enumerate(texts, start=1)], 1_000)
    assert [each.line if not isinstance(each, ReadRow) else each.number for each in read] == list(
        range(1, len(texts) + 1)
    )
    fuzzed("texts for parsers: times, numbers, filters, lines, addresses", 1)


@made_up(200)
@given(st.lists(ADDRESSES, max_size=4), ADDRESSES)
def test_addresses_that_proxies_tell(forwarded: list[str], peer: str) -> None:
    clean = [text for text in forwarded if text.isprintable() and text.isascii()]
    headers = CIMultiDict([("X-Forwarded-For", ", ".join(clean))])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    for proxies in ([], ["0.0.0.0/0", "::/0"]):
        address = client_address(request, proxies)
        if address != "unknown":
            ipaddress.ip_network(address)
    fuzzed("texts for parsers: times, numbers, filters, lines, addresses", 1)


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).encode("utf-8", "replace")
