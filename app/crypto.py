"""Passwords, tokens and API keys. Slow hashing never runs on the event loop."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import bcrypt
import jwt

from app.errors import AuthenticationError
from app.types import utc_now

KEY_MARK = "rk_"
_ALGORITHM = "HS256"
_PREFIX_CHARS = 11
TokenKind = Literal["access", "refresh"]


class Passwords:
    """bcrypt over a SHA-256 of the password, in threads.

    The digest first: bcrypt reads 72 bytes and stops at NUL, a digest in base64 has 44 and none.
    rounds: bcrypt's work factor, log2 of its iterations.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._stand_in = bcrypt.hashpw(_digest(secrets.token_hex()), bcrypt.gensalt(rounds))

    async def hash(self, password: str) -> str:
        """The hash to store."""
        salt = bcrypt.gensalt(self._rounds)
        return (await asyncio.to_thread(bcrypt.hashpw, _digest(password), salt)).decode()

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether it matches; None (no such user) takes as long as a wrong password."""
        against = stored.encode() if stored else self._stand_in
        matches = await asyncio.to_thread(bcrypt.checkpw, _digest(password), against)
        return matches and stored is not None


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode()).digest())


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token and what identifies it. `id` is the claim `jti`."""

    text: str
    id: str
    expires_at: datetime


class Tokens:
    """JSON Web Tokens (RFC 7519), HS256, of two kinds that can't stand in for each other.

    secrets: signing keys, the newest first. It signs, each of them verifies; a token's `kid` (RFC 7515,
    4.1.4) says which. Tokens without one are from before keys had names.
    """

    def __init__(self, secrets: Sequence[str], *, access: timedelta, refresh: timedelta) -> None:
        self._keys = {_key_name(secret): secret for secret in secrets}
        self._newest = _key_name(secrets[0])
        self._lives: dict[TokenKind, timedelta] = {"access": access, "refresh": refresh}

    def issue(self, kind: TokenKind, claims: dict[str, Any]) -> Token:
        """Sign `claims` for the life of that kind."""
        now, token_id = utc_now(), str(uuid.uuid4())
        expires_at = now + self._lives[kind]
        payload = claims | {"kind": kind, "jti": token_id, "iat": now, "exp": expires_at}
        newest = self._newest
        text = jwt.encode(payload, self._keys[newest], algorithm=_ALGORITHM, headers={"kid": newest})
        return Token(text, token_id, expires_at)

    def read(self, kind: TokenKind, text: str) -> dict[str, Any]:
        """The claims. Raises AuthenticationError TOKEN_EXPIRED or TOKEN_INVALID."""
        try:
            claims = self._verified(text)
        except jwt.ExpiredSignatureError:
            raise AuthenticationError("The token has expired; log in or refresh it.", code="TOKEN_EXPIRED") from None
        except jwt.InvalidTokenError:
            raise AuthenticationError("The token is not valid; log in again.", code="TOKEN_INVALID") from None
        if claims.get("kind") != kind:
            raise AuthenticationError(f"This is not a token for {kind}.", code="TOKEN_INVALID")
        return claims

    def _verified(self, text: str) -> dict[str, Any]:
        name = jwt.get_unverified_header(text).get("kid")
        tried = list(self._keys.values()) if name is None else [self._keys[name]] if name in self._keys else []
        for secret in tried:
            try:
                claims: dict[str, Any] = jwt.decode(
                    text, secret, algorithms=[_ALGORITHM], options={"require": ["exp", "jti", "sub"]}
                )
            except jwt.InvalidSignatureError:
                continue
            return claims
        raise jwt.InvalidSignatureError


def _key_name(secret: str) -> str:
    # Half of a digest names a key without telling anything of 256 random bits.
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ApiKeySecret:
    """A new API key. `text` is shown once; `digest` is what is stored."""

    id: str
    text: str
    digest: str
    prefix: str
    last_chars: str


def new_api_key() -> ApiKeySecret:
    """`rk_` + the key's id + 256 random bits: the id finds the row by a realtime GET, without a search."""
    key_id = uuid.uuid4()
    text = f"{KEY_MARK}{key_id.hex}{secrets.token_urlsafe(32)}"
    return ApiKeySecret(str(key_id), text, key_digest(text), text[:_PREFIX_CHARS], text[-4:])


def api_key_id(text: str) -> str | None:
    """The id inside an API key, or None when the text can't be one."""
    try:
        return str(uuid.UUID(hex=text[len(KEY_MARK) : len(KEY_MARK) + 32]))
    except ValueError:
        return None


def key_digest(text: str) -> str:
    """SHA-256 in hex. The key has 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def same(left: str, right: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())
