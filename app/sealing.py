"""Secrets that must be read again, encrypted at rest. The first key encrypts, every key decrypts."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.errors import EngineError


class Sealer:
    """keys: long random texts separated by commas, the newest first. To rotate, put a new one in front."""

    def __init__(self, keys: str) -> None:
        fernets = [Fernet(_fernet_key(key.strip())) for key in keys.split(",") if key.strip()]
        self._newest = fernets[0]
        self._fernet = MultiFernet(fernets)

    def seal(self, text: str) -> str:
        """Encrypt with the newest key."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Decrypt. Raises EngineError when none of the keys sealed it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise _key_missing() from None

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key encrypted it."""
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def reseal(self, sealed: str) -> str:
        """Encrypt it anew with the newest key. Raises EngineError when none of the keys sealed it."""
        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            raise _key_missing() from None


def _key_missing() -> EngineError:
    return EngineError(
        "A stored secret was encrypted with a key that REMEMBR_ENCRYPTION_KEYS no longer names; add it at the end."
    )


def _fernet_key(text: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
