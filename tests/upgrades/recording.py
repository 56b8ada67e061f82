"""What a release has written, for later ones to read: a few calls to it, and everything that Elasticsearch then holds.

    python -m tests.upgrades.recording BASE_URL ELASTICSEARCH_URL INDEX_PREFIX FILE

BASE_URL is of a server of that release, with a worker beside it, on indices that nobody has written to yet. The
file is read by test_upgrade.py. Its caller is `CALLER`; ids are what the server made of it.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
from elasticsearch import AsyncElasticsearch

CALLER = {"email": "ada@example.com", "password": "correct-horse-battery-staple"}
SAID: tuple[tuple[str, str, list[str]], ...] = (
    ("user", "My sister Mira is getting married in Porto on the 3rd of May.", ["topic:wedding"]),
    ("assistant", "Congratulations! Shall I look for flights?", []),
    ("user", "Yes, and remember that I am allergic to peanuts.", ["topic:health", "grams:0"]),
    ("assistant", "Noted: no peanuts. There is a direct flight at 9:40.", []),
    ("user", "Zażółć gęślą jaźń, 日本語, and a family: 👩‍👩‍👧‍👦", ["lang:many"]),
)
_READY_S = 60


async def record(base_url: str, elasticsearch_url: str, prefix: str) -> bytes:
    """Call the server, wait until all is embedded, and give the file's content."""
    # Not the tests' own client, which holds each answer against this release's description.
    async with httpx.AsyncClient(base_url=base_url) as http:
        told = await _call(http)
    es = AsyncElasticsearch(elasticsearch_url)
    try:
        await es.indices.refresh(index=f"{prefix}-*")
        indices = {name: await _dump(es, name) for name in await es.indices.get(index=f"{prefix}-*")}
        for name, index in (await es.indices.get(index=f"{prefix}-*")).body.items():
            settings = index["settings"]["index"]
            kept = {key: settings[key] for key in ("number_of_shards", "analysis") if key in settings}
            indices[name] |= {"mappings": index["mappings"], "aliases": index["aliases"], "settings": kept}
        templates = (await es.indices.get_index_template(name=f"{prefix}-*", flat_settings=False)).body
        components = (await es.cluster.get_component_template(name=f"{prefix}-*", flat_settings=False)).body
    finally:
        await es.close()
    written = {
        "prefix": prefix,
        "told": told,
        "indices": indices,
        "templates": {each["name"]: each["index_template"] for each in templates["index_templates"]},
        "components": {each["name"]: each["component_template"] for each in components["component_templates"]},
    }
    return gzip.compress(orjson.dumps(written), mtime=0)


async def _call(http: httpx.AsyncClient) -> dict[str, Any]:
    async def data(method: str, path: str, **options: Any) -> Any:
        response = await http.request(method, path, **options)
        response.raise_for_status()
        return response.json()["data"]

    tokens = await data("POST", "auth/register", json=CALLER | {"org_name": "Analytical Engines"})
    http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    key = await data("POST", "api-keys", json={"name": "of the first release"})
    http.headers["Authorization"] = f"Bearer {key['api_key']}"
    session_id = (await data("POST", "sessions", json={"metadata": {"title": "wedding"}}))["session_id"]
    bodies: list[dict[str, Any]] = [
        {"role": role, "content": content, "tags": tags, "session_id": session_id} for role, content, tags in SAID
    ]
    bodies.append({"role": "user", "content": "Outside any session, the boiler was serviced."})
    ids = [(await data("POST", "memory", json=body))["episode_id"] for body in bodies]
    for _ in range(_READY_S * 5):
        answers = [await data("GET", f"memory/{episode_id}/status") for episode_id in ids]
        if {answer["embedding_status"] for answer in answers} == {"ready"}:
            break
        await asyncio.sleep(0.2)
    else:
        raise RuntimeError("the worker doesn't embed")
    return {
        "api_key": key["api_key"],
        "session_id": session_id,
        "episode_ids": ids,
    }


async def _dump(es: AsyncElasticsearch, name: str) -> dict[str, Any]:
    found = await es.search(index=name, size=1000, source_exclude_vectors=False)
    return {
        "documents": [
            {"id": hit["_id"], "routing": hit.get("_routing"), "source": _with_packed_vectors(hit["_source"])}
            for hit in found.body["hits"]["hits"]
        ]
    }


def _with_packed_vectors(source: dict[str, Any]) -> dict[str, Any]:
    return {
        field: base64.b64encode(np.asarray(value, dtype=">f4").tobytes()).decode() if "_vector" in field else value
        for field, value in source.items()
    }


if __name__ == "__main__":
    _, *where, file = sys.argv
    Path(file).write_bytes(asyncio.run(record(*where)))
