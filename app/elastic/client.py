"""The Elasticsearch client and the one place where its exceptions become ours."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import ClientConnectorError
from elastic_transport import AiohttpHttpNode, ConnectionTimeout, HttpHeaders, TransportError
from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport.client_utils import DEFAULT, DefaultType
from elasticsearch import ApiError, AsyncElasticsearch, OrjsonSerializer

from app import metrics
from app.errors import EngineError, Unavailable
from app.settings import Settings
from app.types import JsonObject

_CONNECTIONS_PER_NODE = 64
_PATIENT_S = 120.0
_BUSY = frozenset({429, 502, 503, 504})

_BLOCKED = "cluster_block_exception"
# `index.blocks.write`, by its number: set while a new index takes the place of an old one (docs/reindex.md).
_WRITE_BLOCK = "/8/"
_INDEX = re.compile(r"index \[([^]]+)\]")

# What waiting doesn't cure. All else that can be wrong with one item of many is: a shard that is
# starting, a full queue, too little memory.
_LASTING = frozenset(
    {"index_not_found_exception", "routing_missing_exception", "illegal_argument_exception", "parsing_exception"}
)


class VersionConflict(Exception):
    """The document exists already, or changed since it was read. Stores decide what that means."""


class MissingDocument(Exception):
    """A write named a document or index that isn't there."""


class Moving(Unavailable):
    """The index takes no writes for a moment, since another is taking its place. What was refused wasn't done."""

    def __init__(self, message: str, index: str) -> None:
        super().__init__(message)
        self.index = index


class _NeverSent(TransportConnectionError):
    """There was no connection: whatever it was, it wasn't done."""


class _Node(AiohttpHttpNode):
    """Tells a request that was never sent from one whose answer didn't come."""

    async def perform_request(  # type: ignore[override]  # as in the class itself
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> Any:
        try:
            return await super().perform_request(method, target, body, headers, request_timeout)
        except TransportConnectionError as error:
            if error.errors and isinstance(error.errors[0], ClientConnectorError):
                raise _NeverSent(error.message, errors=error.errors) from error
            raise


_READS = frozenset({"search", "msearch", "mget", "count", "open_point_in_time"})
"""What only reads, although it is a POST."""


class _Client(AsyncElasticsearch):
    """Goes on with another node where that is safe, and tells the metrics how long each operation took."""

    async def perform_request(self, method: str, path: str, **more: Any) -> Any:
        """What was never sent is sent to the next node, and so is a read that broke off; what was too slow isn't:
        its caller has waited long enough."""
        operation = more.get("endpoint_id") or path.rpartition("_")[2]
        for left in range(len(self.transport.node_pool), 0, -1):
            try:
                return await self._measured(operation, method, path, more)
            except ConnectionTimeout:
                raise
            except TransportConnectionError as error:
                reads = method in ("GET", "HEAD") or operation in _READS
                if left == 1 or not (reads or isinstance(error, _NeverSent)):
                    raise
        raise AssertionError("there is at least one host")

    async def _measured(self, operation: str, method: str, path: str, more: dict[str, Any]) -> Any:
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

    A node that can't be reached is left out for a while. A write whose answer didn't come isn't sent again:
    whether it was done is open, and only the caller that chose the document's id knows whether that is safe.
    """
    options: dict[str, Any] = {}
    if settings.elasticsearch_api_key:
        options["api_key"] = settings.elasticsearch_api_key.get_secret_value()
    elif settings.elasticsearch_username and settings.elasticsearch_password:
        password = settings.elasticsearch_password.get_secret_value()
        options["basic_auth"] = (settings.elasticsearch_username, password)
    if settings.elasticsearch_ca_certs:
        options["ca_certs"] = str(settings.elasticsearch_ca_certs)
    client = _Client(
        [host.strip() for host in url.split(",")],
        node_class=_Node,
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


@asynccontextmanager
async def open_patiently(settings: Settings) -> AsyncIterator[AsyncElasticsearch]:
    """For an operator's commands, of which one request may copy or snapshot much. Raises EngineError without an
    address."""
    if not settings.elasticsearch_url:
        raise EngineError("Set REMEMBR_ELASTICSEARCH_URL to the cluster to look at.")
    patient = settings.model_copy(update={"elasticsearch_timeout_s": _PATIENT_S})
    async with open_elasticsearch(patient, settings.elasticsearch_url) as es:
        yield es


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
            raise _blocked(doing, str(error.body)) from error
        if error.meta.status in _BUSY:
            raise _unavailable(doing) from error
        raise
    except (TimeoutError, TransportError) as error:
        raise _unavailable(doing) from error


def item_error(error: JsonObject, doing: str, status: int = 503) -> Exception:
    """The exception for one item of a request that succeeded as a whole. status: the item's, where it has one."""
    if error.get("type") == _BLOCKED:
        return _blocked(doing, str(error.get("reason")))
    if status in _BUSY and error.get("type") not in _LASTING:
        return _unavailable(doing)
    return RuntimeError(f"Elasticsearch failed while {doing}: {error.get('type')}: {error.get('reason')}")


def _blocked(doing: str, reason: str) -> Unavailable:
    # By far the usual cause, and it goes by itself once there is room; `GET _cluster/settings` tells the others.
    message = (
        f"Elasticsearch takes no writes while {doing}: its disk is full, or an operator has made its indices read-only."
        " Make room; then send the same request again."
    )
    if _WRITE_BLOCK in reason and (named := _INDEX.search(reason)):
        return Moving(message, named[1])
    return Unavailable(message)


def _unavailable(doing: str) -> Unavailable:
    return Unavailable(f"Elasticsearch did not answer while {doing}. Send the same request again.")
