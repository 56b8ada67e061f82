"""The OpenAPI document and the page to read it on."""

from __future__ import annotations

import re

from tests.client import Client
from tests.documented import DOCUMENT


async def test_the_document_is_served_to_anyone(anonymous: Client) -> None:
    response = await anonymous.send("GET", "/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json() == DOCUMENT


async def test_the_document_is_not_sent_twice_to_who_has_it(anonymous: Client) -> None:
    first = await anonymous.send("GET", "/openapi.json")
    again = await anonymous.send("GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = await anonymous.send("GET", "/openapi.json", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


async def test_the_page_asks_no_other_server(anonymous: Client) -> None:
    page = await anonymous.send("GET", "/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "//" not in page.text
    sources = re.findall(r'(?:src|spec-url)="([^"]+)"', page.text)
    assert len(sources) == 2
    for source in sources:
        # Relative, so that the page works under any prefix of a proxy.
        assert not source.startswith("/")
        response = await anonymous.send("GET", f"/{source}")
        assert response.status_code == 200
        assert response.headers["Cache-Control"]


async def test_the_script_is_javascript_and_comes_with_its_licence(anonymous: Client) -> None:
    page = await anonymous.send("GET", "/docs")
    (script,) = re.findall(r'src="([^"]+\.js)"', page.text)
    response = await anonymous.send("GET", f"/{script}")
    assert response.headers["Content-Type"].startswith("text/javascript")
    assert "RapiDoc" in response.text[:200]
