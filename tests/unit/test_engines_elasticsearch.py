"""What surrounds the real node: configuration, the lock on its data, and sentences for failures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.engines import configuration, elasticsearch
from app.engines.configuration import Node
from app.errors import EngineError

HOLD_LOCK = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); print('held'); input()"


def distribution(folder: Path, *modules: str, version: str = "9.4.3") -> Path:
    for name in ("config", "lib", *(f"modules/{module}" for module in modules)):
        (folder / name).mkdir(parents=True)
    (folder / f"lib/elasticsearch-{version}.jar").touch()
    (folder / "config/jvm.options").write_text("-XX:+UseG1GC\n")
    (folder / "config/elasticsearch.keystore").write_text("another node's")
    return folder


def test_the_configuration_binds_to_loopback_and_keeps_all_below_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / 'a "quoted" folder'
    folder.mkdir()
    configuration.configure(
        distribution(tmp_path / "es"), folder, Node(1, 9321, (0,), folder), "700m", "-XX:A -XX:B", None
    )
    written = (folder / "config/elasticsearch.yml").read_text()
    assert "network.host: 127.0.0.1\n" in written
    assert "http.port: 9321\n" in written
    assert 'a \\"quoted\\" folder/data"' in written
    assert "xpack.ml" not in written
    options = (folder / "config/jvm.options.d/embedded.options").read_text().splitlines()
    assert {"-Xmx700m", "-XX:A", "-XX:B"} <= set(options)
    assert (folder / "config/jvm.options").read_text() == "-XX:+UseG1GC\n"
    assert not (folder / "config/elasticsearch.keystore").exists()
    assert (folder / "data").is_dir()


@pytest.mark.parametrize(("version", "known"), [("9.4.3", True), ("8.19.0", False)])
def test_settings_of_modules_are_written_only_where_they_exist(tmp_path: Path, version: str, known: bool) -> None:
    home = distribution(tmp_path / "es", "x-pack-ml", "x-pack-inference", version=version)
    (tmp_path / "data").mkdir()
    configuration.configure(home, tmp_path / "data", Node(1, 9321, (0,), tmp_path / "data"), "1g", "", None)
    written = (tmp_path / "data/config/elasticsearch.yml").read_text()
    assert "xpack.ml.enabled: false" in written
    assert ("xpack.inference.elastic.authorization.enabled: false" in written) is known
    assert "ingest.geoip" not in written


def test_data_in_use_is_told_apart_from_data_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "LOCK_WAIT_S", 0.3)
    elasticsearch._wait_for_data(tmp_path)
    (tmp_path / "data").mkdir()
    lock = tmp_path / "data/node.lock"
    lock.touch()
    elasticsearch._wait_for_data(tmp_path)
    argv = [sys.executable, "-u", "-c", HOLD_LOCK, str(lock)]
    with subprocess.Popen(  # noqa: S603
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(EngineError, match="in use by another running Elasticsearch"):
            elasticsearch._wait_for_data(tmp_path)
        holder.communicate(b"\n")
    elasticsearch._wait_for_data(tmp_path)


@pytest.mark.parametrize(
    ("said", "code", "part"),
    [
        (
            "java.lang.IllegalStateException: failed to obtain node locks, tried [/d]",
            1,
            "Another Elasticsearch uses",
        ),
        ("BindHttpException: Failed to bind to 127.0.0.1:9200", 1, "port meanwhile"),
        ("There is insufficient memory for the Java Runtime Environment", 1, "REMEMBR_ELASTICSEARCH_HEAP"),
        ("java.io.IOException: No space left on device", 1, "disk is full"),
        ("cannot downgrade a node from version [10.0.0] to version [9.4.3]", 1, "another version"),
        ("", 137, "killed from outside"),
        ("", None, "REMEMBR_ELASTICSEARCH_START_TIMEOUT_S"),
        ("something new", 1, "The log says why"),
    ],
)
def test_a_failed_start_says_what_to_do(said: str, code: int | None, part: str) -> None:
    assert part in elasticsearch.advice(said, code)


def test_an_address_where_nobody_listens_is_not_ready() -> None:
    assert not elasticsearch.is_ready("http://127.0.0.1:9", "any")
