"""The API's own description: the OpenAPI document, and a page to read it on that asks nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from app.http.openapi import document
from app.http.responses import dumps
from app.http.routing import JSON, BareRoute, Route

_SCRIPT = "rapidoc-9.3.8.min.js"
_STATIC = Path(__file__).parent / "static"
_REVALIDATE = "public, no-cache"
_FOR_A_DAY = "public, max-age=86400"
_HEADERS = {
    "Content-Security-Policy": (
        # RapiDoc writes its styles inline, and the sizes of its parts as attributes.
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Remembr API</title>
<link rel="icon" href="data:,">
<script type="module" src="docs/{_SCRIPT}"></script>
</head>
<body>
<rapi-doc spec-url="openapi.json" load-fonts="false" render-style="read" theme="light" show-header="false"
 allow-server-selection="false" persist-auth="false" schema-style="table" default-schema-tab="schema"
 allow-spec-file-download="true" regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace">
<noscript>This page needs JavaScript; the document itself is at <a href="openapi.json">openapi.json</a>.</noscript>
</rapi-doc>
</body>
</html>
"""


def docs_routes(routes: Sequence[Route], others: Sequence[BareRoute], base_path: str) -> tuple[BareRoute, ...]:
    """Routes that serve the description of `routes`, `others` and themselves."""

    async def openapi(request: web.Request) -> web.StreamResponse:
        """This document."""
        if request.headers.get("If-None-Match") in (etag, "*"):
            return web.Response(status=304, headers=cached)
        return web.Response(body=content, content_type=JSON, headers=cached)

    async def page(request: web.Request) -> web.StreamResponse:
        """A page to read this document on."""
        headers = {**_HEADERS, "Cache-Control": _REVALIDATE}
        return web.Response(text=_PAGE, content_type="text/html", headers=headers)

    async def script(request: web.Request) -> web.StreamResponse:
        """What the page runs."""
        # The type is named, as a host's own table of them may say another.
        headers = {**_HEADERS, "Cache-Control": _FOR_A_DAY, "Content-Type": "text/javascript"}
        return web.FileResponse(_STATIC / _SCRIPT, headers=headers)

    own = (
        BareRoute("/openapi.json", openapi, {200: JSON, 304: ""}),
        BareRoute("/docs", page, {200: "text/html"}),
        BareRoute(f"/docs/{_SCRIPT}", script, {200: "text/javascript"}),
    )
    content = dumps(document(routes, (*others, *own), base_path))
    # Weak: the same in any coding.
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    cached = {"ETag": etag, "Cache-Control": _REVALIDATE}
    return own
