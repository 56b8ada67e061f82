"""Storing many episodes in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.client import ApiError, Call, Steps

_BATCH = 100


def store(episodes: Sequence[Mapping[str, Any]]) -> Steps[list[str]]:
    """Store them; their ids. episodes: as the API takes them. Raises ApiError when one is refused; those before it are
    stored."""
    ids: list[str] = []
    for begin in range(0, len(episodes), _BATCH):
        (stored,) = yield [Call("POST", "/memory/batch", {"episodes": episodes[begin : begin + _BATCH]})]
        for item in stored["items"]:
            if item["error"]:
                raise ApiError(item["error"]["message"], status=item["status"], code=item["error"]["code"])
            ids.append(item["episode_id"])
    return ids
