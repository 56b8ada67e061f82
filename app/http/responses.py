"""Answers: the envelope and the error shape live here and nowhere else."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from app import metrics
from app.errors import RemembrError

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


def dumps(value: Any) -> bytes:
    """JSON; dataclasses, times and ids as they are, pydantic models by their fields."""
    return orjson.dumps(value, default=_default, option=_OPTIONS)


def _default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(type(value).__name__)


def success(data: Any, request_id: str, status: int = 200) -> web.Response:
    """`{"success": true, "data": …, "request_id": …}`."""
    return _json({"success": True, "data": data, "request_id": request_id}, status)


def bare(data: Any, status: int = 200) -> web.Response:
    """JSON without the envelope, for health probes."""
    return _json(data, status)


def failure(error: RemembrError, request_id: str) -> web.Response:
    """`{"error": {code, message, details, request_id}}` with the error's status."""
    metrics.ERRORS.labels(error.error).inc()
    body = {
        "code": error.error,
        "message": error.message,
        "details": error.details or None,
        "request_id": request_id,
    }
    response = _json({"error": body}, error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _json(value: Any, status: int) -> web.Response:
    return web.Response(body=dumps(value), status=status, content_type="application/json", charset="utf-8")
