"""JSON log lines on standard error, each with the request id of the work it belongs to."""

from __future__ import annotations

import logging
import sys

import orjson
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars, merge_contextvars
from structlog.typing import EventDict, WrappedLogger

__all__ = ["bind_contextvars", "clear_contextvars", "configure", "current_request_id"]

_QUIET = ("elastic_transport", "aiohttp.access", "arq.worker", "httpx")


def _drop_color_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event


def current_request_id() -> str | None:
    """The id of the request that is being answered, to be kept with what it leaves for later; None in a worker."""
    request_id: str | None = get_contextvars().get("request_id")
    return request_id


def configure(level: str) -> None:
    """Send the standard library's logging through structlog as JSON. level: DEBUG … ERROR."""
    shared: list[structlog.typing.Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_color_message,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _dumps(event: object, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()
