"""Spans of time that a request names."""

from __future__ import annotations

from datetime import datetime

from app.errors import ValidationFailed


def check_times(from_time: datetime | None, to_time: datetime | None, *, unit: str = "time") -> None:
    """Raise ValidationFailed INVALID_TIME_RANGE when they are out of order. unit: as in the fields' names."""
    if from_time is not None and to_time is not None and from_time > to_time:
        raise ValidationFailed(f"from_{unit} must not be later than to_{unit}.", code="INVALID_TIME_RANGE")
