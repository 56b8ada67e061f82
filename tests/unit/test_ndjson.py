"""Lines out of bytes, however these are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.ndjson import Line, LineSplitter

MARK = b"\xef\xbb\xbf"
TEXTS = st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")).filter(lambda data: MARK not in data)


def split(pieces: list[bytes], line_max: int) -> list[Line]:
    """All lines of a body that came in pieces."""
    splitter = LineSplitter(line_max)
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()


@given(st.lists(TEXTS, max_size=8), st.data())
def test_lines_are_the_same_however_the_body_is_cut(texts: list[bytes], data: st.DataObject) -> None:
    body = b"\n".join(texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert split(pieces, 8) == [
        Line(number, None if len(text) > 8 else text)
        for number, text in enumerate(texts, start=1)
        if len(text) > 8 or text.strip()
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert split([MARK[:2], MARK[2:] + b"a\n" + MARK], 8) == [Line(1, b"a"), Line(2, MARK)]
    assert split([MARK], 8) == []


def test_of_a_line_that_is_too_long_nothing_is_kept() -> None:
    splitter = LineSplitter(8)
    for _ in range(1_000):
        assert splitter.feed(b"x" * 1_000) == []
        assert len(splitter._begun) <= 8
    assert splitter.feed(b"\nshort\n") == [Line(1, None), Line(2, b"short")]
