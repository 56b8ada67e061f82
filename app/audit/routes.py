"""/audit."""

from __future__ import annotations

from app.audit.models import Entries, EntriesQuery
from app.http.routing import Call, Nothing, Routes

routes = Routes(needs="admin")


@routes.add("GET", "/audit", query=EntriesQuery, answer=Entries, audit="audit.read")
async def entries(call: Call[Nothing, EntriesQuery]) -> Entries:
    """Who did what in the organisation, newest first: sign-ins, keys, webhooks, deletes, exports and imports."""
    return await call.container.audit.page(call.identity, call.query, call.request_id)
