"""Until what is measured has come to rest: asked of Elasticsearch itself."""

from __future__ import annotations

import json
import time

from app.elastic.indices import EPISODES
from app.settings import Settings
from bench.load import Request, send

_MERGE_TIMEOUT_S = 600
_NOT_EMBEDDED = json.dumps({"query": {"bool": {"must_not": [{"term": {"embedding_status": "ready"}}]}}}).encode()


def wait_for_merges(settings: Settings) -> None:
    """Refresh, and wait until Elasticsearch merges no more."""
    assert settings.elasticsearch_url is not None
    alias, end = EPISODES.alias(settings.index_prefix), time.monotonic() + _MERGE_TIMEOUT_S
    send(settings.elasticsearch_url, Request("POST", f"/{alias}/_refresh"))
    while time.monotonic() < end:
        stats = json.loads(send(settings.elasticsearch_url, Request("GET", f"/{alias}/_stats/merge")))
        if not stats["_all"]["primaries"]["merges"]["current"]:
            return
        time.sleep(0.5)
    raise TimeoutError(f"Elasticsearch merged for over {_MERGE_TIMEOUT_S} s")


def index_bytes(settings: Settings) -> int:
    """Bytes on disk of the episodes' segments; those of an index's statistics may be ten seconds old."""
    assert settings.elasticsearch_url is not None
    alias = EPISODES.alias(settings.index_prefix)
    send(settings.elasticsearch_url, Request("POST", f"/{alias}/_flush?force=true"))
    path = f"/_cat/segments/{alias}?bytes=b&h=size&format=json"
    return sum(int(each["size"]) for each in json.loads(send(settings.elasticsearch_url, Request("GET", path))))


def merged_bytes(settings: Settings) -> int:
    """The same when all of it is merged into one segment, without deleted documents."""
    assert settings.elasticsearch_url is not None
    alias = EPISODES.alias(settings.index_prefix)
    send(settings.elasticsearch_url, Request("POST", f"/{alias}/_forcemerge?max_num_segments=1"))
    return index_bytes(settings)


def not_embedded(settings: Settings) -> int:
    """How many episodes have no embedding yet, as of now."""
    return _count(settings, _NOT_EMBEDDED)


def stored(settings: Settings) -> int:
    """How many episodes there are, as of now."""
    return _count(settings, None)


def _count(settings: Settings, query: bytes | None) -> int:
    assert settings.elasticsearch_url is not None
    alias = EPISODES.alias(settings.index_prefix)
    send(settings.elasticsearch_url, Request("POST", f"/{alias}/_refresh"))
    return int(json.loads(send(settings.elasticsearch_url, Request("POST", f"/{alias}/_count", query)))["count"])
