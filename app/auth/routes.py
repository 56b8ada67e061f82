"""/auth and /api-keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.auth.models import (
    AccessToken,
    ApiKeys,
    CreatedApiKey,
    Login,
    Me,
    Message,
    NewApiKey,
    RefreshRequest,
    Registration,
    TokenPair,
)
from app.elastic.scope import Scope
from app.errors import AuthenticationError, ConflictError, RemembrError
from app.http.origins import origin_of
from app.http.rate_limits import limit_sign_in
from app.http.routing import Call, Nothing, Routes

routes = Routes(needs="admin")
_REFUSED = (AuthenticationError,)


@contextmanager
def _noted(call: Call[Any, Any], action: str) -> Iterator[Callable[[Scope], object]]:
    """Keep in the audit log how it ends, for whomever it turns out to concern."""
    concerned: list[Scope] = []
    status = 200
    try:
        yield concerned.append
    except RemembrError as error:
        status = error.status
        raise
    finally:
        for scope in concerned:
            call.container.audit.note(scope, action, f"user:{scope.user_id}", origin_of(call.request), status)


@routes.add(
    "POST", "/auth/register", body=Registration, answer=TokenPair, status=201, public=True, errors=(ConflictError,)
)
async def register(call: Call[Registration, Nothing]) -> TokenPair:
    """Create a new organisation and its first user."""
    await limit_sign_in(call.request, call.body.email)
    with _noted(call, "auth.register") as known:
        return await call.container.auth.register(call.body, known)


@routes.add("POST", "/auth/login", body=Login, answer=TokenPair, public=True, errors=_REFUSED)
async def login(call: Call[Login, Nothing]) -> TokenPair:
    """Get tokens for e-mail and password."""
    await limit_sign_in(call.request, call.body.email)
    with _noted(call, "auth.login") as known:
        return await call.container.auth.login(call.body, known)


@routes.add("POST", "/auth/refresh", body=RefreshRequest, answer=AccessToken, public=True, errors=_REFUSED)
async def refresh(call: Call[RefreshRequest, Nothing]) -> AccessToken:
    """Get a new access token for a refresh token."""
    with _noted(call, "auth.refresh") as known:
        return await call.container.auth.refresh(call.body.refresh_token, known)


@routes.add("POST", "/auth/logout", body=RefreshRequest, answer=Message, public=True, errors=_REFUSED)
async def logout(call: Call[RefreshRequest, Nothing]) -> Message:
    """Make a refresh token useless."""
    with _noted(call, "auth.logout") as known:
        await call.container.auth.logout(call.body.refresh_token, known)
    return Message("Logged out.")


@routes.add("GET", "/auth/me", answer=Me, needs="nothing")
@routes.add("GET", "/me", answer=Me, needs="nothing")
async def me(call: Call[Nothing, Nothing]) -> Me:
    """The authenticated user."""
    identity = call.identity
    scope = identity.scope
    return Me(
        id=scope.user_id,
        user_id=scope.user_id,
        email=identity.email,
        org_id=scope.org_id,
        agent_id=scope.agent_id,
        is_active=True,
        created_at=identity.user_created_at,
        auth_method=identity.auth_method,
    )


@routes.add("POST", "/api-keys", body=NewApiKey, answer=CreatedApiKey, status=201, audit="api_key.create")
async def create_key(call: Call[NewApiKey, Nothing]) -> CreatedApiKey:
    """Create an API key; its secret is in this answer and never again."""
    return await call.container.auth.create_key(call.identity, call.body)


@routes.add("GET", "/api-keys", answer=ApiKeys)
async def list_keys(call: Call[Nothing, Nothing]) -> ApiKeys:
    """List the organisation's keys."""
    return await call.container.auth.list_keys(call.scope)


@routes.add("DELETE", "/api-keys/{key_id}", answer=Message, audit="api_key.revoke")
async def revoke_key(call: Call[Nothing, Nothing]) -> Message:
    """Revoke a key; it stops within a second everywhere."""
    await call.container.auth.revoke_key(call.identity, call.path_id("key_id", "API_KEY_NOT_FOUND"))
    return Message("API key revoked.")
