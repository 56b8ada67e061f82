"""The published Python client against the server under test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from remembr import RemembrClient

from tests.client import Client


@pytest.fixture
def api_key(organisation: Client) -> str:
    """A key of a fresh organisation."""
    return str(organisation.http.headers["Authorization"]).removeprefix("Bearer ")


@pytest.fixture
async def sdk(base_url: str, api_key: str) -> AsyncIterator[RemembrClient]:
    """The published client, in use as its documentation shows."""
    async with RemembrClient(api_key=api_key, base_url=base_url) as client:
        yield client
