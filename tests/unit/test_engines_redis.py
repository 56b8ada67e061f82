"""The real Valkey through the public interface, and where its folders come to lie."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app import engines
from app.engines import folders, valkey
from app.engines.user import User, can_enter
from app.errors import EngineError
from app.settings import Settings

STRANGER = User("stranger", 64_001, 64_001, person=False)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the engines' user can enter, which pytest's own are not when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="remembr-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def settings(folder: Path) -> Settings:
    return Settings(
        data_dir=folder / "data",
        cache_dir=folder / "cache",
        elasticsearch_url="http://given:9200",
        redis_url=None,
    )


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2)


def test_redis_starts_is_killed_restarted_on_the_same_port_and_stopped(open_folder: Path) -> None:
    with engines.start(settings(open_folder)) as running:
        assert running.elasticsearch_url == "http://given:9200"
        assert running.elasticsearch is None
        service, url = running.redis, running.redis_url
        assert service is not None
        pid = service.pid
        assert pid is not None
        with client(url) as first:
            first.set("a", "1")
        service.kill()
        assert not service.running
        assert not valkey.is_ready(url, pid)
        service.restart()
        assert service.url == url
        assert service.pid != pid
        with client(url) as second:
            assert second.get("a") is None  # nothing is kept on disk, by choice
            second.set("a", "2")
        service.restart()
        assert service.pid is not None
        assert valkey.is_ready(url, service.pid)
    assert not service.running
    with client(url) as third, pytest.raises(redis.ConnectionError):
        third.ping()
    running.stop()


def test_what_is_given_by_url_is_not_started(open_folder: Path) -> None:
    given = Settings(data_dir=open_folder / "data", elasticsearch_url="http://a:1,http://b:2", redis_url="redis://c:3")
    with engines.start(given) as running:
        assert running == engines.Engines("http://a:1,http://b:2", "redis://c:3")
    assert not (open_folder / "data").exists()


def test_a_redis_that_ends_at_once_shows_its_log(open_folder: Path) -> None:
    with engines.start(settings(open_folder)) as running:
        port = int(running.redis_url.rpartition(":")[2].split("/")[0])
        second = engines.Service(valkey.plan(open_folder / "data/redis", port, open_folder, None))
        with pytest.raises(
            EngineError, match=r"(?s)Redis ended with exit code 1\. Another program took .*already in use"
        ):
            second.start()
        assert not second.running


def test_a_taken_port_leaves_nothing_behind(open_folder: Path) -> None:
    with engines.start(settings(open_folder)) as running:
        port = int(running.redis_url.rpartition(":")[2].split("/")[0])
        with pytest.raises(EngineError, match=f"port {port}"):
            engines.start(settings(open_folder / "second"), redis_port=port)
    assert not (open_folder / "second/data").exists()


def test_a_server_behind_a_closed_door_is_copied(open_folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = tmp_path / "valkey-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    assert valkey._reachable(server, open_folder, None) == server
    copy = valkey._reachable(server, open_folder, STRANGER)
    assert copy == open_folder / "valkey-server"
    assert copy.read_bytes() == server.read_bytes()


def test_a_named_folder_out_of_reach_is_an_error_and_a_default_one_is_replaced(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    assert can_enter(tmp_path, None)
    assert not can_enter(tmp_path / "below/it", STRANGER)
    assert can_enter(open_folder / "below/it", STRANGER)
    named = Settings(cache_dir=tmp_path / "cache")
    with pytest.raises(EngineError, match=r"user `stranger`.*Set REMEMBR_CACHE_DIR"):
        folders.cache_folder(named, STRANGER)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("REMEMBR_CACHE_DIR", raising=False)
    monkeypatch.setattr(folders, "ROOT_CACHE", open_folder / "var")
    assert folders.cache_folder(Settings(), STRANGER) == open_folder / "var"
    assert folders.cache_folder(Settings(), None) == tmp_path / "remembr"
