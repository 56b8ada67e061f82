"""What the faults did, and docs/reliability.md, whose tables are written from a run or held against one.

`--write-reliability` puts the figures of a run into the page, those of what it ran and what passed. Without it a
fault that the page has no row for is a failure; figures may differ, no run is like another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/reliability.md"

COLUMNS = {
    "faults": (
        "fault", "under way", "acknowledged", "refused", "broken off", "lost", "duplicated", "events", "untold",
        "slowest answer, s", "well again, s", "nothing pending, s",
    ),
    "fuzz": ("fuzzer", "cases", "5xx", "wrong answers"),
}  # fmt: skip
"""Table → columns. The first names the row."""

Row = tuple[str, ...]
_rows: dict[str, dict[str, Row]] = {table: {} for table in COLUMNS}
_cases: Counter[str] = Counter()
_PROBLEMS = pytest.StashKey[list[str]]()

Report = Callable[..., None]


@pytest.fixture(scope="session")
def reliability() -> Report:
    """Call it with a table and a row's cells in the columns' order."""

    def report(table: str, *cells: object) -> None:
        row = tuple(f"{cell:.1f}" if isinstance(cell, float) else f"{cell}" for cell in cells)
        assert len(row) == len(COLUMNS[table]), row
        _rows[table][row[0]] = row
        print(" | ".join(f"{name} {cell}" for name, cell in zip(COLUMNS[table], row, strict=True)))

    return report


def fuzzed(fuzzer: str, cases: int) -> None:
    """Count cases of made-up input that went well; after a run in which one didn't, none are written."""
    _cases[fuzzer] += cases
    _rows["fuzz"][fuzzer] = (fuzzer, f"{_cases[fuzzer]:,}", "0", "0")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that writes the page."""
    parser.addoption("--write-reliability", action="store_true", help=f"write this run's figures into {PAGE.name}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the rows of this run, or see that the page has them."""
    page = PAGE.read_text()
    if session.config.getoption("--write-reliability"):
        for table, rows in _rows.items():
            # A fault reports when it is over and all was well; cases are counted as they come.
            if table == "faults" or exitstatus == 0:
                page = _with(page, table, rows)
        PAGE.write_text(page)
        return
    missing = [
        f"{table}: no row for {name!r}; run pytest -m slow --write-reliability"
        for table, rows in _rows.items()
        for name in rows
        if name not in rows_of(page, table)
    ]
    if missing and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_PROBLEMS] = missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what is missing."""
    for problem in config.stash.get(_PROBLEMS, []):
        terminalreporter.write_line(f"{PAGE.name}: {problem}", red=True)


def rows_of(page: str, table: str) -> dict[str, Row]:
    """A table's rows by their first cell, in the page's order."""
    _, _, rest = page.partition(f"<!-- {table} -->\n")
    lines = rest.partition(f"<!-- end of {table} -->")[0].splitlines()[2:]
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return {row[0]: row for row in cells}


def _with(page: str, table: str, rows: dict[str, Row]) -> str:
    every = rows_of(page, table) | rows
    columns = COLUMNS[table]
    lines = [f"| {' | '.join(columns)} |", f"| --- |{' ---: |' * (len(columns) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in every.values()]
    start, end = f"<!-- {table} -->\n", f"<!-- end of {table} -->"
    before, _, rest = page.partition(start)
    after = rest.partition(end)[2]
    return before + start + "\n".join(lines) + "\n" + end + after
