"""Encoders around a real one: that refuse a text, that go by another name, that let something happen meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from app.embedding.encoder import AsyncEncoder, EncodedPassage, EncodedQuery, Encoder, ModelInfo, Passage


class Refusing:
    """Raises for texts that contain `poison`, and encodes all others with the model within."""

    def __init__(self, encoder: Encoder, poison: str) -> None:
        self._encoder = encoder
        self._poison = poison

    @property
    def info(self) -> ModelInfo:
        return self._encoder.info

    def encode_query(self, text: str) -> EncodedQuery:
        return self._encoder.encode_query(text)

    def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        if any(self._poison in passage.context + passage.text for passage in passages):
            raise ValueError("this text is more than the model can bear")
        return self._encoder.encode_documents(passages)


class Renamed:
    """The same vectors under another model's id."""

    def __init__(self, encoder: Encoder, model_id: str) -> None:
        self._encoder = encoder
        self.info = dataclasses.replace(encoder.info, model_id=model_id)

    def encode_query(self, text: str) -> EncodedQuery:
        return self._encoder.encode_query(text)

    def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        return self._encoder.encode_documents(passages)


class Meanwhile:
    """Awaits `happens` between the reading of the texts and the answer."""

    def __init__(self, encoder: AsyncEncoder, happens: Callable[[], Awaitable[object]]) -> None:
        self._encoder = encoder
        self._happens = happens

    @property
    def info(self) -> ModelInfo:
        return self._encoder.info

    async def encode_query(self, text: str) -> EncodedQuery:
        return await self._encoder.encode_query(text)

    async def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        await self._happens()
        return await self._encoder.encode_documents(passages)

    async def close(self) -> None:
        await self._encoder.close()
