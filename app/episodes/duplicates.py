"""Near-duplicates among search results: what was said again, in nearly the same words, by the same role.

Texts are compared as sets of overlapping pieces of a few characters, by the share that they have in common (Jaccard;
Broder 1997), which needs no knowledge of the language. Numbers must be the same: "at 5" and "at 6" are two facts,
however alike they read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ALIKE = 0.8
"""Share of pieces in common from which on two texts say the same."""

_PIECE = 5
_COMPARED_CHARS = 4_000
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Text:
    role: str
    numbers: tuple[str, ...]
    pieces: frozenset[str]


def collapse(texts: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """The places of those to keep, each with how many others it stands for; the first of each kind is kept.

    texts: role and content of each, best first. Blocks for some ten milliseconds per hundred.
    """
    kept: list[tuple[int, _Text]] = []
    counts: dict[int, int] = {}
    for place, (role, content) in enumerate(texts):
        text = _text(role, content)
        same = next((first for first, other in kept if _alike(text, other)), None)
        if same is None:
            kept.append((place, text))
            counts[place] = 0
        else:
            counts[same] += 1
    return list(counts.items())


def _text(role: str, content: str) -> _Text:
    folded = " ".join(content[:_COMPARED_CHARS].casefold().split())
    pieces = frozenset(folded[start : start + _PIECE] for start in range(max(1, len(folded) - _PIECE + 1)))
    return _Text(role, tuple(sorted(_NUMBER.findall(folded))), pieces)


def _alike(one: _Text, other: _Text) -> bool:
    if one.role != other.role or one.numbers != other.numbers:
        return False
    fewer, more = sorted((len(one.pieces), len(other.pieces)))
    # So different in size that they can't be alike.
    if fewer < ALIKE * more:
        return False
    common = len(one.pieces & other.pieces)
    return common >= ALIKE * (fewer + more - common)
