"""Whole programs of calls, made up, held against a memory that is a few lists.

Source of the idea: Claessen and Hughes, "Testing Monadic Code with QuickCheck", 2002.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import hypothesis
from hypothesis import strategies as st

from tests.client import Client
from tests.conftest import NewOrganisation
from tests.fuzzing import made_up
from tests.reliability import fuzzed

PROGRAMS = 8
STEPS = 14
TAGS = ("kind:red", "kind:blue")

Step = tuple[str, int, int]
STEP = st.tuples(
    st.sampled_from(
        ["store", "store", "store", "repeat", "delete", "restore", "remove", "checkpoint", "go back", "stranger"]
    ),
    st.integers(0, 7),
    st.integers(0, 7),
)  # fmt: skip


@dataclass
class Row:
    """An episode. alive: not deleted."""

    id: str
    content: str
    tag: str
    key: str
    session: int
    alive: bool = True


@dataclass
class Model:
    """What must be so. present: by session, what a restore hasn't superseded, oldest first."""

    sessions: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    present: list[list[Row]] = field(default_factory=lambda: [[], []])
    checkpoints: list[tuple[int, str, list[Row]]] = field(default_factory=list)

    def pick(self, number: int, wanted: Callable[[Row], bool]) -> Row | None:
        among = [row for row in self.rows if wanted(row)]
        return among[number % len(among)] if among else None


async def step(client: Client, stranger: Client, model: Model, act: str, one: int, two: int) -> None:
    """Do one thing, to the service and to the model."""
    if act == "store":
        session = one % 2
        body = {
            "role": "user",
            "content": f"word{len(model.rows)} {uuid.uuid4().hex}",
            "session_id": model.sessions[session],
            "tags": [TAGS[two % 2]],
        }
        key = uuid.uuid4().hex
        stored = await client.data("POST", "/memory", status=201, json=body, headers={"Idempotency-Key": key})
        row = Row(stored["episode_id"], body["content"], TAGS[two % 2], key, session)  # type: ignore[arg-type]
        model.rows.append(row)
        model.present[session].append(row)
    elif act == "repeat" and (row_ := model.pick(one, lambda row: True)):
        body = {
            "role": "user",
            "content": row_.content,
            "session_id": model.sessions[row_.session],
            "tags": [row_.tag],
        }
        again = await client.data("POST", "/memory", status=201, json=body, headers={"Idempotency-Key": row_.key})
        assert again["episode_id"] == row_.id
    elif act == "delete" and (row_ := model.pick(one, lambda row: row.alive)):
        await client.data("DELETE", f"/memory/{row_.id}")
        row_.alive = False
    elif act == "restore" and (row_ := model.pick(one, lambda row: not row.alive)):
        await client.data("POST", f"/memory/{row_.id}/restore")
        row_.alive = True
    elif act == "remove" and (row_ := model.pick(one, lambda row: True)):
        await client.data("DELETE", f"/memory/{row_.id}/hard")
        for rows in (model.rows, *model.present, *(kept for _, _, kept in model.checkpoints)):
            rows[:] = [row for row in rows if row is not row_]
    elif act == "checkpoint":
        session = one % 2
        taken = await client.data("POST", f"/sessions/{model.sessions[session]}/checkpoint", status=201)
        model.checkpoints.append((session, taken["checkpoint_id"], list(model.present[session])))
    elif act == "go back" and model.checkpoints:
        session, checkpoint_id, kept = model.checkpoints[one % len(model.checkpoints)]
        path = f"/sessions/{model.sessions[session]}/restore"
        await client.data("POST", path, json={"checkpoint_id": checkpoint_id})
        model.present[session] = list(kept)
    elif act == "stranger" and (row_ := model.pick(one, lambda row: True)):
        for method, path in (("DELETE", ""), ("DELETE", "/hard"), ("POST", "/restore"), ("GET", "/status")):
            await stranger.error(method, f"/memory/{row_.id}{path}", 404)
        assert await stranger.contents() == []


async def compare(client: Client, model: Model) -> None:
    """Every read, held against the model."""
    alive = {row.content for row in model.rows if row.alive}
    assert set(await client.contents(limit=100)) == alive
    for tag in TAGS:
        tagged = {row.content for row in model.rows if row.alive and row.tag == tag}
        assert set(await client.contents(tags=[tag], limit=100)) == tagged
    for session, session_id in enumerate(model.sessions):
        wanted = [row.content for row in model.present[session] if row.alive]
        window = await client.data("GET", f"/sessions/{session_id}")
        assert [message["content"] for message in window["messages"]] == wanted
        past = await client.data("GET", f"/sessions/{session_id}/history")
        assert sorted(each["content"] for each in past["episodes"]) == sorted(wanted)
        assert past["total"] == len(wanted)
        everything = {row.content for row in model.rows if row.alive and row.session == session}
        assert set(await client.contents(session_id=session_id, limit=100)) == everything
    for row in model.rows:
        answer = await client.send("GET", f"/memory/{row.id}/status")
        assert answer.status_code == (200 if row.alive else 404)


@made_up(PROGRAMS, costly=10)
@hypothesis.given(program=st.lists(STEP, min_size=4, max_size=STEPS))
async def test_any_program_of_calls_leaves_what_its_answers_say(
    new_organisation: NewOrganisation, program: list[Step]
) -> None:
    client, stranger = await new_organisation(), await new_organisation()
    model = Model(sessions=[await client.session(), await client.session()])
    for act, one, two in program:
        await step(client, stranger, model, act, one, two)
    await compare(client, model)
    fuzzed("programs of calls, against a model", 1)
