"""The console's files, with the headers that let a browser run these and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript"}
_REVALIDATE = "public, no-cache"
_INLINE = re.compile(rb"<script type=\"importmap\">(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One file and the path that it is served at."""

    path: str
    file: Path = field(repr=False)

    async def serve(self, request: web.Request) -> web.Response:
        """The file, or 304 where the browser has it."""
        content, etag = _read(self.file)
        headers = {
            hdrs.ETAG: etag,
            hdrs.CACHE_CONTROL: _REVALIDATE,
            "Content-Security-Policy": _policy(),
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        if request.headers.get(hdrs.IF_NONE_MATCH) == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, content_type=_TYPES[self.file.suffix], charset="utf-8", headers=headers)


@cache
def _read(file: Path) -> tuple[bytes, str]:
    content = file.read_bytes()
    # Weak: the same in any coding.
    return content, f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'


@cache
def _policy() -> str:
    """Scripts of ours, and the page's own map of their names; styles of ours; icons that styles carry in themselves."""
    inline = _INLINE.search((_STATIC / "index.html").read_bytes())
    assert inline is not None
    digest = base64.b64encode(hashlib.sha256(inline[1]).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _pages() -> tuple[Page, ...]:
    files = sorted(file for file in _STATIC.rglob("*") if file.suffix in _TYPES)
    return tuple(
        Page("/console" if file.name == "index.html" else f"/console/{file.relative_to(_STATIC).as_posix()}", file)
        for file in files
    )


CONSOLE = _pages()
"""Every file of it."""
