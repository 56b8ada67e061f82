"""Probes: bare, public, at both roots."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.promises import proves

ROOTS = ("", "/api/v1")


@pytest.mark.parametrize("root", ROOTS)
@proves("envelope.health")
async def test_health_is_bare(anonymous: Client, base_url: str, root: str) -> None:
    response = await anonymous.http.get(f"{base_url.removesuffix('/api/v1')}{root}/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("probe", ["live", "ready"])
@proves("envelope.health")
async def test_live_and_ready_answer_at_both_roots(anonymous: Client, base_url: str, root: str, probe: str) -> None:
    response = await anonymous.http.get(f"{base_url.removesuffix('/api/v1')}{root}/health/{probe}")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


@proves("envelope.ready")
async def test_ready_says_which_stores_answer(anonymous: Client) -> None:
    response = await anonymous.send("GET", "/health/ready")
    assert response.json()["checks"] == {"elasticsearch": True, "redis": True}


async def test_wrong_credentials_do_not_spoil_a_probe(anonymous: Client) -> None:
    anonymous.use("rk_wrong")
    assert (await anonymous.send("GET", "/health/ready")).status_code == 200


async def test_a_probe_can_be_asked_with_head(anonymous: Client) -> None:
    response = await anonymous.send("HEAD", "/health")
    assert (response.status_code, response.content) == (200, b"")
