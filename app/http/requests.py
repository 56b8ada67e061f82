"""Reading requests: JSON bodies and query strings into pydantic models."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypeVar, get_origin

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from app.errors import BadRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType, ValidationFailed
from app.idempotency.models import KEY_MAX_CHARS
from app.validation import validation_failed

if TYPE_CHECKING:
    from app.auth.models import Identity
    from app.container import Container

M = TypeVar("M", bound=BaseModel)

CONTAINER: web.AppKey[Container] = web.AppKey("container")
DRAINING: web.AppKey[asyncio.Event] = web.AppKey("draining")
"""Set when the server is to stop soon: no new work should come, and each connection ends with its answer."""
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity")


def idempotency_key(request: web.Request) -> str | None:
    """The key that makes a create safe to send again. Raises ValidationFailed when it can't be one."""
    for name in ("Idempotency-Key", "X-Idempotency-Key"):
        given = request.headers.get(name)
        if given is None or not given.strip():
            continue
        key = given.strip()
        if len(key) > KEY_MAX_CHARS or not key.isprintable():
            message = f"must be at most {KEY_MAX_CHARS} printable characters"
            error = {"type": "idempotency_key", "loc": ["header", name], "msg": message}
            raise ValidationFailed(f"The header {name} {message}.", errors=[error])
        return key
    return None


async def read_body(request: web.Request, model: type[M]) -> M:
    """The JSON body as a `model`; an empty body is `{}`.

    Raises BadRequest (not JSON), UnsupportedMediaType, PayloadTooLarge or ValidationFailed.
    """
    if not model.model_fields:
        # Clients send bodies where none is read; reading it keeps the connection usable.
        await _raw(request)
        return model()
    raw = await _raw(request)
    if not raw.strip():
        return _validated(model, {}, "body")
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise UnsupportedMediaType("Send the body as JSON, with the header Content-Type: application/json.")
    return _validated(model, _json(raw), "body")


async def _raw(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(request.app[CONTAINER].settings.body_timeout_s):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout("The body took too long to come; send it again, or less at once.") from None
    except web.HTTPRequestEntityTooLarge as error:
        limit = request.client_max_size
        raise PayloadTooLarge(f"The body is larger than {limit} bytes; send less at once.") from error


def _json(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = str(error)
    try:
        # The standard library reads lone surrogates, which the model then names by field.
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadRequest(f"The body is not valid JSON: {reason}.", code="MALFORMED_JSON") from None


def _no_constant(name: str) -> object:
    raise ValueError(name)


def read_query(request: web.Request, model: type[M]) -> M:
    """The query string as a `model`; an empty value is the same as none, and a list's values may be
    repeated. Raises ValidationFailed."""
    if not model.model_fields:
        return model()
    given: dict[str, object] = {key: value for key, value in request.query.items() if value != ""}
    for name, field in model.model_fields.items():
        if name in given and get_origin(field.annotation) is list:
            given[name] = request.query.getall(name)
    return _validated(model, given, "query")


def _validated(model: type[M], value: object, where: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise validation_failed(error, where) from None
