"""The short-term window: which messages of a session fit its token budget. Pure.

Messages leave in the order of their priority, lowest first: role weight × exp(-age / 24 h), system
messages last. All priorities fall by the same factor as time passes, so their order never changes,
and it can be sorted by `time + 24 h × ln(weight)` without a clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.types import JsonObject, epoch_ms

DECAY_MS = 24 * 3600 * 1000
ROLE_WEIGHTS = {"system": 1.0, "user": 0.9, "tool": 0.9, "assistant": 0.8}
OTHER_WEIGHT = 0.7
SYSTEM = "system"

# Beyond any real time in milliseconds, yet exact beside it in a double.
_SYSTEM_FIRST = 1.0e15

ORDER_SCRIPT = (
    "double at = doc['created_at'].value.toInstant().toEpochMilli(); String role = doc['role'].value;"
    " double weight = params.weights.containsKey(role) ? params.weights.get(role) : params.other;"
    " return at + params.decay * Math.log(weight) + (role == params.system ? params.first : 0.0);"
)
"""`order_key` in Painless, for sorting in Elasticsearch."""

ORDER_PARAMS: JsonObject = {
    "weights": ROLE_WEIGHTS,
    "other": OTHER_WEIGHT,
    "decay": DECAY_MS,
    "system": SYSTEM,
    "first": _SYSTEM_FIRST,
}


@dataclass(frozen=True, slots=True)
class Message:
    """A message that may be in a window."""

    episode_id: str
    role: str
    content: str
    tokens: int
    created_at: datetime
    ordinal: int


def weight(role: str) -> float:
    """The weight of a role, 0..1."""
    return ROLE_WEIGHTS.get(role, OTHER_WEIGHT)


def priority(role: str, created_at: datetime, now: datetime) -> float:
    """Role weight × exp(-age / 24 h); the future counts as now."""
    return weight(role) * math.exp(-max(0, epoch_ms(now) - epoch_ms(created_at)) / DECAY_MS)


def order_key(role: str, created_at: datetime) -> float:
    """Sorts messages as their priorities do at any moment, system messages above all others."""
    first = _SYSTEM_FIRST if role == SYSTEM else 0.0
    return epoch_ms(created_at) + DECAY_MS * math.log(weight(role)) + first


@dataclass(slots=True)
class Filling:
    """A window being filled with messages in the order of their priority, highest first.

    A message that is larger than the whole budget can never be in a window and is passed over; the
    first other one that no longer fits ends it.
    """

    budget: int
    used: int = 0
    full: bool = False

    def take(self, offered: Sequence[Message]) -> list[Message]:
        """Those of `offered` that are in the window."""
        taken = []
        for message in offered:
            if self.full or message.tokens > self.budget:
                continue
            if self.used + message.tokens > self.budget:
                self.full = True
                continue
            self.used += message.tokens
            taken.append(message)
        return taken


def by_time(messages: Sequence[Message]) -> list[Message]:
    """As they were said."""
    return sorted(messages, key=lambda message: (message.created_at, message.ordinal))
