"""Webhooks reach public addresses only: a server inside a network must not be made to knock at its neighbours.

What is checked is the address of each socket that is about to connect, after every name has been resolved, so
that neither a name that resolves otherwise the second time nor an address written as a literal gets around it
(docs/decisions/0008-webhooks.md).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

URL_MAX_CHARS = 2_048
_RESOLVE_S = 5.0

# Not for the public, whatever `is_global` of this Python says of them.
_CLOSED_TEXT = (
    "0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.88.99.0/24 198.18.0.0/15 224.0.0.0/3"
    " 64:ff9b:1::/48 100::/64 2001:db8::/32 3fff::/20 5f00::/16 fec0::/10 ff00::/8"
)
_CLOSED: tuple[Network, ...] = tuple(ipaddress.ip_network(text) for text in _CLOSED_TEXT.split())
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LOCAL_SUFFIXES = ("localhost", "local", "internal", "home.arpa", "intranet", "lan")


class Refused(OSError):
    """An address that webhooks must not reach."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas. Raises ValueError where one is none."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def inside(address: Address) -> list[Address]:
    """The address and those that are wrapped in it: mapped, translated and tunnelled ones lead to another host."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    wrapped: list[Address] = []
    if address.ipv4_mapped is not None:
        return inside(address.ipv4_mapped)
    if address in _NAT64:
        return inside(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        wrapped.append(address.sixtofour)
    if address.teredo is not None:
        wrapped += address.teredo
    if address in _COMPATIBLE:
        wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *wrapped]


def permitted(text: str, allowed: Sequence[Network]) -> bool:
    """Whether webhooks may reach this address. allowed: networks that are opened by the settings."""
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    return all(_open(part, allowed) for part in inside(address))


def _open(address: Address, allowed: Sequence[Network]) -> bool:
    if any(address.version == network.version and address in network for network in allowed):
        return True
    closed = any(address.version == network.version and address in network for network in _CLOSED)
    return address.is_global and not address.is_multicast and not closed


def guarded_sockets(allowed: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """For aiohttp's connector: makes the sockets of permitted addresses. Raises Refused for others."""

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if family not in (socket.AF_INET, socket.AF_INET6) or not permitted(str(address[0]), allowed):
            raise Refused(f"{address[0]} is not a public address")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make


def parse_url(text: str) -> str:
    """A target as it may be stored. Raises ValueError with the reason when it can't be one."""
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise ValueError("must be an absolute http or https URL") from None
    if url.scheme not in ("http", "https") or not url.host or not port:
        raise ValueError("must be an absolute http or https URL")
    if url.user is not None or url.password is not None:
        raise ValueError("must not contain credentials; verify the signature instead")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("must not contain spaces or control characters")
    return text


async def refusal(text: str, allowed: Sequence[Network]) -> str | None:
    """Why a target is refused now, or None. A name that does not resolve at the moment is no reason: the
    address is looked at again whenever it is connected to."""
    host = URL(text).host or ""
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        name = host.rstrip(".").lower()
        if any(name == suffix or name.endswith(f".{suffix}") for suffix in _LOCAL_SUFFIXES):
            return "is a name of a local network, not of a public address"
        return None
    if all(permitted(str(info[4][0]), allowed) for info in found):
        return None
    return "must not lead to a loopback, private, link-local or otherwise non-public address"
