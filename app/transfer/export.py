"""Streaming a memory out, page by page, as it was at one moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from app.elastic.index import Hit
from app.elastic.scope import Scope
from app.episodes import queries
from app.episodes.archive import EpisodeArchive
from app.timespan import check_times
from app.transfer.formats import FORMATS, FileFormat, columns, own_embedding, row_of
from app.transfer.models import ExportQuery

# Bounds what a page can hold when long texts follow on short ones, before pages are measured down.
_PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class Export:
    """A file that is still being made. chunks: its bytes; closing them early frees what they hold."""

    filename: str
    content_type: str
    chunks: AsyncGenerator[bytes, None]


class ExportService:
    """See the module."""

    def __init__(self, archive: EpisodeArchive) -> None:
        self._archive = archive

    async def start(self, scope: Scope, wanted: ExportQuery) -> Export:
        """Begin an export; the first page is read, so that what can be refused is refused here.

        Raises ValidationFailed for dates out of order, and Unavailable; the chunks raise Unavailable too.
        """
        check_times(wanted.from_date, wanted.to_date, unit="date")
        query = queries.exported(
            scope,
            session_id=wanted.session_id,
            times=queries.between(wanted.from_date, wanted.to_date),
            deleted=wanted.include_deleted,
            vectors=wanted.include_vectors,
            page_rows=_PAGE_ROWS,
        )
        pages = self._archive.walk(query)
        if wanted.include_vectors:
            pages = self._with_vectors(scope, pages, wanted.include_deleted)
        first: list[Hit] = await anext(pages, [])
        form = FORMATS[wanted.format]
        chunks = _chunks(form, columns(deleted=wanted.include_deleted, vectors=wanted.include_vectors), first, pages)
        return Export(f"remembr_export.{wanted.format}", form.content_type, chunks)

    async def _with_vectors(
        self, scope: Scope, pages: AsyncGenerator[list[Hit], None], deleted: bool
    ) -> AsyncGenerator[list[Hit], None]:
        async with aclosing(pages):
            async for page in pages:
                sources = {source for hit in page for source in hit.source.get("context_of") or ()}
                readable = await self._archive.readable(scope, sources, deleted=deleted)
                yield await asyncio.to_thread(
                    lambda hits, ids: [own_embedding(hit, ids) for hit in hits], page, readable
                )


async def _chunks(
    form: FileFormat, names: tuple[str, ...], page: list[Hit], rest: AsyncGenerator[list[Hit], None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield form.opening(names)
        first = True
        while page:
            # In a thread: a page can hold megabytes.
            yield await asyncio.to_thread(_rows, form, names, page, first)
            first = False
            page = await anext(rest, [])
        yield form.closing


def _rows(form: FileFormat, names: tuple[str, ...], page: list[Hit], first: bool) -> bytes:
    return form.rows([row_of(hit, names) for hit in page], first)
