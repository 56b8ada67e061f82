"""Adapters of agent frameworks against the server under test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.client import Clients
from tests.client import Client


@pytest.fixture
async def clients(base_url: str, organisation: Client) -> AsyncIterator[Clients]:
    """Of a fresh organisation. Without a loop it is used in a thread: the server runs in the test's loop."""
    key = organisation.http.headers["Authorization"].removeprefix("Bearer ")
    async with Clients(base_url, key) as made:
        yield made
