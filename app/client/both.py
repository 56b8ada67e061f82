"""One server for code that may come with or without a running event loop, as frameworks' interfaces do."""

from __future__ import annotations

import asyncio
import os
from functools import cached_property
from typing import Self, TypeVar
from weakref import WeakKeyDictionary

from app.client.rest import AsyncRemembr, Remembr
from app.client.steps import Steps, run, run_async

T = TypeVar("T")


class Clients:
    """base_url and api_key: else from REMEMBR_BASE_URL and REMEMBR_API_KEY, as the published client has it.

    Raises ValueError without a key.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self._base_url = base_url or os.environ.get("REMEMBR_BASE_URL") or "http://127.0.0.1:8000/api/v1"
        key = api_key or os.environ.get("REMEMBR_API_KEY")
        if not key:
            raise ValueError("Give an api_key, or set REMEMBR_API_KEY.")
        self._key = key
        # Connections belong to the loop that they were opened in, and each asyncio.run has its own.
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRemembr] = WeakKeyDictionary()

    @cached_property
    def _sync(self) -> Remembr:
        return Remembr(self._base_url, self._key)

    def run(self, steps: Steps[T]) -> T:
        """Do it, and block meanwhile. Raises ApiError."""
        return run(self._sync, steps)

    async def run_async(self, steps: Steps[T]) -> T:
        """Do it. Raises ApiError."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop[loop] = AsyncRemembr(self._base_url, self._key)
        return await run_async(self._by_loop[loop], steps)

    def close(self) -> None:
        """Close the connections of callers without a loop."""
        self._sync.close()

    async def aclose(self) -> None:
        """Close those of this loop."""
        opened = self._by_loop.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
