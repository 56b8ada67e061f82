"""Newline-delimited JSON: bytes, as they come, into lines. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a body. number: from 1. text: without what ends it; None when it was longer than allowed."""

    number: int
    text: bytes | None


class LineSplitter:
    """Cuts bytes into lines. Blank ones are counted and left out; of one that is longer than `line_max`
    bytes no more than that is kept."""

    def __init__(self, line_max: int) -> None:
        self._line_max = line_max
        self._number = 0
        self._begun = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> list[Line]:
        """The lines that end in `data`."""
        *ends, rest = data.split(b"\n")
        lines = [line for end in ends if (line := self._ended(end)) is not None]
        self._go_on(rest)
        return lines

    def end(self) -> list[Line]:
        """The last line, where nothing ends it."""
        line = self._ended(b"")
        return [] if line is None else [line]

    def _go_on(self, data: bytes) -> None:
        if len(self._begun) + len(data) > self._line_max:
            self._too_long = True
            self._begun.clear()
        if not self._too_long:
            self._begun += data

    def _ended(self, data: bytes) -> Line | None:
        self._go_on(data)
        self._number += 1
        text, too_long = bytes(self._begun), self._too_long
        self._begun.clear()
        self._too_long = False
        if self._number == 1:
            text = text.removeprefix(_BYTE_ORDER_MARK)
        if too_long:
            return Line(self._number, None)
        return Line(self._number, text) if text.strip() else None
