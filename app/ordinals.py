"""Arrival order, which no imported time changes."""

from __future__ import annotations

import time


class Ordinals:
    """Arrival order: microseconds of the clock, but never the same or smaller twice in a process."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Larger than any before."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return self._last
