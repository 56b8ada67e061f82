"""One request with an idempotency key, and what became of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import orjson
from pydantic import BaseModel

from app.elastic.scope import Scope
from app.types import derived_id, new_id

KEY_MAX_CHARS = 255
KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Creation:
    """What a create is to be known by. Without a key every id is new.

    Ids derive from who asks, what is asked for, the key and the body, so that the same request always
    names the same thing, on any process, whatever Redis does. subject: method, path template and, where
    there is one, the session. fingerprint: of the body.
    """

    scope: Scope
    subject: tuple[str, ...]
    key: str | None = None
    fingerprint: str = ""

    def id(self, generation: int = 0, item: int = 0) -> str:
        """The id of what is made. generation: counts up each time the key has run out. item: of a batch."""
        if self.key is None:
            return new_id()
        return derived_id(*self._who, *self.subject, self.key, self.fingerprint, str(generation), str(item))

    @property
    def marker_id(self) -> str:
        """The id of the document that says the key is in use, whatever the body."""
        return derived_id("idempotency key", *self._who, *self.subject, self.key or "")

    @property
    def _who(self) -> tuple[str, ...]:
        return (self.scope.org_id, self.scope.user_id, self.scope.agent_id or "")


@dataclass(slots=True)
class Answered:
    """How a create with a key went: written by services, read for the answer's headers.

    replayed: everything was there already. reused: the key had been used with another body.
    """

    replayed: bool = False
    reused: bool = False


def fingerprint_of(body: BaseModel) -> str:
    """SHA-256 of the validated body: `null`, absence and the order of fields make no difference."""
    given = body.model_dump(mode="json", exclude_none=True)
    return hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest()
