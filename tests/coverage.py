"""Which test met which endpoint, and how it was answered; checks docs/api-coverage.md or writes it.

`pytest -m "not slow" --write-coverage` writes the page. A whole run without it fails when an endpoint
has no test of success or none of failure, or the page names a test that didn't do what it says. A run
of some tests checks nothing.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from pathlib import Path

import httpx
import pytest

from tests.documented import DOCUMENT, template_of
from tests.promises import table_of_promises

PAGE = Path(__file__).parents[1] / "docs/api-coverage.md"
_TESTS_SHOWN = 3
_HEAD = """# What the tests cover

Written by `pytest -m "not slow" --write-coverage`; a whole run of the tests fails when this page is not true.

## Endpoints

Per endpoint, tests in which it succeeds and tests in which it refuses: of those there are, the three that meet the
fewest other endpoints.

| endpoint | succeeds | refuses |
| --- | --- | --- |
"""
_ROW = re.compile(r"^\| `(\w+ /\S*)` \| (.*) \| (.*) \|$")
_NAMED = re.compile(r"`([^`]+)`")

Endpoint = str
Seen = dict[Endpoint, dict[bool, set[str]]]
_seen: Seen = defaultdict(lambda: {True: set(), False: set()})
_slow: set[str] = set()

ENDPOINTS = [f"{method.upper()} {path}" for path, methods in sorted(DOCUMENT["paths"].items()) for method in methods]
# What is not ready is seen with the stores away, which takes a slow test.
NEVER_REFUSE = {endpoint for endpoint in ENDPOINTS if re.match(r"GET /(health|openapi\.json$|docs)", endpoint)}


async def record(response: httpx.Response) -> None:
    """Note an answer for the test that runs now; fixtures don't count."""
    test, _, phase = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")
    template, takes_method = template_of(response.request.method, response.request.url)
    if phase != "(call)" or template is None or not takes_method:
        return
    name = test.partition("[")[0].removeprefix("tests/")
    if name not in _slow:
        _seen[f"{response.request.method} {template}"][response.status_code < 400].add(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that writes the page."""
    parser.addoption("--write-coverage", action="store_true", help=f"write {PAGE.name} from this run")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Write the promises, which need no run, so that the test that reads them sees what is to be written."""
    if session.config.getoption("--write-coverage"):
        PAGE.write_text(PAGE.read_text().partition("## Promises")[0] + table_of_promises())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests aren't part of every run, so that the page can't name them."""
    slow = (item.nodeid for item in items if item.get_closest_marker("slow"))
    _slow.update(nodeid.partition("[")[0].removeprefix("tests/") for nodeid in slow)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, or hold it against what was seen."""
    if exitstatus != 0 or not _is_whole(session.config):
        return
    problems = [*_missing(_seen)]
    if session.config.getoption("--write-coverage"):
        PAGE.write_text(_page(_seen))
    else:
        problems += _untrue(PAGE.read_text(), _seen)
    if problems:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_PROBLEMS] = problems


_PROBLEMS = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what is missing."""
    for problem in config.stash.get(_PROBLEMS, []):
        terminalreporter.write_line(f"{PAGE.name}: {problem}", red=True)


def _is_whole(config: pytest.Config) -> bool:
    chosen = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    options = config.option
    return bool(chosen and not options.keyword and options.markexpr in ("", "not slow") and not options.collectonly)


def _missing(seen: Seen) -> list[str]:
    found = [f"{endpoint} succeeds in no test" for endpoint in ENDPOINTS if not seen[endpoint][True]]
    refusing = [endpoint for endpoint in ENDPOINTS if endpoint not in NEVER_REFUSE]
    return found + [f"{endpoint} refuses in no test" for endpoint in refusing if not seen[endpoint][False]]


def _untrue(page: str, seen: Seen) -> list[str]:
    rows = {match[1]: match for line in page.splitlines() if (match := _ROW.match(line))}
    found = [f"{endpoint} has no row" for endpoint in ENDPOINTS if endpoint not in rows]
    found += [f"{endpoint} is there no more" for endpoint in rows if endpoint not in ENDPOINTS]
    for endpoint, row in rows.items():
        for cell, succeeded in ((row[2], True), (row[3], False)):
            named = set(_NAMED.findall(cell)) - seen[endpoint][succeeded]
            found += [f"{endpoint}: {test} didn't {'succeed' if succeeded else 'fail'} there" for test in sorted(named)]
    return [f"{problem}; run pytest -m 'not slow' --write-coverage" for problem in found]


def _page(seen: Seen) -> str:
    breadth = Counter(test for answers in seen.values() for tests in answers.values() for test in tests)

    def cell(tests: set[str]) -> str:
        chosen = sorted(tests, key=lambda test: (breadth[test], test))[:_TESTS_SHOWN]
        return ", ".join(f"`{test}`" for test in chosen) or "—"

    cells = {endpoint: (cell(seen[endpoint][True]), cell(seen[endpoint][False])) for endpoint in ENDPOINTS}
    rows = [f"| `{endpoint}` | {succeeds} | {refuses} |" for endpoint, (succeeds, refuses) in cells.items()]
    return _HEAD + "\n".join(rows) + "\n\n" + table_of_promises()
