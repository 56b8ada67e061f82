"""Every promise has its proof."""

from __future__ import annotations

from tests.coverage import PAGE
from tests.promises import PROMISES, SCENARIOS, proofs, scenario_tests, table_of_promises

NAMES = [name for promises in PROMISES.values() for name in promises]


def test_every_promise_is_proved_by_a_test() -> None:
    found = proofs()
    assert [name for name in NAMES if not found.get(name)] == []


def test_no_test_proves_what_nobody_promised() -> None:
    assert set(proofs()) - set(NAMES) == set()
    assert len(set(NAMES)) == len(NAMES)


def test_every_scenario_has_a_test_and_no_test_another_one() -> None:
    assert set(scenario_tests()) == set(SCENARIOS)


def test_the_page_shows_every_promise() -> None:
    # Written by `pytest -m "not slow" --write-coverage`.
    assert table_of_promises() in PAGE.read_text()
