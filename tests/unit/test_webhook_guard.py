"""Which addresses webhooks may reach, looked at when a target is named and when a socket is made."""

from __future__ import annotations

import socket

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from app.webhooks.guard import parse_networks, parse_url, permitted, refusal
from app.webhooks.sender import open_sender
from tests.promises import proves

CLOSED_TEXT = """127.0.0.1 127.8.9.1 0.0.0.0 10.0.0.1 172.16.3.4 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.8
192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.7 224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1
::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1:: fe80::1 fe80::1%eth0
2001:0:4136:e378:8000:63bf:80ff:fffe fc00::1 fd00::1 fec0::1 ff02::1 2001:db8::1 100::1 ::127.0.0.1 nonsense"""
OPEN_TEXT = "1.1.1.1 8.8.8.8 93.184.216.34 ::ffff:8.8.8.8 64:ff9b::808:808 2606:4700::1111 2a00:1450:4001::1"


@pytest.mark.parametrize("address", CLOSED_TEXT.split())
def test_a_non_public_address_is_closed_however_it_is_wrapped(address: str) -> None:
    assert not permitted(address, ())


@pytest.mark.parametrize("address", OPEN_TEXT.split())
def test_a_public_address_is_open(address: str) -> None:
    assert permitted(address, ())


def test_named_networks_are_opened_and_no_others() -> None:
    allowed = parse_networks("127.0.0.0/8, fd00::/8")
    assert permitted("127.0.0.1", allowed)
    assert permitted("::ffff:127.0.0.1", allowed)
    assert permitted("fd00::1", allowed)
    assert not permitted("10.0.0.1", allowed)
    assert not permitted("::1", allowed)


@pytest.mark.parametrize(
    "url", ["ftp://example.com", "example.com", "/x", "http://", "http://a:b@example.com", "x", "https://e.com/\n"]
)
def test_what_is_no_target_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://localhost:9200", "http://[::1]/", "http://2130706433/", "http://169.254.169.254/", "http://db.internal"],
)
@proves("webhooks.targets")
async def test_a_target_that_leads_inside_is_refused_when_it_is_named(url: str) -> None:
    assert await refusal(url, ()) is not None


class Rebinding(AbstractResolver):
    """A name that was public when it was looked at, and leads to loopback when it is connected to."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = "127.0.0.1"
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


@proves("webhooks.targets")
async def test_a_name_that_is_rebound_to_loopback_is_refused_at_the_socket() -> None:
    """Also literals, which no resolver is asked for."""
    reached = []

    async def receive(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_post("/{tail:.*}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        resolver = Rebinding()
        async with open_sender((), 5.0, resolver) as sender:
            for host in ("rebound.example.com", "127.0.0.1", "[::ffff:127.0.0.1]"):
                outcome = await sender.send(f"http://{host}:{port}/", b"{}", {})
                assert outcome.status is None, host
        assert resolver.asked == 1
        assert reached == []
        async with open_sender(parse_networks("127.0.0.0/8"), 5.0, resolver) as sender:
            assert (await sender.send(f"http://rebound.example.com:{port}/ok", b"{}", {})).delivered
        assert reached == ["/ok"]
    finally:
        await runner.cleanup()
