"""Keeping the audit log: an action begins with its entry, and ends with what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from app.audit.models import Entries, EntriesQuery, Origin
from app.audit.store import AuditStore
from app.auth.models import Identity
from app.elastic.scope import Scope
from app.errors import AuthorizationError, RemembrError
from app.timespan import check_times

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """An entry whose action is under way."""

    scope: Scope
    entry_id: str
    targets: Sequence[str]


class AuditService:
    """See the module. What is noted in the background is finished by `close`."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store
        self._background: set[asyncio.Task[None]] = set()

    async def begin(self, identity: Identity, action: str, origin: Origin, targets: Sequence[str]) -> Begun:
        """Store the entry before anything is done. Raises Unavailable, and then nothing is to be done."""
        entry_id = await self._store.write(identity.scope, action, identity.credential_id, origin, targets)
        return Begun(identity.scope, entry_id, targets)

    def end(self, begun: Begun, status: int, more: Sequence[str] = ()) -> None:
        """Note how it ended and what came of it; not in the caller's way, for what was done is done."""
        targets = [*begun.targets, *more]
        self._note(self._store.complete(begun.scope, begun.entry_id, targets, status))

    def note(self, scope: Scope, action: str, credential: str, origin: Origin, status: int) -> None:
        """Note what has happened already, in the background: it takes the same time whether there is anyone to
        note it of."""

        async def write() -> None:
            await self._store.write(scope, action, credential, origin, status=status)

        self._note(write())

    async def page(self, identity: Identity, wanted: EntriesQuery, request_id: str) -> Entries:
        """The organisation's entries. Raises AuthorizationError for agents, ValidationFailed for times out of order."""
        if identity.scope.agent_id is not None:
            raise AuthorizationError("An agent's key can't read the audit log; use the user's own key or token.")
        check_times(wanted.from_time, wanted.to_time)
        entries, total = await self._store.page(identity.scope, wanted)
        return Entries(request_id, entries, total, wanted.limit, wanted.offset)

    async def close(self) -> None:
        """Finish what is under way."""
        if self._background:
            await asyncio.wait(self._background)

    def _note(self, writing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._written(writing))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _written(self, writing: Coroutine[Any, Any, None]) -> None:
        try:
            await writing
        except RemembrError as error:
            log.warning("an audit entry could not be completed", extra={"error": error.message})
