"""Settings come out of the environment, checked, and keep their secrets to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import EngineError
from app.own_secrets import with_secrets
from app.settings import Settings

SECRET = "a-secret-of-more-than-32-characters!"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("REMEMBR_"):
            monkeypatch.delenv(name)


def settings_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"REMEMBR_{name.upper()}", value)
    return Settings()


def test_every_field_can_be_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(
        monkeypatch,
        port="8123",
        data_dir="/tmp/x",  # noqa: S108 - not opened
        elasticsearch_url="http://a:9200,http://b:9200",
        elasticsearch_timeout_s="2.5",
        vector_index="int8_hnsw",
        close_sync_clients="false",
        jwt_secret=SECRET,
    )
    assert settings.port == 8123
    assert settings.data_dir == Path("/tmp/x")  # noqa: S108
    assert settings.elasticsearch_url == "http://a:9200,http://b:9200"
    assert settings.elasticsearch_timeout_s == 2.5
    assert settings.vector_index == "int8_hnsw"
    assert settings.close_sync_clients is False


def test_nothing_has_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(monkeypatch)
    assert settings.port == 8000
    assert settings.elasticsearch_url is None
    assert settings.jwt_secret is None


def test_folders_follow_the_desktops_own_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Settings().data_dir == tmp_path / "data/remembr"
    assert Settings().cache_dir == tmp_path / "cache/remembr"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("port", "70000"),
        ("workers", "0"),
        ("jwt_secret", "short"),
        ("jwt_secret", "long-enough-to-be-a-key-of-32-characters,short"),
        ("encryption_keys", "short"),
        ("index_partitions", "0"),
        ("index_partitions", "2"),
        ("index_prefix", "Has Spaces"),
        ("index_prefix", "9begins-with-a-digit"),
        ("vector_index", "hnsw"),
        ("elasticsearch_heap", "lots"),
        ("elasticsearch_timeout_s", "0"),
        ("api_key_cache_s", "1"),
        ("embedding_batch", "0"),
        ("search_window", "99"),
        ("environment", "test"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings_of(monkeypatch, **{name: value})
    assert [error["loc"] for error in raised.value.errors()] == [(name,)]


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("jwt_secret", "elasticsearch_password", "elasticsearch_api_key")
    settings = settings_of(monkeypatch, **dict.fromkeys(secrets, SECRET))
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in shown
    for name in secrets:
        assert getattr(settings, name).get_secret_value() == SECRET


def test_every_field_that_sounds_like_a_secret_is_one() -> None:
    for name, field in Settings.model_fields.items():
        if name.endswith(("secret", "password", "_key", "token")):
            assert "SecretStr" in str(field.annotation), name


def test_every_field_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        settings_of(monkeypatch).port = 1  # type: ignore[misc]


def test_a_signing_key_is_made_once_and_kept_with_the_data(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "deep/down")
    first, second = with_secrets(settings).jwt_secret, with_secrets(settings).jwt_secret
    assert first is not None
    assert second is not None
    assert first.get_secret_value() == second.get_secret_value()
    assert len(first.get_secret_value()) == 64
    assert (tmp_path / "deep/down/jwt-secret").stat().st_mode & 0o777 == 0o600
    other = with_secrets(Settings(data_dir=tmp_path / "other")).jwt_secret
    assert other is not None
    assert other.get_secret_value() != first.get_secret_value()


def test_production_takes_no_secret_of_its_own_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="REMEMBR_JWT_SECRET"):
        with_secrets(Settings(data_dir=tmp_path, environment="production"))
    assert list(tmp_path.iterdir()) == []
    given = settings_of(monkeypatch, jwt_secret=SECRET, environment="production", data_dir=str(tmp_path))
    assert with_secrets(given) is given
