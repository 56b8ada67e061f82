"""/export."""

from __future__ import annotations

from app.http.routing import Call, Nothing, Routes
from app.http.streams import Stream
from app.transfer.models import ExportQuery

routes = Routes()


@routes.add(
    "GET", "/export", query=ExportQuery, answer=bytes, gives=("application/json", "application/x-ndjson", "text/csv")
)
async def export(call: Call[Nothing, ExportQuery]) -> Stream:
    """All episodes that the caller reads, oldest first, as a file."""
    made = await call.container.exports.start(call.scope, call.query)
    settings = call.container.settings
    return Stream(
        made.chunks,
        content_type=made.content_type,
        filename=made.filename,
        stall_s=settings.transfer_stall_s,
        max_s=settings.export_max_s,
    )
