from __future__ import annotations

import socket

import pytest

from app.engines import ports
from app.errors import EngineError


def test_a_free_port_can_be_bound() -> None:
    port = ports.pick(0, "Redis", "REMEMBR_REDIS_URL")
    with socket.socket() as server:
        server.bind((ports.LOOPBACK, port))
        assert port > 1023


def test_a_wanted_port_that_is_free_is_given() -> None:
    port = ports.pick(0, "Redis", "REMEMBR_REDIS_URL")
    assert ports.pick(port, "Redis", "REMEMBR_REDIS_URL") == port


def test_a_wanted_port_that_is_taken_is_named_with_the_ways_out() -> None:
    with socket.socket() as server:
        server.bind((ports.LOOPBACK, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(EngineError, match=rf"Redis can't have port {port} .* set REMEMBR_REDIS_URL"):
            ports.pick(port, "Redis", "REMEMBR_REDIS_URL")
