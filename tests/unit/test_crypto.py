"""Passwords, tokens and keys."""

from __future__ import annotations

import uuid
from datetime import timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.crypto import Passwords, Tokens, api_key_id, key_digest, new_api_key, same
from app.errors import AuthenticationError

SECRET = "s" * 40
LIFE = timedelta(minutes=5)
CLAIMS = {"sub": "user", "org": "org"}


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(4)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([SECRET], access=LIFE, refresh=LIFE * 10)


# bcrypt alone would stop at 72 bytes and at NUL.
@pytest.mark.parametrize("password", ["correct-horse", "x" * 200, "a\x00b", "pässwörd 😀", " "])
async def test_a_password_fits_itself_and_nothing_near_it(passwords: Passwords, password: str) -> None:
    stored = await passwords.hash(password)
    assert await passwords.verify(password, stored)
    for near in (password + "x", password[:-1], password.upper() + "!"):
        assert not await passwords.verify(near, stored)


async def test_the_same_password_is_stored_differently_each_time(passwords: Passwords) -> None:
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_nobody_has_no_password(passwords: Passwords) -> None:
    assert not await passwords.verify("anything", None)


def test_a_token_carries_its_claims_until_it_expires(tokens: Tokens) -> None:
    token = tokens.issue("access", CLAIMS)
    claims = tokens.read("access", token.text)
    assert claims["sub"] == "user"
    assert claims["jti"] == token.id
    assert claims["exp"] == int(token.expires_at.timestamp())


def test_a_token_of_one_kind_is_none_of_the_other(tokens: Tokens) -> None:
    for kind, other in (("access", "refresh"), ("refresh", "access")):
        with pytest.raises(AuthenticationError) as raised:
            tokens.read(other, tokens.issue(kind, CLAIMS).text)  # type: ignore[arg-type]
        assert raised.value.code == "TOKEN_INVALID"


def test_an_expired_token_says_so() -> None:
    expired = Tokens([SECRET], access=-LIFE, refresh=LIFE).issue("access", CLAIMS)
    with pytest.raises(AuthenticationError) as raised:
        Tokens([SECRET], access=LIFE, refresh=LIFE).read("access", expired.text)
    assert raised.value.code == "TOKEN_EXPIRED"


def test_a_replaced_signing_key_verifies_until_it_is_taken_away() -> None:
    old, new = SECRET, "n" * 40
    before = Tokens([old], access=LIFE, refresh=LIFE).issue("access", CLAIMS)
    both = Tokens([new, old], access=LIFE, refresh=LIFE)
    assert both.read("access", before.text)["sub"] == "user"
    after = both.issue("access", CLAIMS)
    alone = Tokens([new], access=LIFE, refresh=LIFE)
    assert alone.read("access", after.text)["sub"] == "user"
    for tokens, text in ((alone, before.text), (Tokens([old], access=LIFE, refresh=LIFE), after.text)):
        with pytest.raises(AuthenticationError) as raised:
            tokens.read("access", text)
        assert raised.value.code == "TOKEN_INVALID"


def test_a_tokens_key_is_named_and_unnamed_ones_are_tried_with_each() -> None:
    tokens = Tokens(["n" * 40, SECRET], access=LIFE, refresh=LIFE)
    names = {
        jwt.get_unverified_header(issuer.issue("access", CLAIMS).text)["kid"]
        for issuer in (tokens, Tokens([SECRET], access=LIFE, refresh=LIFE))
    }
    assert len(names) == 2
    assert not any(name in SECRET or SECRET in name for name in names)
    assert tokens.read("access", forged({}))["sub"] == "user"
    named = jwt.encode({"kind": "access", "jti": "1", "sub": "u", "exp": 9_999_999_999}, SECRET, headers={"kid": "x"})
    with pytest.raises(AuthenticationError):
        tokens.read("access", named)


def forged(claims: dict[str, object], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({"kind": "access", "jti": "1", "sub": "user", "exp": 9_999_999_999} | claims, secret, algorithm)


def test_a_token_must_be_whole_and_ours(tokens: Tokens) -> None:
    good = tokens.issue("access", CLAIMS).text
    head, body, signature = good.split(".")
    unsigned = jwt.encode({**CLAIMS, "kind": "access", "jti": "1", "exp": 9_999_999_999}, "", "none")
    wrong = [
        "",
        "x",
        "a.b.c",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body[:-2]}AA.{signature}",
        unsigned,
        forged({}, "another-secret-that-is-long-enough-too"),
        forged({}, SECRET * 2, "HS512"),
    ]
    for text in wrong:
        with pytest.raises(AuthenticationError) as raised:
            tokens.read("access", text)
        assert raised.value.code == "TOKEN_INVALID", text
    for missing in ("exp", "jti", "sub"):
        payload = {"kind": "access", "jti": "1", "sub": "user", "exp": 9_999_999_999}
        del payload[missing]
        with pytest.raises(AuthenticationError):
            tokens.read("access", jwt.encode(payload, SECRET, "HS256"))
    assert tokens.read("access", forged({}))["sub"] == "user"


def test_a_key_names_its_row_and_is_stored_as_a_digest_alone() -> None:
    key = new_api_key()
    assert api_key_id(key.text) == key.id == str(uuid.UUID(key.id))
    assert key.digest == key_digest(key.text)
    assert key.text.startswith(key.prefix)
    assert key.text.startswith("rk_")
    assert key.text.endswith(key.last_chars)
    # What is kept for recognising it tells less than a tenth of it.
    assert len(key.prefix) + len(key.last_chars) <= 15 < len(key.text) / 4
    assert new_api_key().text != key.text


@given(st.one_of(st.text(max_size=60), st.text(alphabet="0123456789abcdef{}-", min_size=32, max_size=40)))
def test_any_text_at_all_may_be_offered_as_a_key(text: str) -> None:
    for offered in (text, f"rk_{text}"):
        found = api_key_id(offered)
        assert found is None or str(uuid.UUID(found)) == found
        assert len(key_digest(offered)) == 64


def test_digests_are_compared_whole() -> None:
    assert same("é", "é")
    assert not same("a", "b")
    assert not same("a", "ab")
