"""What runs inside the child process of a ProcessEncoder: one encoder, kept in this module."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable

from app.embedding.encoder import EncodedPassage, EncodedQuery, Encoder, EncodingError, ModelInfo, Passage
from app.errors import EngineError

_encoder: Encoder | None = None


def initialise(niceness: int) -> None:
    """Tie the child's life to its parent's, and let others go before it. niceness: 0 to 19, where there is such."""
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)
    # Ctrl-C and a supervisor's SIGTERM reach the whole group; the parent ends the child in its own order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def pid() -> int:
    """Process id of the child."""
    return os.getpid()


def load(make: Callable[[], Encoder]) -> ModelInfo:
    """Make the encoder that the other functions use. Raises EngineError."""
    global _encoder
    _encoder = made(make)
    return _encoder.info


def made(make: Callable[[], Encoder]) -> Encoder:
    """The encoder that `make` makes. Raises EngineError, whatever the libraries below raise."""
    try:
        return make()
    except EngineError:
        raise
    except Exception as error:
        # Without its cause: not every library's exception can be pickled.
        raise EngineError(f"The embedding model can't be loaded: {type(error).__name__}: {error}") from None


def encode_query(text: str) -> EncodedQuery:
    """Encoder.encode_query. Raises EncodingError."""
    try:
        return _loaded().encode_query(text)
    except Exception as error:
        raise EncodingError(f"{type(error).__name__}: {error}") from None


def encode_documents(passages: list[Passage]) -> list[EncodedPassage]:
    """Encoder.encode_documents. Raises EncodingError."""
    try:
        return _loaded().encode_documents(passages)
    except Exception as error:
        raise EncodingError(f"{type(error).__name__}: {error}") from None


def _loaded() -> Encoder:
    if _encoder is None:
        raise RuntimeError("no model is loaded")
    return _encoder


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A killed parent can't end its child, which would wait on its queue for ever.
        parent.join()
        os._exit(1)
