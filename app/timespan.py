"""Spans of time that a request names."""

from __future__ import annotations

from datetime import datetime

from app.errors import ValidationFailed


def check_times(from_time: datetime | None, to_time: datetime | None) -> None:
    """Raise ValidationFailed INVALID_TIME_RANGE when they are out of order."""
    if from_time is not None and to_time is not None and from_time > to_time:
        raise ValidationFailed("from_time must not be later than to_time.", code="INVALID_TIME_RANGE")
