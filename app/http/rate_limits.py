"""Rate limits of requests: by key or user, and for signing in by address and e-mail."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web
from aiohttp.typedefs import Handler

from app.errors import RateLimited
from app.http.requests import CONTAINER, IDENTITY
from app.limits import Bucket, Verdict

VERDICT: web.RequestKey[Verdict] = web.RequestKey("verdict", Verdict)
_IPV6_SITE_BITS = 64


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
        error = RateLimited(f"Too many requests: {verdict.limit} a minute are allowed. Wait as Retry-After says.")
        error.retry_after_s = max(1, math.ceil(verdict.retry_s))
        raise error


def client_address(request: web.Request, proxies: Sequence[str]) -> str:
    """Whose request it is: the peer, or behind proxies that a setting trusts the last address in
    X-Forwarded-For that none of them has. Of IPv6 the first 64 bits, which one customer has at least."""
    networks = [ip_network(text, strict=False) for text in proxies]
    # Some proxies add a line of their own below the caller's.
    lines = request.headers.getall("X-Forwarded-For", [])
    candidates = [part.strip() for line in lines for part in line.split(",") if part.strip()]
    found = request.remote or ""
    while candidates and _is_in(found, networks):
        found = candidates.pop()
    return _site(found)


def _is_in(text: str, networks: Sequence[object]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)  # type: ignore[operator]


def _site(text: str) -> str:
    address = _address(text)
    if address is None:
        # Neither a peer nor a proxy says such things: all who do share one bucket.
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_SITE_BITS), strict=False))
    return str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Also with a zone, with a port as some proxies add it, or an IPv4 address as a dual-stack socket shows it."""
    for candidate in (text.partition("%")[0], text.rpartition(":")[0].strip("[]")):
        try:
            address = ip_address(candidate)
        except ValueError:
            continue
        return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return None
