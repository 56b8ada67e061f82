"""What checks the coverage page sees an endpoint without tests, and a claim that isn't so."""

from __future__ import annotations

from tests.coverage import ENDPOINTS, NEVER_REFUSE, Seen, _missing, _page, _untrue

STORE = "POST /memory"


def all_seen() -> Seen:
    return {endpoint: {True: {"a.py::works"}, False: {"a.py::refuses"}} for endpoint in ENDPOINTS}


def test_what_was_seen_is_true_of_its_own_page() -> None:
    assert _missing(all_seen()) == _untrue(_page(all_seen()), all_seen()) == []


def test_an_endpoint_without_a_test_is_named() -> None:
    for succeeded in (True, False):
        seen = all_seen()
        seen[STORE][succeeded] = set()
        (problem,) = _missing(seen)
        assert problem.startswith(STORE)
    assert STORE not in NEVER_REFUSE


def test_a_test_that_does_it_no_more_is_named() -> None:
    seen = all_seen()
    seen[STORE][False] = {"a.py::another"}
    (problem,) = _untrue(_page(all_seen()), seen)
    assert "a.py::refuses" in problem


def test_a_new_endpoint_needs_a_row() -> None:
    page = "\n".join(line for line in _page(all_seen()).splitlines() if f"`{STORE}`" not in line)
    (problem,) = _untrue(page, all_seen())
    assert problem.startswith(STORE)
