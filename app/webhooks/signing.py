"""Signatures: our own header, and those of Standard Webhooks."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook as Signer


def new_secret() -> str:
    """64 hexadecimal characters."""
    return secrets.token_hex(32)


def headers(
    body: bytes, *, event: str, event_id: str, delivery_id: str, keys: Sequence[str], at: datetime
) -> dict[str, str]:
    """The headers of one try. keys: the secrets in force, the newest first; at: in UTC.

    X-Remembr-Signature is keyed by the newest secret's text. Standard Webhooks reads the same text as base64,
    as its libraries do when they are given it, and carries a signature for every secret.
    """
    signatures = [Signer(key).sign(event_id, at, body.decode()) for key in keys]
    digest = hmac.new(keys[0].encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Remembr-Webhooks/1",
        "X-Remembr-Event": event,
        "X-Remembr-Delivery": delivery_id,
        "X-Remembr-Signature": f"sha256={digest}",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
