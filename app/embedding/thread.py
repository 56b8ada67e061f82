"""An encoder in threads of this process: for one that is light to import and can't hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.embedding.encoder import EncodedPassage, EncodedQuery, Encoder, EncodingError, ModelInfo, Passage

T = TypeVar("T")


class ThreadEncoder:
    """Runs an Encoder in its own threads; `parallel` calls at a time, the others wait in line."""

    def __init__(self, encoder: Encoder, *, parallel: int, timeout_s: float) -> None:
        self._encoder = encoder
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="embedding")

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        return self._encoder.info

    async def encode_query(self, text: str) -> EncodedQuery:
        """A search query. Raises EncodingError."""
        return await self._run(lambda: self._encoder.encode_query(text))

    async def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        """Texts to be found. Raises EncodingError."""
        return await self._run(lambda: self._encoder.encode_documents(passages))

    async def close(self) -> None:
        """Drop what waits and let what runs end."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _run(self, call: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError as error:
            raise EncodingError(f"encoding took more than {self._timeout_s:g} s") from error
        except Exception as error:
            raise EncodingError(f"{type(error).__name__}: {error}") from error
