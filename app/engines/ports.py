"""Ports on the loopback interface for the engines."""

from __future__ import annotations

import errno
import socket

from app.errors import EngineError

LOOPBACK = "127.0.0.1"


def pick(wanted: int, engine: str, url_setting: str) -> int:
    """A port of 127.0.0.1 that nobody listens on: the wanted one, or any when that is 0.

    engine and url_setting go into the sentence of the EngineError that says the wanted one is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the engines do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
            if wanted:
                probe.listen(1)
        except OSError as error:
            raise EngineError(_taken(wanted, engine, url_setting, error)) from error
        port: int = probe.getsockname()[1]
        return port


def _taken(port: int, engine: str, url_setting: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{engine} can't have port {port} of {LOOPBACK}: another program listens there. Choose another "
            f"port, or 0 for any free one; if it is the {engine} you want to use, set {url_setting} to its "
            "address."
        )
    return f"{engine} can't have port {port} of {LOOPBACK}: {error.strerror}. Choose another, or 0."
