"""Storing, reading and deleting episodes."""

from __future__ import annotations

from tests.client import Client
from tests.conftest import Embed


async def test_what_was_stored_is_found_by_its_words_at_once(organisation: Client) -> None:
    await organisation.store("User prefers email notifications on Fridays")
    assert await organisation.contents("notifications") == ["User prefers email notifications on Fridays"]


async def test_what_was_embedded_is_found_by_its_meaning(organisation: Client, embed: Embed) -> None:
    await organisation.store("Our cat Mimi sleeps on the radiator all day")
    await organisation.store("The invoice for order 1842 was paid in May")
    await embed()
    found = await organisation.search("a pet keeping itself warm", search_mode="semantic")
    assert found["results"][0]["content"].startswith("Our cat")
    assert found["total"] == 2
