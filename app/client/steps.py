"""Work that is made of calls, written once and done with or without asyncio.

A function of this kind yields calls and is sent their answers; `run` and `run_async` make them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from app.client.errors import ApiError
from app.client.rest import AsyncRemembr, Remembr

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One call of the REST API."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, Any] | None = None


Steps = Generator[Sequence[Call], list[Any], T]
"""Yields calls that may be made at once, is sent their answers in this order, and gives a T. A call that fails raises
ApiError in it."""


def run(client: Remembr, steps: Steps[T]) -> T:
    """Do it, one call after the other. Raises ApiError where the steps don't catch it."""
    try:
        calls = next(steps)
        while True:
            try:
                answers = [client.call(each.method, each.path, body=each.body, query=each.query) for each in calls]
            except ApiError as error:
                calls = steps.throw(error)
            else:
                calls = steps.send(answers)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def run_async(client: AsyncRemembr, steps: Steps[T]) -> T:
    """Do it, calls that are yielded together at once. Raises ApiError where the steps don't catch it."""
    try:
        calls = next(steps)
        while True:
            made = [client.call(each.method, each.path, body=each.body, query=each.query) for each in calls]
            try:
                answers = list(await asyncio.gather(*made))
            except ApiError as error:
                calls = steps.throw(error)
            else:
                calls = steps.send(answers)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
