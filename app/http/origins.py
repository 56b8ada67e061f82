"""Where a request came from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web

from app.audit.models import Origin
from app.http.requests import CONTAINER, REQUEST_ID

_IPV6_SITE_BITS = 64


def origin_of(request: web.Request) -> Origin:
    """What the audit log keeps of it."""
    address = client_address(request, request.app[CONTAINER].settings.proxy_networks)
    return Origin(address, request.headers.get("User-Agent", ""), request[REQUEST_ID])


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
