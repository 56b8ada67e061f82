"""Rate limits: by key over all servers, for signing in by address and e-mail, and never for want of Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.container import WorkerContainer
from app.limits import Bucket, RateLimiter
from app.redis import open_redis
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.promises import proves

PER_MINUTE = 30


@asynccontextmanager
async def limited(settings: Settings, caller: Client | None = None, **changes: object) -> AsyncIterator[Client]:
    """A client of a server with these limits, as an organisation that is there already."""
    async with serving(settings.model_copy(update=changes)) as url, connect(url) as client:
        if caller is not None:
            client.http.headers["Authorization"] = caller.http.headers["Authorization"]
        yield client


async def _statuses(clients: list[Client], count: int) -> list[int]:
    answers = await asyncio.gather(*(clients[n % len(clients)].send("GET", "/me") for n in range(count)))
    return [answer.status_code for answer in answers]


@proves("limits.shared", "limits.headers")
async def test_all_servers_count_together_and_a_waiting_client_gets_through(
    settings: Settings, organisation: Client
) -> None:
    async with (
        limited(settings, organisation, rate_limit_per_minute=PER_MINUTE) as one,
        limited(settings, organisation, rate_limit_per_minute=PER_MINUTE) as other,
    ):
        statuses = await _statuses([one, other], PER_MINUTE + 20)
        assert set(statuses) == {200, 429}
        # A token every two seconds flows in meanwhile.
        assert PER_MINUTE <= statuses.count(200) <= PER_MINUTE + 2
        refused = await one.send("GET", "/me")
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (429, "RATE_LIMIT_ERROR")
        await asyncio.sleep(int(refused.headers["Retry-After"]))
        assert (await other.send("GET", "/me")).status_code == 200


@proves("limits.headers")
async def test_headers_say_what_is_left(settings: Settings, organisation: Client) -> None:
    async with limited(settings, organisation, rate_limit_per_minute=PER_MINUTE) as client:
        first = await client.send("GET", "/me")
        assert first.headers["RateLimit-Limit"] == str(PER_MINUTE)
        assert first.headers["RateLimit-Remaining"] == str(PER_MINUTE - 1)
        assert first.headers["RateLimit-Reset"] == "2"
        missing = await client.send("GET", f"/sessions/{uuid.uuid4()}")
        assert (missing.status_code, missing.headers["RateLimit-Remaining"]) == (404, str(PER_MINUTE - 2))


@proves("limits.key")
async def test_each_key_has_its_own_bucket_and_a_users_tokens_share_one(
    settings: Settings, organisation: Client
) -> None:
    key = await organisation.data("POST", "/api-keys", status=201, json={"name": "other"})
    async with limited(settings, organisation, rate_limit_per_minute=1) as client:
        assert await _statuses([client], 1) == [200]
        assert (await client.send("GET", "/me")).status_code == 429
        for credential in (key["api_key"], organisation.tokens["access_token"]):
            client.use(credential)
            assert (await client.send("GET", "/me")).status_code == 200
            assert (await client.send("GET", "/me")).status_code == 429


@proves("limits.safe")
async def test_a_refused_request_does_nothing(settings: Settings, organisation: Client) -> None:
    async with limited(settings, organisation, rate_limit_per_minute=1) as client:
        await client.store("stored")
        await client.error("POST", "/memory", 429, json={"role": "user", "content": "refused"})
    # By another bucket: this server has a larger limit, but the key's is as good as empty for it too.
    organisation.use(organisation.tokens["access_token"])
    assert await organisation.contents("") == ["stored"]


@proves("limits.off")
async def test_zero_switches_the_limit_off(settings: Settings, organisation: Client) -> None:
    async with limited(settings, organisation, rate_limit_per_minute=0) as client:
        answer = await client.send("GET", "/me")
        assert (answer.status_code, "RateLimit-Limit" in answer.headers) == (200, False)


async def test_probes_are_never_limited(settings: Settings, organisation: Client) -> None:
    async with limited(settings, organisation, rate_limit_per_minute=1) as client:
        for _ in range(3):
            assert (await client.send("GET", "/health")).status_code == 200


def _account(email: str | None = None) -> dict[str, str]:
    return {"email": email or f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "org_name": "Acme"}


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
@proves("limits.log-in")
async def test_one_email_can_not_be_tried_without_end(settings: Settings, path: str) -> None:
    """The right password is refused as well: or guessing would only have to go on."""
    async with limited(settings, sign_in_per_email=3) as client:
        account = _account()
        await client.data("POST", "/auth/register", status=201, json=account)
        for _ in range(2):
            answer = await client.send("POST", path, json=account | {"password": "wrong-and-long-enough"})
            assert answer.status_code in (401, 409)
        refused = await client.send("POST", path, json=account | {"email": account["email"].upper()})
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 1
        assert (await client.send("POST", "/auth/register", json=_account())).status_code == 201


async def _register(client: Client, forwarded: str | None = None) -> httpx.Response:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return await client.send("POST", "/auth/login", json=_account(), headers=headers)


@proves("limits.log-in")
async def test_one_address_can_not_try_many_emails(settings: Settings, worker_container: WorkerContainer) -> None:
    await worker_container.core.redis.client.flushall()
    async with limited(settings, sign_in_per_address=2) as client:
        statuses = [(await _register(client, f"198.51.100.{n}")).status_code for n in range(3)]
    assert statuses == [401, 401, 429]


async def test_behind_a_trusted_proxy_the_address_is_the_one_that_it_saw(settings: Settings) -> None:
    async with limited(settings, sign_in_per_address=1, trusted_proxies="127.0.0.0/8,10.0.0.0/8") as client:
        for n in range(3):
            assert (await _register(client, f"8.8.8.8, 198.51.100.{n}, 10.1.2.3")).status_code == 401
        # What the caller itself put in front changes nothing.
        assert (await _register(client, "1.2.3.4, 198.51.100.1")).status_code == 429
        forged = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "198.51.100.2:4711")]
        again = await client.send("POST", "/auth/login", json=_account(), headers=forged)
        assert again.status_code == 429
        assert (await _register(client, "2001:db8:1:2::1")).status_code == 401
        assert (await _register(client, "2001:db8:1:2:ffff::2")).status_code == 429


@proves("limits.redis")
async def test_without_redis_nobody_is_refused_and_it_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with open_redis("redis://127.0.0.1:1/0", 0.2) as gate:
        limiter = RateLimiter(gate, "p")
        assert [await limiter.take([Bucket("b", 1)]) for _ in range(3)] == [None] * 3
        assert limiter.unchecked == 3
    told = [record.__dict__["requests"] for record in caplog.records if record.name == "app.limits"]
    assert told == [1], "at the first, and not at each"


async def test_it_goes_on_after_redis_lost_everything(worker_container: WorkerContainer) -> None:
    redis = worker_container.core.redis
    limiter = RateLimiter(redis, f"test-{uuid.uuid4().hex}")
    bucket = Bucket("b", 2)
    first = [await limiter.take([bucket]) for _ in range(3)]
    assert [verdict is not None and verdict.allowed for verdict in first] == [True, True, False]
    await redis.client.flushall()
    await redis.client.script_flush()
    again = await limiter.take([bucket])
    assert again is not None
    assert (again.allowed, again.remaining) == (True, 1)


async def test_a_refusal_by_one_bucket_takes_nothing_from_another(worker_container: WorkerContainer) -> None:
    limiter = RateLimiter(worker_container.core.redis, f"test-{uuid.uuid4().hex}")
    small, large = Bucket("small", 1), Bucket("large", 5)
    await limiter.take([small, large])
    refused = await limiter.take([small, large])
    assert refused is not None
    assert (refused.allowed, refused.limit, refused.remaining) == (False, 1, 0)
    assert 50 < refused.retry_s <= 60
    left = await limiter.take([large])
    assert left is not None
    assert left.remaining == 3
