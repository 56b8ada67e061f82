"""Two runs of the benches side by side."""

from __future__ import annotations

from bench.compare import changes, figures, table


def result(p50: float, ratio: float, **more: object) -> dict[str, object]:
    rows = [{"episodes": 1_000, "way": "bare", "p50_ms": p50, "ratio": ratio}]
    return {"sections": {"search": {"seconds": 1.0, "figures": rows}} | more}


def test_what_was_measured_is_known_by_its_texts_and_counts() -> None:
    assert figures(result(2.0, 1.5)) == {
        ("search", "1,000 episodes, bare", "p50_ms"): 2.0,
        ("search", "1,000 episodes, bare", "ratio"): 1.5,
    }


def test_figures_within_figures_are_found() -> None:
    inner = {"fsync_p50_ms": 0.5, "results": [{"way": "bulk", "clients": 16, "per_s": 10.0}]}
    found = figures({"sections": {"store": {"seconds": 1.0, "figures": inner}}})
    assert found == {("store", "", "fsync_p50_ms"): 0.5, ("store", "bulk, 16 clients", "per_s"): 10.0}


def test_only_what_both_runs_have_is_compared() -> None:
    later = figures(result(3.0, 1.5, latency={"seconds": 1.0, "figures": [{"way": "next", "p50_ms": 9.0}]}))
    found = changes(figures(result(2.0, 1.5)), later)
    assert [(each.measure, each.ratio) for each in found] == [("p50_ms", 1.5), ("ratio", 1.0)]
    assert table(found).splitlines()[2] == "| search | 1,000 episodes, bare | p50_ms | 2 | 3 | 1.50 |"
