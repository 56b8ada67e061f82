"""What production refuses to start with: what is convenient in development and an open door elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.errors import EngineError
from app.settings import Settings

BCRYPT_ROUNDS_MIN = 10
"""OWASP's Password Storage Cheat Sheet, 2025: bcrypt with a work factor of 10 or more."""
_DISTINCT_MIN = 8
_PLACEHOLDERS = re.compile(r"change.?me|replace|placeholder|example|secret|password|default|remembr|your.?key", re.I)
_REPETITION = re.compile(r"(.{1,16}?)\1+.{0,15}", re.S)
_MAKE_ONE = "`openssl rand -hex 32` makes one"


def require_ready_for_production(settings: Settings) -> None:
    """Raises EngineError with everything that is wrong at once. In development nothing is."""
    if settings.environment == "production" and (found := list(problems(settings))):
        raise EngineError("Not fit for production:\n- " + "\n- ".join(found))


def problems(settings: Settings) -> Iterator[str]:
    """What to change before this server or worker may run in production, a sentence each."""
    for name, keys in (
        ("REMEMBR_JWT_SECRET", settings.jwt_secret),
        ("REMEMBR_ENCRYPTION_KEYS", settings.encryption_keys),
    ):
        if any(is_guessable(key) for key in _each(keys)):
            yield f"{name} can be guessed: take random characters, {_MAKE_ONE}."
    shared = set(_each(settings.jwt_secret)) & set(_each(settings.encryption_keys))
    if shared:
        yield f"REMEMBR_JWT_SECRET and REMEMBR_ENCRYPTION_KEYS share a key: take one for each purpose, {_MAKE_ONE}."
    if settings.bcrypt_rounds < BCRYPT_ROUNDS_MIN:
        yield f"REMEMBR_BCRYPT_ROUNDS is below {BCRYPT_ROUNDS_MIN}: stolen hashes would be too quick to try."
    if settings.elasticsearch_password or settings.elasticsearch_api_key:
        for url in (settings.elasticsearch_url or "").split(","):
            if urlsplit(url.strip()).scheme == "http" and not _on_this_machine(url.strip()):
                yield (
                    "REMEMBR_ELASTICSEARCH_URL would carry its password readable by the network: use https, with"
                    " REMEMBR_ELASTICSEARCH_CA_CERTS where the authority is your own."
                )
                break
    if settings.log_level == "DEBUG":
        yield "REMEMBR_LOG_LEVEL is DEBUG, at which libraries write down what they send: use INFO."


def is_guessable(key: str) -> bool:
    """Whether a key isn't made of random characters: too few of them, a repetition, or words of examples."""
    return (
        len(set(key)) < _DISTINCT_MIN or _REPETITION.fullmatch(key) is not None or _PLACEHOLDERS.search(key) is not None
    )


def _each(keys: SecretStr | None) -> list[str]:
    return [key.strip() for key in keys.get_secret_value().split(",") if key.strip()] if keys else []


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
