"""The console's files, with the headers that let a browser run these and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import hdrs, web

_STATIC = Path(__file__).parent / "static"
_START = "index.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript"}
_REVALIDATE = "public, no-cache"
_INLINE = re.compile(rb"<script type=\"importmap\">(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One file and the path that it is served at."""

    path: str
    content_type: str
    content: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)

    async def serve(self, request: web.Request) -> web.Response:
        """The file, or 304 where the browser has it."""
        if request.headers.get(hdrs.IF_NONE_MATCH) == self.headers[hdrs.ETAG]:
            return web.Response(status=304, headers=self.headers)
        return web.Response(body=self.content, content_type=self.content_type, charset="utf-8", headers=self.headers)


def _pages() -> Iterator[Page]:
    """Read once, when the module is: a request waits for no disk."""
    policy = _policy((_STATIC / _START).read_bytes())
    for file in sorted(file for file in _STATIC.rglob("*") if file.suffix in _TYPES):
        content = file.read_bytes()
        headers = {
            # Weak: the same in any coding.
            hdrs.ETAG: f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',
            hdrs.CACHE_CONTROL: _REVALIDATE,
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        name = file.relative_to(_STATIC).as_posix()
        path = "/console" if name == _START else f"/console/{name}"
        yield Page(path, _TYPES[file.suffix], content, headers)


def _policy(start: bytes) -> str:
    """Scripts of ours, and the page's own map of their names; styles of ours; icons that styles carry in themselves."""
    inline = _INLINE.search(start)
    assert inline is not None
    digest = base64.b64encode(hashlib.sha256(inline[1]).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


CONSOLE = tuple(_pages())
"""Every file of it."""
