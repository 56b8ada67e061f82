"""What authentication takes and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from app.elastic.scope import Scope
from app.errors import AuthorizationError
from app.types import Id, UtcDateTime, clean_text, utc_now
from app.validation import Input, examples

Permission = Literal["memory:read", "memory:write", "admin"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
"""What a key may do: read memory, change it, and look after keys, webhooks, users and the audit log. A user who has
logged in may do all of it, and so does a key that was made without saying."""

INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
PASSWORD_MIN = 8
PASSWORD_MAX = 1_024
EMAIL_MAX = 254


def _email(value: str) -> str:
    try:
        found = validate_email(value, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return found.normalized.lower()


Email = Annotated[str, Field(max_length=EMAIL_MAX), AfterValidator(_email)]
# Stripped before it is measured: constraints behind another validator are applied in the opposite order.
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(clean_text)
]


class _WithPassword(Input):
    password: SecretStr

    @field_validator("password")
    @classmethod
    def _encodable(cls, value: SecretStr) -> SecretStr:
        value.get_secret_value().encode()
        return value


class Registration(_WithPassword):
    """A new organisation and its first user."""

    model_config = ConfigDict(
        json_schema_extra=examples(
            {"email": "ada@example.com", "password": "correct-horse-battery-staple", "org_name": "Acme"}
        )
    )

    email: Email
    password: SecretStr = Field(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX)
    org_name: Name


class Login(_WithPassword):
    """E-mail and password."""

    model_config = ConfigDict(
        json_schema_extra=examples({"email": "ada@example.com", "password": "correct-horse-battery-staple"})
    )

    email: Email
    password: SecretStr = Field(min_length=1, max_length=PASSWORD_MAX)


class RefreshRequest(Input):
    """A refresh token."""

    refresh_token: str = Field(min_length=1, max_length=4_096)


def _in_order(value: list[Permission]) -> list[Permission]:
    return [permission for permission in PERMISSIONS if permission in value]


Scopes = Annotated[list[Permission], Field(min_length=1, max_length=20), AfterValidator(_in_order)]


class NewApiKey(Input):
    """What a key is called, which agent it acts as, and until when."""

    model_config = ConfigDict(
        json_schema_extra=examples({"name": "assistant", "agent_id": "0b3c8f1e-7a52-4c1d-9a4e-5f60718293a4"})
    )

    name: Name
    agent_id: Id | None = None
    expires_at: UtcDateTime | None = None
    scopes: Scopes | None = Field(None, description="What it may do; left out, all that its maker may.")

    @field_validator("expires_at")
    @classmethod
    def _ahead(cls, value: datetime | None) -> datetime | None:
        if value is not None and value <= utc_now():
            raise ValueError("must be in the future")
        return value


@dataclass(frozen=True, slots=True)
class TokenPair:
    """Both tokens of a log-in."""

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A new access token."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for people."""

    message: str


@dataclass(frozen=True, slots=True)
class Account:
    """A user as stored. `id` is the user's."""

    id: str
    org_id: str
    email: str
    password_hash: str
    is_owner: bool
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and by what. credential_id: names the key, or the user of a token, for counting."""

    scope: Scope
    credential_id: str
    email: str
    is_owner: bool
    user_created_at: datetime
    auth_method: Literal["access_token", "api_key"]
    permissions: Sequence[Permission] = PERMISSIONS

    def require(self, permission: Permission) -> None:
        """Raises AuthorizationError when this caller's key was made without it."""
        if permission not in self.permissions:
            raise AuthorizationError(f"This API key may not do that: it lacks `{permission}`.", code=INSUFFICIENT_SCOPE)


@dataclass(frozen=True, slots=True)
class Me:
    """The authenticated user."""

    id: str
    user_id: str
    email: str
    org_id: str
    agent_id: str | None
    is_active: bool
    created_at: datetime
    auth_method: str
    team_id: None = None


@dataclass(frozen=True, slots=True)
class CreatedApiKey:
    """A new key with its secret, which is shown this once."""

    id: str
    name: str
    api_key: str
    prefix: str
    org_id: str
    user_id: str
    agent_id: str | None
    expires_at: datetime | None
    created_at: datetime
    scopes: list[Permission]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is listed: how to recognise it, never its secret."""

    id: str
    name: str
    prefix: str
    last_chars: str
    org_id: str
    user_id: str
    agent_id: str | None
    last_used_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    is_expired: bool
    scopes: list[Permission]


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys of an organisation, newest first."""

    keys: list[ApiKey]
    total: int
