"""Which model a process embeds with: the one that the episodes index is made for, whatever the settings say.

A reindex for another model announces it, so that it is loaded by the time that its vectors are searched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Generic, TypeVar

from elasticsearch import AsyncElasticsearch

from app.elastic.generations import model_of
from app.elastic.indices import EPISODES
from app.errors import EngineError, Unavailable
from app.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_AGAIN_S = 30.0
"""After a model could not be had: it may have to come from elsewhere."""

_GRACE_S = 60.0
"""What was begun with the model before may still be under way."""

E = TypeVar("E")
Open = Callable[[Settings], AbstractAsyncContextManager[E]]


@asynccontextmanager
async def following(es: AsyncElasticsearch, settings: Settings, opened: Open[E]) -> AsyncIterator[Callable[[], E]]:
    """Yields what gives the embedder to use now; ask it anew for each piece of work.

    opened: opens the embedder of a model that the settings name. Raises EngineError when it can't be had.
    """
    follower = _Follower(es, settings, opened)
    await follower.start()
    looking = asyncio.create_task(follower.follow())
    try:
        yield lambda: follower.current
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await follower.close()


class _Follower(Generic[E]):
    def __init__(self, es: AsyncElasticsearch, settings: Settings, opened: Open[E]) -> None:
        self._es = es
        self._settings = settings
        self._opened = opened
        self._alias = EPISODES.alias(settings.index_prefix)
        self._there: dict[str, tuple[E, AsyncExitStack]] = {}
        self._unused_since: dict[str, float] = {}
        self._name = settings.embedding_model

    @property
    def current(self) -> E:
        return self._there[self._name][0]

    async def start(self) -> None:
        try:
            live = await model_of(self._es, self._alias)
        except Unavailable as error:
            # It is looked for again every second.
            log.warning("the settings' model is used for now", extra={"error": error.message})
        else:
            self._name = live.name if live else self._name
        await self._load(self._name)

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except Unavailable as error:
                log.debug("the model can't be looked for", extra={"error": error.message})
            except EngineError as error:
                log.error("the model of the episodes can't be had", extra={"error": str(error)})
                await asyncio.sleep(_AGAIN_S)
            except Exception:
                # Whatever it is, searches go on with what there is.
                log.exception("following the model failed")

    async def close(self) -> None:
        for _, stack in self._there.values():
            await stack.aclose()
        self._there.clear()

    async def _look(self) -> None:
        live = await model_of(self._es, self._alias)
        if live is None:
            return
        wanted = [live.name, *([live.next] if live.next else [])]
        for name in wanted:
            await self._load(name)
        if live.name != self._name:
            log.info("embedding with another model from now on", extra={"model": live.name})
            self._name = live.name
        await self._let_go(wanted)

    async def _load(self, name: str) -> None:
        if name in self._there:
            return
        stack = AsyncExitStack()
        settings = self._settings.model_copy(update={"embedding_model": name})
        self._there[name] = (await stack.enter_async_context(self._opened(settings)), stack)

    async def _let_go(self, wanted: list[str]) -> None:
        now = asyncio.get_running_loop().time()
        for name in [name for name in self._there if name not in wanted]:
            if now - self._unused_since.setdefault(name, now) > _GRACE_S:
                del self._unused_since[name]
                _, stack = self._there.pop(name)
                await stack.aclose()
        for name in wanted:
            self._unused_since.pop(name, None)
