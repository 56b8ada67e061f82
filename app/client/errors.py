"""What a call can end with."""

from __future__ import annotations


class ApiError(Exception):
    """What the server refused, in its words. status: of HTTP, 0 when nothing answered."""

    def __init__(self, message: str, *, status: int = 0, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
