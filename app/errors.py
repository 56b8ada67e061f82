"""The errors a caller can meet. HTTP status, code and advice live on the class.

RemembrError
├── BadRequest            400  the request can't be read (malformed JSON)
├── AuthenticationError   401  who is asking is not known
├── AuthorizationError    403  it is known, and not allowed
├── NotFound              404  it isn't there, or isn't the caller's
├── MethodNotAllowed      405
├── RequestTimeout        408  its body took too long to come
├── ConflictError         409
├── Gone                  410  it was there and can't come back
├── PayloadTooLarge       413
├── UnsupportedMediaType  415
├── ValidationFailed      422  body, query or header doesn't validate
├── RateLimited           429
└── Unavailable           503  a store is down or slow; the same request may be sent again

EngineError is apart: an embedded engine could not be found, fetched or started. It is for the
person at the terminal and never reaches HTTP.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RemembrError(Exception):
    """Base of all errors that are answered to a caller.

    message: one sentence that says what happened and what to do about it.
    code: narrows the class, shown as `details.code`. details: more facts, never internals.
    """

    status: ClassVar[int] = 500
    error: ClassVar[str] = "INTERNAL_ERROR"
    retry_after_s: int | None = None

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details: dict[str, Any] = ({"code": code} if code else {}) | details


class BadRequest(RemembrError):
    """The request can't be read at all."""

    status = 400
    error = "BAD_REQUEST"


class AuthenticationError(RemembrError):
    """No credentials, or none that are valid."""

    status = 401
    error = "AUTHENTICATION_ERROR"


class AuthorizationError(RemembrError):
    """The credentials are valid and don't allow this."""

    status = 403
    error = "AUTHORIZATION_ERROR"


class NotFound(RemembrError):
    """It doesn't exist, or belongs to someone else: the two look alike on purpose."""

    status = 404
    error = "NOT_FOUND"


class MethodNotAllowed(RemembrError):
    """The path exists, with other methods."""

    status = 405
    error = "METHOD_NOT_ALLOWED"


class ConflictError(RemembrError):
    """It clashes with what is stored."""

    status = 409
    error = "CONFLICT_ERROR"


class Gone(RemembrError):
    """It was there, and nothing brings it back."""

    status = 410
    error = "GONE"


class RequestTimeout(RemembrError):
    """The request's body took too long to come."""

    status = 408
    error = "REQUEST_TIMEOUT"


class PayloadTooLarge(RemembrError):
    """The request body is larger than the server takes."""

    status = 413
    error = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RemembrError):
    """The body is of a type that the server doesn't read."""

    status = 415
    error = "UNSUPPORTED_MEDIA_TYPE"


class ValidationFailed(RemembrError):
    """Body, query, path or header doesn't validate. `details.errors` lists `{type, loc, msg}`."""

    status = 422
    error = "VALIDATION_ERROR"


class RateLimited(RemembrError):
    """Too many requests; `retry_after_s` says when to come back."""

    status = 429
    error = "RATE_LIMIT_ERROR"


class Unavailable(RemembrError):
    """A store did not answer in time. Nothing was lost that had been answered; send it again."""

    status = 503
    error = "SERVICE_UNAVAILABLE"
    retry_after_s = 2


class EngineError(Exception):
    """An embedded engine or model could not be found, fetched or started; says what to do."""
