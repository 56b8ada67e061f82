"""Secrets that a development stack makes for itself and keeps beside its data."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from app.errors import EngineError
from app.settings import Settings

_JWT_FILE = "jwt-secret"


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


def _kept(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    text = secrets.token_hex(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return text
