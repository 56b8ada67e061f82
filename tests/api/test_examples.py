"""Every example of the OpenAPI document is true."""

from __future__ import annotations

from typing import Any

from app.auth.models import Registration
from app.http.routing import Route
from tests.api.paths import each, filled, has_body
from tests.client import Client

# An example could show no token that is good, no address that is a receiver's and no checkpoint that is there.
WITHOUT = {"RefreshRequest", "NewWebhook", "WebhookChanges", "RestoreRequest"}


def bodies(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = route.body.model_json_schema().get("examples", [])
    return found


@each(has_body)
def test_every_body_has_an_example(route: Route) -> None:
    assert bodies(route) or route.body.__name__ in WITHOUT


@each(lambda route: bool(bodies(route)))
async def test_every_example_does_what_the_document_says(organisation: Client, anonymous: Client, route: Route) -> None:
    if route.path == "/auth/login":
        # Whoever comes first registers; the answers are held against the document by the client.
        (registration,) = Registration.model_json_schema()["examples"]
        registered = await anonymous.send("POST", "/auth/register", json=registration)
        assert registered.status_code in (201, 409)
    for body in bodies(route):
        response = await organisation.send(route.method, filled(route, organisation.user_id), json=body)
        once_only = {409} if route.path == "/auth/register" else set()
        assert response.status_code in {route.status} | once_only, response.text
        if "episodes" in body:
            assert response.json()["data"]["failed"] == 0
