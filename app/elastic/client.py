"""The Elasticsearch client and the one place where its exceptions become ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, OrjsonSerializer

from app import metrics
from app.errors import Unavailable
from app.settings import Settings
from app.types import JsonObject

_CONNECTIONS_PER_NODE = 64
_BUSY = frozenset({429, 502, 503, 504})

_BLOCKED = "cluster_block_exception"

# What waiting doesn't cure. All else that can be wrong with one item of many is: a shard that is
# starting, a full queue, too little memory.
_LASTING = frozenset(
    {"index_not_found_exception", "routing_missing_exception", "illegal_argument_exception", "parsing_exception"}
)


class VersionConflict(Exception):
    """The document exists already, or changed since it was read. Stores decide what that means."""


class MissingDocument(Exception):
    """A write named a document or index that isn't there."""


class _Measured(AsyncElasticsearch):
    """Tells the metrics how long each operation took, and how it ended."""

    async def perform_request(self, method: str, path: str, **more: Any) -> Any:
        operation = more.get("endpoint_id") or path.rpartition("_")[2]
        began, outcome = time.perf_counter(), "ok"
        try:
            return await super().perform_request(method, path, **more)
        except ApiError as error:
            outcome = str(error.meta.status)
            raise
        except (TimeoutError, TransportError):
            outcome = "no answer"
            raise
        finally:
            metrics.ELASTICSEARCH.labels(operation, outcome).observe(time.perf_counter() - began)


@asynccontextmanager
async def open_elasticsearch(settings: Settings, url: str) -> AsyncIterator[AsyncElasticsearch]:
    """A client that is closed at the end. url: one host, or several separated by commas.

    The transport retries nothing: a time-out leaves open whether a write was done, and only the
    caller that chose the document's id knows whether sending it again is safe.
    """
    options: dict[str, Any] = {}
    if settings.elasticsearch_api_key:
        options["api_key"] = settings.elasticsearch_api_key.get_secret_value()
    elif settings.elasticsearch_username and settings.elasticsearch_password:
        password = settings.elasticsearch_password.get_secret_value()
        options["basic_auth"] = (settings.elasticsearch_username, password)
    if settings.elasticsearch_ca_certs:
        options["ca_certs"] = str(settings.elasticsearch_ca_certs)
    client = _Measured(
        [host.strip() for host in url.split(",")],
        serializer=OrjsonSerializer(),
        request_timeout=settings.elasticsearch_timeout_s,
        connections_per_node=_CONNECTIONS_PER_NODE,
        max_retries=0,
        retry_on_timeout=False,
        http_compress=False,
        **options,
    )
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Turn the client's exceptions into ours. doing: what was being done, for the message.

    Raises Unavailable when Elasticsearch is away, slow or overloaded, VersionConflict on 409 and
    MissingDocument on 404. Anything else is a bug of ours and passes unchanged.
    """
    try:
        yield
    except ApiError as error:
        if error.meta.status == 409:
            raise VersionConflict from error
        if error.meta.status == 404:
            raise MissingDocument from error
        if error.error == _BLOCKED:
            raise _blocked(doing) from error
        if error.meta.status in _BUSY:
            raise _unavailable(doing) from error
        raise
    except (TimeoutError, TransportError) as error:
        raise _unavailable(doing) from error


def item_error(error: JsonObject, doing: str, status: int = 503) -> Exception:
    """The exception for one item of a request that succeeded as a whole. status: the item's, where it has one."""
    if error.get("type") == _BLOCKED:
        return _blocked(doing)
    if status in _BUSY and error.get("type") not in _LASTING:
        return _unavailable(doing)
    return RuntimeError(f"Elasticsearch failed while {doing}: {error.get('type')}: {error.get('reason')}")


def _blocked(doing: str) -> Unavailable:
    # By far the usual cause, and it goes by itself once there is room; `GET _cluster/settings` tells the others.
    return Unavailable(
        f"Elasticsearch takes no writes while {doing}: its disk is full, or an operator has made its indices read-only."
        " Make room; then send the same request again."
    )


def _unavailable(doing: str) -> Unavailable:
    return Unavailable(f"Elasticsearch did not answer while {doing}. Send the same request again.")
