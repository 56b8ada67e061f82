"""Accounts, API keys and refresh tokens in Elasticsearch. Ids derive from what is looked up, so that
every check is a realtime GET and sees a change the moment it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.auth.models import PERMISSIONS, Account, ApiKey
from app.elastic.client import VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import ACCOUNTS, API_KEYS, REFRESH_TOKENS
from app.elastic.scope import Scope, ScopedQuery, SystemScope
from app.types import derived_id, from_iso, iso, utc_now

_LOG_IN = SystemScope("before a log-in there is no tenant yet")
_KEYS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key with what a request needs to know of it."""

    key: ApiKey
    digest: str
    email: str
    user_created_at: datetime
    revoked: bool


class AccountStore:
    """Organisations and users."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, ACCOUNTS)

    @staticmethod
    def user_id(email: str) -> str:
        """The id that this e-mail, already normalised, always has: it can be taken once."""
        return derived_id("user", email)

    async def create(self, account: Account, org_name: str) -> bool:
        """Store a user and its organisation. False when the e-mail is taken."""
        created = iso(account.created_at)
        user = {
            "kind": "user",
            "org_id": account.org_id,
            "user_id": account.id,
            "org_name": org_name,
            "email": account.email,
            "password_hash": account.password_hash,
            "is_owner": account.is_owner,
            "is_active": account.is_active,
            "created_at": created,
        }
        try:
            await self._index.create(_LOG_IN, account.id, user)
        except VersionConflict:
            return False
        return True

    async def by_email(self, email: str) -> Account | None:
        """The user with this e-mail, or None."""
        found = await self._index.get(_LOG_IN, self.user_id(email))
        return _account(found) if found else None

    async def by_id(self, user_id: str) -> Account | None:
        """The user, or None."""
        found = await self._index.get(_LOG_IN, user_id)
        return _account(found) if found else None


def _account(document: Document) -> Account:
    source = document.source
    return Account(
        id=source["user_id"],
        org_id=source["org_id"],
        email=source["email"],
        password_hash=source["password_hash"],
        is_owner=source["is_owner"],
        is_active=source["is_active"],
        created_at=from_iso(source["created_at"]),
    )


class RefreshTokenStore:
    """Refresh tokens that may be used. What is not here opens nothing."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, REFRESH_TOKENS)

    async def add(self, token_id: str, account: Account, expires_at: datetime) -> None:
        """Remember a token that was issued."""
        source = {
            "org_id": account.org_id,
            "user_id": account.id,
            "created_at": iso(utc_now()),
            "expires_at": iso(expires_at),
        }
        await self._index.create(_LOG_IN, token_id, source)

    async def is_valid(self, token_id: str) -> bool:
        """Whether it was issued and not revoked since."""
        found = await self._index.get(_LOG_IN, token_id)
        return found is not None and found.source.get("revoked_at") is None

    async def revoke(self, token_id: str, org_id: str) -> None:
        """Make it useless from now on."""
        await self._index.update_unguarded(_LOG_IN, token_id, org_id, {"revoked_at": iso(utc_now())})


class ApiKeyStore:
    """API keys by their id."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, API_KEYS)

    async def create(self, scope: Scope, stored: StoredKey) -> None:
        """Store a new key of the caller."""
        key = stored.key
        source: dict[str, Any] = {
            "key_id": key.id,
            "org_id": key.org_id,
            "user_id": key.user_id,
            "agent_id": key.agent_id,
            "name": key.name,
            "scopes": key.scopes,
            "digest": stored.digest,
            "prefix": key.prefix,
            "last_chars": key.last_chars,
            "email": stored.email,
            "user_created_at": iso(stored.user_created_at),
            "expires_at": iso(key.expires_at) if key.expires_at else None,
            "created_at": iso(key.created_at),
        }
        await self._index.create(scope, key.id, source)

    async def find(self, key_id: str) -> StoredKey | None:
        """Any organisation's key: for authentication alone."""
        found = await self._index.get(_LOG_IN, key_id)
        return _stored_key(found) if found else None

    async def unrevoked(self, scope: Scope) -> list[ApiKey]:
        """The organisation's keys that are not revoked, newest first."""
        query = ScopedQuery(
            scope,
            filters=[{"bool": {"must_not": [{"exists": {"field": "revoked_at"}}]}}],
            sort=[{"created_at": "desc"}, {"key_id": "asc"}],
            size=_KEYS_MAX,
            fields=["*"],
        )
        found = await self._index.search(query)
        return [_api_key(hit.source) for hit in found.hits]

    async def revoke(self, scope: Scope, key_id: str) -> bool:
        """End a key of the organisation. False when there is none, or it was revoked before."""
        found = await self._index.get(scope, key_id)
        if found is None or found.source.get("revoked_at") is not None:
            return False
        await self._index.update_unguarded(scope, key_id, scope.org_id, {"revoked_at": iso(utc_now())})
        return True

    async def touch(self, key: ApiKey) -> None:
        """Note that it was used."""
        await self._index.update_unguarded(_LOG_IN, key.id, key.org_id, {"last_used_at": iso(utc_now())})


def _stored_key(document: Document) -> StoredKey:
    source = document.source
    return StoredKey(
        key=_api_key(source),
        digest=source["digest"],
        email=source["email"],
        user_created_at=from_iso(source["user_created_at"]),
        revoked=source.get("revoked_at") is not None,
    )


def _api_key(source: dict[str, Any]) -> ApiKey:
    expires_at = from_iso(source["expires_at"]) if source.get("expires_at") else None
    last_used_at = from_iso(source["last_used_at"]) if source.get("last_used_at") else None
    return ApiKey(
        id=source["key_id"],
        name=source["name"],
        prefix=source["prefix"],
        last_chars=source["last_chars"],
        org_id=source["org_id"],
        user_id=source["user_id"],
        agent_id=source.get("agent_id"),
        last_used_at=last_used_at,
        expires_at=expires_at,
        created_at=from_iso(source["created_at"]),
        is_expired=expires_at is not None and expires_at <= utc_now(),
        # Keys that were made before there were scopes may do everything.
        scopes=source.get("scopes") or list(PERMISSIONS),
    )
