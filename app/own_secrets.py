"""Secrets that a development stack makes for itself and keeps beside its data."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from app.errors import EngineError
from app.settings import Settings

_JWT_FILE = "jwt-secret"
_ENCRYPTION_FILE = "encryption-key"


def with_secrets(settings: Settings) -> Settings:
    """The settings, with a signing key out of the data folder where none is given.

    The same data keep the same key, so tokens outlive a restart. Raises EngineError in production, where
    secrets must be given.
    """
    if settings.jwt_secret is not None:
        return settings
    if settings.environment == "production":
        raise EngineError(
            "In production set REMEMBR_JWT_SECRET to 32 random characters or more: `openssl rand -hex 32`."
        )
    return settings.model_copy(update={"jwt_secret": SecretStr(_kept(settings.data_dir / _JWT_FILE))})


def encryption_keys(settings: Settings) -> str:
    """The keys that stored secrets are encrypted with, out of the data folder where none is given.

    Raises EngineError in production, where they must be given: server and worker need the same.
    """
    if settings.encryption_keys is not None:
        return settings.encryption_keys.get_secret_value()
    if settings.environment == "production":
        raise EngineError(
            "In production set REMEMBR_ENCRYPTION_KEYS to 32 random characters or more, the same for servers and"
            " workers: `openssl rand -hex 32`."
        )
    return _kept(settings.data_dir / _ENCRYPTION_FILE)


def _kept(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = secrets.token_hex(32)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        # Server and worker start together: whoever comes second must find a whole key.
        os.link(draft, path)
    except FileExistsError:
        os.unlink(draft)
        return path.read_text().strip()
    os.unlink(draft)
    return text
