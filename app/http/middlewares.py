"""Around every request, outermost first: request id, errors, authentication."""

from __future__ import annotations

import logging
import time
import uuid

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from app import metrics
from app.errors import AuthenticationError, MethodNotAllowed, NotFound, PayloadTooLarge, RemembrError, RequestTimeout
from app.http.requests import CONTAINER, DRAINING, IDENTITY, REQUEST_ID
from app.http.responses import failure
from app.logs import bind_contextvars, clear_contextvars

log = logging.getLogger(__name__)

_MAX_REQUEST_ID = 128
PUBLIC: web.AppKey[frozenset[tuple[str, str]]] = web.AppKey("public")
"""(method, path template) of the routes that need no credentials."""


def _request_id(given: str | None) -> str:
    if given and len(given) <= _MAX_REQUEST_ID and given.isascii() and given.isprintable():
        return given
    return f"req_{uuid.uuid4().hex}"


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take or make the request id; bind it to the logs and log the request's outcome."""
    request_id = request[REQUEST_ID] = _request_id(request.headers.get("X-Request-ID"))
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    began = time.perf_counter()
    with metrics.IN_FLIGHT.track_inprogress():
        response = await handler(request)
    took_s = time.perf_counter() - began
    method = request.method if request.method in hdrs.METH_ALL else "other"
    metrics.REQUESTS.labels(method, route_of(request), response.status).observe(took_s)
    if (operation := operation_of(request)) is not None:
        request.app[CONTAINER].usage.note(operation, response.status, took_s)
    if not response.prepared:
        response.headers["X-Request-ID"] = request_id
        settings = request.app[CONTAINER].settings
        if request.app[DRAINING].is_set() or (settings.close_sync_clients and _loses_its_loop(request)):
            response.force_close()
    level = logging.WARNING if response.status >= 500 else _level(request)
    log.log(
        level,
        "request",
        extra={
            "method": request.method,
            "route": route_of(request),
            "status": response.status,
            "ms": round(took_s * 1000, 1),
        },
    )
    return response


def _level(request: web.Request) -> int:
    return logging.INFO if request.app[CONTAINER].settings.access_log else logging.DEBUG


def _loses_its_loop(request: web.Request) -> bool:
    """Published synchronous adapters run an event loop per call over one HTTP client, so that a
    connection kept alive belongs to a dead loop at their second call."""
    headers = request.headers
    return (
        headers.get("User-Agent", "").startswith("python-httpx/")
        and headers.get("Accept") == "application/json"
        and headers.get("Content-Type") == "application/json"
    )


def route_of(request: web.Request) -> str:
    """The path template, so that ids don't make each path its own."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


def operation_of(request: web.Request) -> str | None:
    """Method and path template of what a known caller asked for; nothing for probes, pages and what isn't there."""
    if IDENTITY not in request:
        return None
    return f"{request.method} {route_of(request)}"


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every exception in the error shape. A bug says nothing of itself but in the log."""
    request_id = request[REQUEST_ID]
    try:
        return await handler(request)
    except RequestTimeout as error:
        response = failure(error, request_id)
        # What is still to come is no new request.
        response.force_close()
        return response
    except RemembrError as error:
        return failure(error, request_id)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = failure(MethodNotAllowed(f"{request.method} is not possible here; use {allowed}."), request_id)
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        return failure(NotFound("There is nothing at this path."), request_id)
    except web.HTTPRequestEntityTooLarge:
        return failure(PayloadTooLarge("The request is too large; send less at once."), request_id)
    except web.HTTPException:
        raise
    except Exception:
        log.exception("request failed", extra={"route": route_of(request), "method": request.method})
        return failure(RemembrError("Something went wrong on our side. The log has this request's id."), request_id)


@web.middleware
async def authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who is asking, for every route that isn't declared public."""
    resource = request.match_info.route.resource
    known = resource is not None and request.match_info.http_exception is None
    if known and (request.method, route_of(request)) not in request.app[PUBLIC]:
        request[IDENTITY] = await request.app[CONTAINER].auth.identify(_credential(request))
    return await handler(request)


def _credential(request: web.Request) -> str:
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        raise AuthenticationError("The Authorization header must read: Bearer <token or key>.", code="TOKEN_INVALID")
    key = request.headers.get("X-API-Key", "").strip()
    if not key:
        raise AuthenticationError(
            "Send an access token or an API key: Authorization: Bearer <token or key>, or X-API-Key: <key>."
        )
    return key
