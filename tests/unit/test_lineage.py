"""What is present of a session after any sequence of storing, checkpoints and restores."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.lineage import Lineage, Path, lineage_of

Stored = tuple[int, int]
"""Branch and ordinal of an episode."""

steps = st.lists(st.one_of(st.sampled_from(["store", "checkpoint"]), st.integers(0, 20)), max_size=60)


def matches(query: Any, branch: int, ordinal: int) -> bool:
    """What Elasticsearch makes of the clauses that a lineage uses."""
    ((kind, inner),) = query.items()
    if kind == "term":
        return bool(inner == {"branch": branch})
    if kind == "range":
        return bool(ordinal <= inner["ordinal"]["lte"])
    assert kind == "bool"
    if "must_not" in inner:
        assert inner["must_not"] == [{"exists": {"field": "branch"}}]
        return branch == 0
    if "should" in inner:
        assert inner["minimum_should_match"] == 1
        return any(matches(clause, branch, ordinal) for clause in inner["should"])
    return all(matches(clause, branch, ordinal) for clause in inner["filter"])


@given(steps)
def test_the_present_is_the_checkpoints_and_what_came_after_it(given_steps: list[str | int]) -> None:
    """A model that copies lists: a checkpoint copies the present, a restore puts the copy back."""
    present: list[Stored] = []
    checkpoints: list[tuple[list[Stored], Path]] = []
    lineage, stored = Lineage(), list[Stored]()
    for ordinal, step in enumerate(given_steps):
        if step == "store":
            episode = (lineage.branch, ordinal)
            stored.append(episode)
            present.append(episode)
        elif step == "checkpoint":
            own = [number for branch, number in stored if branch == lineage.branch]
            checkpoints.append((list(present), lineage.until(max(own, default=None))))
        elif checkpoints:
            assert isinstance(step, int)
            kept, path = checkpoints[step % len(checkpoints)]
            present = list(kept)
            lineage = lineage.restored(path)
        assert [episode for episode in stored if lineage.sees(*episode)] == present
        filters = lineage.filters()
        assert [episode for episode in stored if all(matches(query, *episode) for query in filters)] == present
        assert lineage_of(lineage.source()) == lineage


@given(steps)
def test_a_past_names_a_branch_once_at_most(given_steps: list[str | int]) -> None:
    paths: list[Path] = []
    lineage, last = Lineage(), None
    for ordinal, step in enumerate(given_steps):
        if step == "store":
            last = ordinal
        elif step == "checkpoint":
            paths.append(lineage.until(last))
        elif paths:
            assert isinstance(step, int)
            lineage, last = lineage.restored(paths[step % len(paths)]), None
        branches = [cut.branch for cut in lineage.path]
        assert len(branches) == len(set(branches))
        assert all(branch < lineage.branch for branch in branches)


def test_a_session_of_before_there_were_branches_is_on_the_first() -> None:
    assert lineage_of({"session_id": "x"}) == Lineage()
    assert Lineage().sees(0, 5)
