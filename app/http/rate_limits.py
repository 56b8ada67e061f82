"""Rate limits of requests: by key or user, and for signing in by address and e-mail."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from app import metrics
from app.errors import RateLimited
from app.http.origins import client_address
from app.http.requests import CONTAINER, IDENTITY
from app.limits import Bucket, Verdict

VERDICT: web.RequestKey[Verdict] = web.RequestKey("verdict", Verdict)


@web.middleware
async def rate_limits(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what is more than the caller's key, or user, may ask. Raises RateLimited."""
    if IDENTITY in request:
        container = request.app[CONTAINER]
        bucket = Bucket(request[IDENTITY].credential_id, container.settings.rate_limit_per_minute)
        await _take(request, [bucket])
    return await handler(request)


async def limit_sign_in(request: web.Request, email: str) -> None:
    """Before a password is looked at or an account made. Raises RateLimited."""
    settings = request.app[CONTAINER].settings
    # Redis need not know who signs in.
    digest = hashlib.sha256(email.casefold().encode()).hexdigest()[:32]
    await _take(
        request,
        [
            Bucket(f"address:{client_address(request, settings.proxy_networks)}", settings.sign_in_per_address),
            Bucket(f"email:{digest}", settings.sign_in_per_email),
        ],
    )


async def show_limits(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that say what is left; a signal, so that errors and streams have them as well.

    Source: draft-ietf-httpapi-ratelimit-headers-07, the last with a header for each number.
    """
    verdict = request.get(VERDICT)
    if verdict is not None:
        response.headers["RateLimit-Limit"] = str(verdict.limit)
        response.headers["RateLimit-Remaining"] = str(verdict.remaining)
        response.headers["RateLimit-Reset"] = str(math.ceil(verdict.reset_s))


async def _take(request: web.Request, buckets: Sequence[Bucket]) -> None:
    verdict = await request.app[CONTAINER].limiter.take(buckets)
    if verdict is None:
        return
    request[VERDICT] = verdict
    if not verdict.allowed:
        metrics.RATE_LIMITED.inc()
        error = RateLimited(f"Too many requests: {verdict.limit} a minute are allowed. Wait as Retry-After says.")
        error.retry_after_s = max(1, math.ceil(verdict.retry_s))
        raise error
