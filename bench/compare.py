"""Two runs side by side: what each figure has become, as a ratio.

    python -m bench.compare bench/results/before.json bench/results/now.json

Ratios to bare Elasticsearch were measured within one run and can be compared across machines; milliseconds and rates
only where both runs are of the same machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import tables

Figures = Mapping[tuple[str, str, str], float]
"""By part, what was measured, and the measure's name."""


@dataclass(frozen=True)
class Change:
    part: str
    what: str
    measure: str
    before: float
    now: float

    @property
    def ratio(self) -> float:
        return self.now / self.before if self.before else float("nan")


def figures(result: Mapping[str, Any]) -> dict[tuple[str, str, str], float]:
    """Out of a file of results. What texts and whole numbers say is what was measured; the others are measures."""
    return {
        (part, what, measure): value
        for part, section in result["sections"].items()
        for what, measures in _rows(section["figures"])
        for measure, value in measures.items()
    }


def _rows(figures: Any) -> Iterator[tuple[str, dict[str, float]]]:
    if isinstance(figures, list):
        for each in figures:
            yield from _rows(each)
        return
    about = [
        f"{value:,} {name}" if isinstance(value, int) else value
        for name, value in figures.items()
        if isinstance(value, str | int)
    ]
    measures = {name: value for name, value in figures.items() if isinstance(value, float)}
    if measures:
        yield ", ".join(about), measures
    for value in figures.values():
        if isinstance(value, list):
            yield from _rows(value)


def changes(before: Figures, now: Figures) -> list[Change]:
    """Of what both runs have, in the order of the later."""
    return [Change(*key, before[key], value) for key, value in now.items() if key in before]


def table(found: list[Change]) -> str:
    """As Markdown."""
    rows = (
        [each.part, each.what, each.measure, f"{each.before:.4g}", f"{each.now:.4g}", f"{each.ratio:.2f}"]
        for each in found
    )
    return tables.markdown(["part", "what", "measure", "before", "now", "now to before"], rows, texts=3)


def main() -> None:
    parser = argparse.ArgumentParser(
        "bench.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("now", type=Path)
    options = parser.parse_args()
    before, now = (figures(json.loads(path.read_text())) for path in (options.before, options.now))
    print(table(changes(before, now)))


if __name__ == "__main__":
    main()
