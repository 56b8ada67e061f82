"""What production refuses to start with."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.container import open_core
from app.errors import EngineError
from app.production import is_guessable, problems, require_ready_for_production
from app.settings import Settings

SOUND = {
    "environment": "production",
    "elasticsearch_url": "https://es.internal:9200",
    "redis_url": "redis://127.0.0.1:1/0",
}


def settings_with(**changes: object) -> Settings:
    keys = {"jwt_secret": SecretStr(secrets.token_hex(32)), "encryption_keys": SecretStr(secrets.token_hex(32))}
    return Settings.model_validate(SOUND | keys | changes)


def test_sound_settings_pass() -> None:
    assert list(problems(settings_with())) == []
    require_ready_for_production(settings_with())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"jwt_secret": SecretStr("x" * 40)}, "REMEMBR_JWT_SECRET can be guessed"),
        ({"jwt_secret": SecretStr(f"{secrets.token_hex(32)},change-me-change-me-change-me-now")}, "REMEMBR_JWT_SECRET"),
        ({"encryption_keys": SecretStr("0123456789abcdef" * 3)}, "REMEMBR_ENCRYPTION_KEYS can be guessed"),
        ({"bcrypt_rounds": 4}, "REMEMBR_BCRYPT_ROUNDS"),
        ({"log_level": "DEBUG"}, "REMEMBR_LOG_LEVEL"),
        (
            {"elasticsearch_url": "https://a:9200,http://b:9200", "elasticsearch_password": SecretStr("p")},
            "REMEMBR_ELASTICSEARCH_URL",
        ),
        (
            {"elasticsearch_url": "http://10.0.0.7:9200", "elasticsearch_api_key": SecretStr("k")},
            "REMEMBR_ELASTICSEARCH_URL",
        ),
    ],
)
def test_each_open_door_is_named(changes: dict[str, object], told: str) -> None:
    (problem,) = problems(settings_with(**changes))
    assert told in problem
    with pytest.raises(EngineError, match="Not fit for production"):
        require_ready_for_production(settings_with(**changes))
    require_ready_for_production(settings_with(**changes, environment="development"))


def test_a_key_has_one_purpose() -> None:
    both = SecretStr(secrets.token_hex(32))
    (problem,) = problems(settings_with(jwt_secret=both, encryption_keys=both))
    assert "share a key" in problem


@pytest.mark.parametrize("url", ["http://127.0.0.1:9200", "http://localhost:9200", "http://[::1]:9200"])
def test_a_password_may_go_to_this_machine_in_the_clear(url: str) -> None:
    assert not list(problems(settings_with(elasticsearch_url=url, elasticsearch_password=SecretStr("p"))))


def test_random_keys_are_not_called_guessable() -> None:
    for _ in range(1_000):
        assert not is_guessable(secrets.token_hex(32))
        assert not is_guessable(secrets.token_urlsafe(32))


async def test_nothing_connects_before_the_settings_are_sound(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Not fit for production"):
        async with open_core(settings_with(bcrypt_rounds=4, data_dir=tmp_path)):
            pass
