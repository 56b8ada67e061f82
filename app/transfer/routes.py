"""/export and /import."""

from __future__ import annotations

from app.http.routing import Call, Nothing, Routes
from app.http.streams import Stream
from app.http.uploads import UploadLimits, line_batches
from app.transfer.models import ExportQuery, Imported

routes = Routes()

_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/octet-stream")


@routes.add(
    "GET",
    "/export",
    query=ExportQuery,
    answer=bytes,
    gives=("application/json", "application/x-ndjson", "text/csv"),
    audit="memory.export",
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


@routes.add("POST", "/import", answer=Imported, sends=_NDJSON[0], keyed=True, audit="memory.import")
async def import_lines(call: Call[Nothing, Nothing]) -> Imported:
    """Store episodes under the ids and times that they had: the lines of an NDJSON export.

    What is there already is left as it is, so that an import that broke off is sent again. Sessions that are
    missing are made. Each line stands by itself: a wrong one is named in the answer and stops no other.
    """
    settings = call.container.settings
    limits = UploadLimits(
        body_max=settings.import_max_bytes,
        line_max=settings.body_max_bytes,
        stall_s=settings.transfer_stall_s,
        max_s=settings.import_max_s,
    )
    batches = line_batches(call.request, _NDJSON, limits)
    return await call.container.imports.run(call.creation(), batches, call.answered, call.request_id)
