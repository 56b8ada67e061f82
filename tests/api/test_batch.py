"""Many episodes in one request, each with its own outcome."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.client import Client
from tests.promises import proves

GOOD = {"role": "user", "content": "good"}


async def batch(client: Client, episodes: list[Any]) -> Any:
    return await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})


@proves("memory.batch")
async def test_every_item_is_answered_in_order(unembedded: Client) -> None:
    answer = await batch(unembedded, [GOOD | {"content": f"note {n}"} for n in range(30)])
    assert (answer["stored"], answer["failed"]) == (30, 0)
    assert [item["index"] for item in answer["items"]] == list(range(30))
    assert {item["status"] for item in answer["items"]} == {201}
    found = await unembedded.search(limit=30)
    # All were stored in one moment: the last to come is the newest.
    assert [result["content"] for result in found["results"]] == [f"note {n}" for n in reversed(range(30))]
    ids = {result["episode_id"] for result in found["results"]}
    assert ids == {item["episode_id"] for item in answer["items"]}


@proves("memory.batch")
async def test_what_is_wrong_with_one_stops_no_other(unembedded: Client, stranger: Client) -> None:
    theirs = await stranger.session()
    mine = await unembedded.session()
    answer = await batch(
        unembedded,
        [
            GOOD | {"session_id": mine},
            {"role": "user"},
            GOOD | {"content": "  "},
            GOOD | {"session_id": theirs},
            GOOD | {"session_id": str(uuid.uuid4())},
            GOOD | {"tags": ["x"] * 51},
            GOOD | {"content": "x" * 100_001},
            GOOD,
        ],
    )
    assert [item["status"] for item in answer["items"]] == [201, 422, 422, 404, 404, 422, 422, 201]
    assert (answer["stored"], answer["failed"]) == (2, 6)
    for item in answer["items"]:
        if item["status"] == 201:
            assert item["error"] is None
        else:
            assert item["episode_id"] is None
            assert set(item["error"]) == {"code", "message", "details"}
    missing = answer["items"][1]["error"]["details"]["errors"]
    assert [problem["loc"][-1] for problem in missing] == ["content"]
    assert answer["items"][3]["error"]["details"]["code"] == "SESSION_NOT_FOUND"
    assert (await unembedded.search())["total"] == 2


@proves("envelope.null")
async def test_nulls_are_absent_in_items_too(organisation: Client) -> None:
    nulls = {"session_id": None, "tags": None, "metadata": None, "created_at": None}
    answer = await batch(organisation, [GOOD | nulls, GOOD | {"unknown": 1}])
    assert [item["status"] for item in answer["items"]] == [201, 201]


@proves("memory.batch")
async def test_five_hundred_fit_and_one_more_does_not(unembedded: Client) -> None:
    error = await unembedded.error("POST", "/memory/batch", 422, json={"episodes": [GOOD] * 501})
    assert error["details"]["errors"][0]["loc"] == ["body", "episodes"]
    assert (await unembedded.search())["total"] == 0
    assert (await batch(unembedded, [GOOD] * 500))["stored"] == 500
    assert (await unembedded.search())["total"] == 500


@pytest.mark.parametrize("episodes", [None, [], "text", {}, [1], [None], [[]], ["x"]])
async def test_what_is_no_list_of_objects_is_422(organisation: Client, episodes: Any) -> None:
    error = await organisation.error("POST", "/memory/batch", 422, json={"episodes": episodes})
    assert error["details"]["errors"][0]["loc"][:2] == ["body", "episodes"]
