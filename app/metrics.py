"""What is measured, for Prometheus. The only module that knows its client.

Labels are bounded by construction: route templates, names of operations and classes, never ids or texts.
Several processes of one machine share what they count through PROMETHEUS_MULTIPROC_DIR, where that is set
(https://prometheus.github.io/client_python/multiprocess/).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_DIR = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000)

REQUESTS = Histogram(
    "remembr_http_request_seconds", "Requests, from the first byte to the answer.",
    ["method", "route", "status"], buckets=_SECONDS,
)  # fmt: skip
IN_FLIGHT = Gauge("remembr_http_in_flight", "Requests under way.", multiprocess_mode="livesum")
ERRORS = Counter("remembr_errors", "Refusals and failures that callers were answered.", ["code"])
RATE_LIMITED = Counter("remembr_rate_limited", "Requests refused for coming too often.")
COMMITS = Histogram("remembr_commit_writes", "Writes that shared one bulk request.", buckets=_SIZES)
REFRESHES = Counter("remembr_refreshes", "Refreshes that a read waited for.")
ELASTICSEARCH = Histogram(
    "remembr_elasticsearch_seconds", "Requests to Elasticsearch.", ["operation", "outcome"], buckets=_SECONDS
)
REDIS_FAILURES = Counter("remembr_redis_failures", "Redis commands without an answer; the work went on without.")
QUERY_VECTORS = Counter("remembr_query_vectors", "Query vectors, from the cache or computed.", ["source"])
CLOSEUPS = Counter("remembr_closeups", "Episodes that searches looked at closely, by where they were.", ["source"])
QUERY_EMBEDDING = Histogram("remembr_query_embedding_seconds", "Embedding one query.", buckets=_SECONDS)

EMBEDDED = Counter("remembr_embedded", "Episodes that a worker took up.", ["outcome"])
EMBEDDING = Histogram("remembr_embedding_batch_seconds", "Embedding one batch of episodes.", buckets=_SECONDS)
DELIVERIES = Counter("remembr_deliveries", "Tries of deliveries to webhooks.", ["outcome"])
FANNED_OUT = Counter("remembr_events_fanned_out", "Documents whose events became deliveries.")
PURGED = Counter("remembr_purged", "Documents that the purge removed for good.", ["index"])
WAITING = Gauge("remembr_waiting", "What is due and not done.", ["what"], multiprocess_mode="mostrecent")
OLDEST = Gauge(
    "remembr_waiting_oldest_seconds", "How long the oldest of it has been due.", ["what"],
    multiprocess_mode="mostrecent",
)  # fmt: skip


def text() -> bytes:
    """All metrics in Prometheus' text format: this process's, or of all that share a folder."""
    if not os.environ.get(SHARED_DIR):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def serve(port: int, host: str) -> None:
    """Serve the metrics of a process that has no other server, in a thread. Raises OSError for a taken port."""
    start_http_server(port, addr=host)


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observe how long the block takes, whatever comes of it."""
    began = time.perf_counter()
    try:
        yield
    finally:
        histogram.observe(time.perf_counter() - began)
