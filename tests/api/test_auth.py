"""Registering, logging in, refreshing and logging out; who is asking, by which header."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.api.conftest import OpenClient
from tests.client import Client
from tests.conftest import PASSWORD
from tests.promises import proves


def new_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def registration(email: str, password: str = PASSWORD) -> dict[str, Any]:
    return {"email": email, "password": password, "org_name": "Acme"}


async def test_registering_answers_both_tokens(anonymous: Client) -> None:
    tokens = await anonymous.data("POST", "/auth/register", status=201, json=registration(new_email()))
    assert set(tokens) == {"access_token", "refresh_token", "token_type"}
    assert tokens["token_type"] == "bearer"


async def test_logging_in_answers_what_registering_does(anonymous: Client) -> None:
    email = new_email()
    registered = await anonymous.data("POST", "/auth/register", status=201, json=registration(email))
    tokens = await anonymous.data("POST", "/auth/login", json={"email": email, "password": PASSWORD})
    assert set(tokens) == set(registered)
    anonymous.use(tokens["access_token"])
    assert (await anonymous.data("GET", "/auth/me"))["email"] == email


@proves("auth.email")
async def test_an_email_is_taken_in_any_case(anonymous: Client) -> None:
    email = new_email()
    await anonymous.data("POST", "/auth/register", status=201, json=registration(email))
    error = await anonymous.error(
        "POST", "/auth/register", 409, "EMAIL_ALREADY_REGISTERED", json=registration(email.upper())
    )
    assert error["code"] == "CONFLICT_ERROR"


async def test_a_user_logs_in_with_the_email_in_any_case(anonymous: Client) -> None:
    email = new_email()
    await anonymous.data("POST", "/auth/register", status=201, json=registration(email.title()))
    await anonymous.data("POST", "/auth/login", json={"email": email.upper(), "password": PASSWORD})


async def test_of_ten_registrations_at_once_one_wins(anonymous: Client) -> None:
    email = new_email()
    answers = await asyncio.gather(
        *(anonymous.send("POST", "/auth/register", json=registration(email, f"{PASSWORD}{n}")) for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    winner = next(n for n, answer in enumerate(answers) if answer.status_code == 201)
    await anonymous.data("POST", "/auth/login", json={"email": email, "password": f"{PASSWORD}{winner}"})


async def test_a_wrong_password_and_an_unknown_email_look_alike(anonymous: Client) -> None:
    email = new_email()
    await anonymous.data("POST", "/auth/register", status=201, json=registration(email))
    wrong, unknown = [
        await anonymous.error("POST", "/auth/login", 401, "INVALID_CREDENTIALS", json=body)
        for body in (
            {"email": email, "password": "not the password"},
            {"email": new_email(), "password": PASSWORD},
        )
    ]
    assert wrong | {"request_id": ""} == unknown | {"request_id": ""}
    assert wrong["code"] == "AUTHENTICATION_ERROR"


@pytest.mark.parametrize("end", ["A", "é", "\U0001f600"])
async def test_passwords_that_differ_after_72_bytes_are_different(anonymous: Client, end: str) -> None:
    email, long = new_email(), "x" * 72
    await anonymous.data("POST", "/auth/register", status=201, json=registration(email, long + end))
    for wrong in (long, long + "B", long + end + end):
        await anonymous.error("POST", "/auth/login", 401, json={"email": email, "password": wrong})
    await anonymous.data("POST", "/auth/login", json={"email": email, "password": long + end})


async def test_a_refresh_token_buys_an_access_token(organisation: Client) -> None:
    answer = await organisation.data(
        "POST", "/auth/refresh", json={"refresh_token": organisation.tokens["refresh_token"]}
    )
    assert set(answer) == {"access_token", "token_type"}
    organisation.use(answer["access_token"])
    me = await organisation.data("GET", "/auth/me")
    assert (me["user_id"], me["org_id"]) == (organisation.user_id, organisation.org_id)


@proves("auth.refresh")
async def test_a_refresh_token_can_be_used_again(organisation: Client) -> None:
    body = {"refresh_token": organisation.tokens["refresh_token"]}
    await organisation.data("POST", "/auth/refresh", json=body)
    await organisation.data("POST", "/auth/refresh", json=body)


@proves("auth.logout")
async def test_logging_out_makes_the_refresh_token_useless_everywhere_at_once(
    organisation: Client, open_client: OpenClient, second_url: str
) -> None:
    elsewhere = await open_client(url=second_url)
    body = {"refresh_token": organisation.tokens["refresh_token"]}
    await elsewhere.data("POST", "/auth/refresh", json=body)
    assert set(await organisation.data("POST", "/auth/logout", json=body)) == {"message"}
    await elsewhere.error("POST", "/auth/refresh", 401, "TOKEN_INVALID", json=body)
    await organisation.error("POST", "/auth/refresh", 401, "TOKEN_INVALID", json=body)


async def test_logging_out_ends_one_session_and_not_the_others(organisation: Client, anonymous: Client) -> None:
    me = await organisation.data("GET", "/me")
    other = await anonymous.data("POST", "/auth/login", json={"email": me["email"], "password": PASSWORD})
    await anonymous.data("POST", "/auth/logout", json={"refresh_token": organisation.tokens["refresh_token"]})
    await anonymous.data("POST", "/auth/refresh", json={"refresh_token": other["refresh_token"]})


async def test_a_token_is_good_for_its_own_use_only(organisation: Client, anonymous: Client) -> None:
    access, refresh = organisation.tokens["access_token"], organisation.tokens["refresh_token"]
    await anonymous.error("POST", "/auth/refresh", 401, "TOKEN_INVALID", json={"refresh_token": access})
    await anonymous.error("POST", "/auth/logout", 401, "TOKEN_INVALID", json={"refresh_token": access})
    anonymous.use(refresh)
    await anonymous.error("GET", "/auth/me", 401, "TOKEN_INVALID")


async def test_a_token_signed_by_another_is_refused(organisation: Client) -> None:
    head, claims, signature = organisation.tokens["access_token"].split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    for forged in (f"{head}.{claims}.{signature[::-1]}", f"{unsigned}.{claims}.", f"{head}.{claims}", "x.y.z"):
        organisation.use(forged)
        await organisation.error("GET", "/auth/me", 401, "TOKEN_INVALID")


@pytest.mark.parametrize("path", ["/auth/me", "/me"])
@proves("auth.me")
async def test_me_tells_a_token_who_it_is(organisation: Client, path: str) -> None:
    organisation.use(organisation.tokens["access_token"])
    me = await organisation.data("GET", path)
    assert set(me) == {
        "id", "user_id", "email", "org_id", "team_id", "agent_id", "is_active", "created_at", "auth_method",
    }  # fmt: skip
    assert me["id"] == me["user_id"] == organisation.user_id
    assert (me["team_id"], me["agent_id"], me["is_active"]) == (None, None, True)
    assert me["created_at"].endswith("Z")


@proves("auth.me")
async def test_me_tells_a_key_the_same_as_a_token_but_for_the_method(organisation: Client) -> None:
    by_key = await organisation.data("GET", "/me")
    organisation.use(organisation.tokens["access_token"])
    by_token = await organisation.data("GET", "/me")
    assert by_key.pop("auth_method") != by_token.pop("auth_method")
    assert by_key == by_token


@pytest.mark.parametrize("kind", ["key", "token"])
@proves("auth.headers")
async def test_a_credential_may_come_in_either_header(organisation: Client, kind: str) -> None:
    key = organisation.http.headers.pop("Authorization").removeprefix("Bearer ")
    credential = key if kind == "key" else organisation.tokens["access_token"]
    for headers in (
        {"Authorization": f"Bearer {credential}"},
        {"Authorization": f"bearer {credential}"},
        {"X-API-Key": credential},
    ):
        me = await organisation.data("GET", "/me", headers=headers)
        assert me["user_id"] == organisation.user_id


@proves("auth.both-headers")
async def test_authorization_decides_where_both_headers_come(organisation: Client, stranger: Client) -> None:
    theirs = stranger.http.headers["Authorization"].removeprefix("Bearer ")
    me = await organisation.data("GET", "/me", headers={"X-API-Key": theirs})
    assert me["org_id"] == organisation.org_id
    await organisation.error("GET", "/me", 401, headers={"X-API-Key": theirs, "Authorization": "Bearer rk_wrong"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": b"Bearer rk_\xff\xfe"},
        {"Authorization": "Bearer rk_" + "0" * 32},
        {"Authorization": "Bearer rk_" + "z" * 4000},
        {"X-API-Key": ""},
        {"X-API-Key": "rk_"},
        {"X-API-Key": "' OR 1=1 --"},
    ],
)
async def test_what_is_no_credential_is_401(anonymous: Client, headers: dict[str, Any]) -> None:
    response = await anonymous.send("GET", "/me", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "AUTHENTICATION_ERROR"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", None),
        ("email", ""),
        ("email", "nobody"),
        ("email", "a@b@c.example"),
        ("email", f"{'x' * 300}@example.com"),
        ("email", "a\x00b@example.com"),
        ("email", 7),
        ("password", None),
        ("password", "5h0rt"),
        ("password", "x" * 1025),
        ("password", "\ud800" * 10),
        ("password", ["correct-horse-battery-staple"]),
        ("org_name", None),
        ("org_name", "   "),
        ("org_name", "x" * 201),
        ("org_name", "a\x00b"),
    ],
)
@proves("envelope.validation")
async def test_a_bad_registration_names_the_field_and_repeats_no_value(
    anonymous: Client, field: str, value: object
) -> None:
    email = new_email()
    given = registration(email) | {field: value}
    # By hand: the client's own encoder refuses lone surrogates.
    content = json.dumps(given).encode()
    headers = {"Content-Type": "application/json"}
    error = await anonymous.error("POST", "/auth/register", 422, content=content, headers=headers)
    assert [problem["loc"] for problem in error["details"]["errors"]] == [["body", field]]
    assert all(set(problem) == {"type", "loc", "msg"} for problem in error["details"]["errors"])
    if isinstance(value, str) and value.strip():
        assert value not in str(error)
    await anonymous.data("POST", "/auth/register", status=201, json=registration(email))
