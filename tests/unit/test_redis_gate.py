"""What the gate takes for an absence of Redis, and what for a bug."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from app.redis import RedisClient, RedisGate, open_redis

NOWHERE = "redis://127.0.0.1:9/0"


async def test_a_connection_that_uvloop_finds_closed_is_an_absence() -> None:
    async with open_redis(NOWHERE, 0.1) as gate:

        async def work(_: RedisClient) -> str:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

        assert await gate.attempt(work) is None


async def test_a_bug_is_no_absence() -> None:
    async with open_redis(NOWHERE, 0.1) as gate:

        async def work(_: RedisClient) -> str:
            raise RuntimeError("dictionary changed size during iteration")

        with pytest.raises(RuntimeError, match="changed size"):
            await gate.attempt(work)


def test_uvloop_says_it_as_the_gate_expects() -> None:
    """The words are uvloop's own, and no other version of it may say them differently unnoticed."""

    async def write_to_what_is_closed() -> bool:
        ours, theirs = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        theirs.close()
        writer.transport.abort()
        # aborting takes a turn of the loop
        await asyncio.sleep(0.05)

        async def work(_: RedisClient) -> str:
            writer.write(b"PING")
            return "written"

        return await RedisGate(NOWHERE, 0.1).attempt(work) is None

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(write_to_what_is_closed())
