"""What a receiver is sent. Never content: a receiver that may read it has a key, and what is forgotten here
would otherwise live on in deliveries and at receivers."""

from __future__ import annotations

from app.types import JsonObject

_EPISODE = ("episode_id", "session_id", "user_id", "agent_id")
_FIELDS: dict[str, tuple[str, ...]] = {
    "memory.stored": (*_EPISODE, "role", "tags", "token_count", "created_at"),
    "embedding.ready": (*_EPISODE, "embedding_status", "embedding_model", "embedding_generated_at"),
    "memory.deleted": (*_EPISODE, "deleted_at"),
    "session.created": ("session_id", "user_id", "agent_id", "created_at"),
    "checkpoint.created": (
        "checkpoint_id",
        "session_id",
        "user_id",
        "agent_id",
        "message_count",
        "automatic",
        "created_at",
    ),
}


def payload(event: JsonObject, org_id: str, data: JsonObject) -> JsonObject:
    """`{id, event, created_at, org_id, data}`, with the fields of `data` once more where names are free."""
    envelope = {"id": event["id"], "event": event["type"], "created_at": event["at"], "org_id": org_id, "data": data}
    return data | envelope


def data_of(event: JsonObject, source: JsonObject) -> JsonObject:
    """What there is to say of an event, by the document that caused it."""
    if "data" in source:
        return dict(source["data"])
    told = {name: source.get(name) for name in _FIELDS[event["type"]]}
    return told | ({"deleted_count": 1, "soft": True} if event["type"] == "memory.deleted" else {})
