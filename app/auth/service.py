"""Registering, logging in, keys, and finding out who asks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.auth.models import (
    AccessToken,
    Account,
    ApiKey,
    ApiKeys,
    CreatedApiKey,
    Identity,
    Login,
    NewApiKey,
    Registration,
    TokenPair,
)
from app.auth.store import AccountStore, ApiKeyStore, RefreshTokenStore, StoredKey
from app.crypto import KEY_MARK, Passwords, Tokens, api_key_id, key_digest, new_api_key, same
from app.elastic.scope import Scope
from app.errors import AuthenticationError, AuthorizationError, ConflictError, NotFound, RemembrError
from app.types import from_iso, iso, new_id, utc_now

log = logging.getLogger(__name__)

_TOUCH_EVERY_S = 60.0
_CACHE_MAX = 50_000


Known = Callable[[Scope], object]


def _nobody(scope: Scope) -> None:
    """Nobody asks who it is."""


@dataclass(slots=True)
class _Checked:
    stored: StoredKey
    until: float


class AuthService:
    """See the module. key_cache_s: how long a checked key is trusted without looking again; no
    revocation takes longer than that on any server process."""

    def __init__(
        self,
        accounts: AccountStore,
        keys: ApiKeyStore,
        refresh_tokens: RefreshTokenStore,
        passwords: Passwords,
        tokens: Tokens,
        key_cache_s: float,
    ) -> None:
        self._accounts = accounts
        self._keys = keys
        self._refresh_tokens = refresh_tokens
        self._passwords = passwords
        self._tokens = tokens
        self._key_cache_s = key_cache_s
        self._checked: dict[str, _Checked] = {}
        self._touched: dict[str, float] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def register(self, registration: Registration, known: Known = _nobody) -> TokenPair:
        """A new organisation with its owner. known: is called with who that is.

        Raises ConflictError when the e-mail is taken.
        """
        account = Account(
            id=self._accounts.user_id(registration.email),
            org_id=new_id(),
            email=registration.email,
            password_hash=await self._passwords.hash(registration.password.get_secret_value()),
            is_owner=True,
            is_active=True,
            created_at=utc_now(),
        )
        if not await self._accounts.create(account, registration.org_name):
            raise ConflictError("This e-mail is registered already; log in instead.", code="EMAIL_ALREADY_REGISTERED")
        known(Scope(account.org_id, account.id))
        return await self._token_pair(account)

    async def login(self, login: Login, known: Known = _nobody) -> TokenPair:
        """Tokens for e-mail and password. known: is called with whose e-mail that is, where it is somebody's.

        Raises AuthenticationError, in equal time whatever was wrong.
        """
        account = await self._accounts.by_email(login.email)
        if account is not None:
            known(Scope(account.org_id, account.id))
        stored = account.password_hash if account and account.is_active else None
        if not await self._passwords.verify(login.password.get_secret_value(), stored) or account is None:
            raise AuthenticationError("E-mail or password is wrong.", code="INVALID_CREDENTIALS")
        return await self._token_pair(account)

    async def refresh(self, text: str, known: Known = _nobody) -> AccessToken:
        """A new access token. known: is called with whose token it is, where it was revoked.

        Raises AuthenticationError when the refresh token is no longer good.
        """
        claims = self._tokens.read("refresh", text)
        valid, account = await asyncio.gather(
            self._refresh_tokens.is_valid(claims["jti"]), self._accounts.by_id(claims["sub"])
        )
        if not valid or account is None or not account.is_active:
            if account is not None:
                known(Scope(account.org_id, account.id))
            raise AuthenticationError("The refresh token was revoked; log in again.", code="TOKEN_INVALID")
        return AccessToken(self._access_token(account))

    async def logout(self, text: str, known: Known = _nobody) -> None:
        """Make a refresh token useless; one that is useless already stays so. known: is called with whose it is."""
        try:
            claims = self._tokens.read("refresh", text)
        except AuthenticationError as error:
            if error.code == "TOKEN_EXPIRED":
                return
            raise
        await self._refresh_tokens.revoke(claims["jti"], claims["org"])
        known(Scope(claims["org"], claims["sub"]))

    async def identify(self, credential: str) -> Identity:
        """Who holds this token or key. Raises AuthenticationError."""
        if credential.startswith(KEY_MARK):
            return await self._by_key(credential)
        claims = self._tokens.read("access", credential)
        return Identity(
            scope=Scope(claims["org"], claims["sub"]),
            credential_id=f"user:{claims['sub']}",
            email=claims["email"],
            is_owner=claims["owner"],
            user_created_at=from_iso(claims["since"]),
            auth_method="access_token",
        )

    async def create_key(self, identity: Identity, wanted: NewApiKey) -> CreatedApiKey:
        """A key of the caller. Raises AuthorizationError for an agent's key, and for scopes that the caller lacks: no
        key widens itself."""
        self._refuse_agents(identity)
        scopes = wanted.scopes or list(identity.permissions)
        for permission in scopes:
            identity.require(permission)
        secret, scope = new_api_key(), identity.scope
        key = ApiKey(
            id=secret.id,
            name=wanted.name,
            prefix=secret.prefix,
            last_chars=secret.last_chars,
            org_id=scope.org_id,
            user_id=scope.user_id,
            agent_id=wanted.agent_id,
            last_used_at=None,
            expires_at=wanted.expires_at,
            created_at=utc_now(),
            is_expired=False,
            scopes=scopes,
        )
        stored = StoredKey(key, secret.digest, identity.email, identity.user_created_at, revoked=False)
        await self._keys.create(scope, stored)
        return CreatedApiKey(
            id=key.id,
            name=key.name,
            api_key=secret.text,
            prefix=key.prefix,
            org_id=key.org_id,
            user_id=key.user_id,
            agent_id=key.agent_id,
            expires_at=key.expires_at,
            created_at=key.created_at,
            scopes=key.scopes,
        )

    async def list_keys(self, scope: Scope) -> ApiKeys:
        """The organisation's keys."""
        keys = await self._keys.unrevoked(scope)
        return ApiKeys(keys, len(keys))

    async def revoke_key(self, identity: Identity, key_id: str) -> None:
        """End a key. Raises NotFound, or AuthorizationError for an agent's key."""
        self._refuse_agents(identity)
        if not await self._keys.revoke(identity.scope, key_id):
            raise NotFound("There is no such API key.", code="API_KEY_NOT_FOUND")
        self._checked.pop(key_id, None)

    async def close(self) -> None:
        """Finish what was noted in the background."""
        if self._background:
            await asyncio.wait(self._background)

    async def _by_key(self, text: str) -> Identity:
        key_id = api_key_id(text)
        stored = await self._check(key_id) if key_id else None
        if stored is None or stored.revoked or not same(stored.digest, key_digest(text)):
            raise AuthenticationError("The API key is not valid; it may have been revoked.", code="TOKEN_INVALID")
        key = stored.key
        if key.expires_at is not None and key.expires_at <= utc_now():
            raise AuthenticationError("The API key has expired; create a new one.", code="TOKEN_EXPIRED")
        self._note_use(key)
        return Identity(
            scope=Scope(key.org_id, key.user_id, key.agent_id),
            credential_id=f"key:{key.id}",
            email=stored.email,
            is_owner=False,
            user_created_at=stored.user_created_at,
            auth_method="api_key",
            permissions=key.scopes,
        )

    async def _check(self, key_id: str) -> StoredKey | None:
        now = time.monotonic()
        checked = self._checked.get(key_id)
        if checked is not None and checked.until > now:
            return checked.stored
        stored = await self._keys.find(key_id)
        if stored is not None and not stored.revoked:
            if len(self._checked) >= _CACHE_MAX:
                self._checked.clear()
            # Counted from before the look-up, so that a revocation meanwhile isn't trusted longer.
            self._checked[key_id] = _Checked(stored, now + self._key_cache_s)
        return stored

    def _note_use(self, key: ApiKey) -> None:
        now = time.monotonic()
        if now - self._touched.get(key.id, -_TOUCH_EVERY_S) < _TOUCH_EVERY_S:
            return
        if len(self._touched) >= _CACHE_MAX:
            self._touched.clear()
        self._touched[key.id] = now
        task = asyncio.create_task(self._touch(key))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _touch(self, key: ApiKey) -> None:
        try:
            await self._keys.touch(key)
        except RemembrError as error:
            log.warning("could not note an API key's use", extra={"key_id": key.id, "error": error.message})

    async def _token_pair(self, account: Account) -> TokenPair:
        token = self._tokens.issue("refresh", {"sub": account.id, "org": account.org_id})
        await self._refresh_tokens.add(token.id, account, token.expires_at)
        return TokenPair(self._access_token(account), token.text)

    def _access_token(self, account: Account) -> str:
        claims = {
            "sub": account.id,
            "org": account.org_id,
            "email": account.email,
            "owner": account.is_owner,
            "since": iso(account.created_at),
        }
        return self._tokens.issue("access", claims).text

    def _refuse_agents(self, identity: Identity) -> None:
        if identity.scope.agent_id is not None:
            raise AuthorizationError("An agent's key can't manage keys; use the user's own key or token.")
