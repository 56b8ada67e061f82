"""Maven's local repository, checksums, and the sentences for its failures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.engines import maven
from app.errors import EngineError

NAME = "org.example:thing:1.2:zip"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MAVEN_ARGS", raising=False)
    monkeypatch.setenv("MAVEN_OPTS", f"-Xmx1g '-Dmaven.repo.local={tmp_path / 'my repository'}'")
    return tmp_path / "my repository"


def put(local: Path, content: bytes, sha1: str | None = None) -> Path:
    file = maven.Artifact.parse(NAME).path(local)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.with_name(file.name + ".sha1").write_text(sha1 or hashlib.sha1(content).hexdigest())  # noqa: S324
    return file


def pretend_mvn(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    (folder / "mvn").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        ("org.example:thing:1.2", "org/example/thing/1.2/thing-1.2.jar"),
        ("org.example:thing:1.2:zip", "org/example/thing/1.2/thing-1.2.zip"),
        ("org.example:thing:1.2:zip:linux", "org/example/thing/1.2/thing-1.2-linux.zip"),
    ],
)
def test_coordinates_name_a_file(coordinates: str, path: str) -> None:
    assert maven.Artifact.parse(coordinates).path(Path("/r")) == Path("/r") / path


@pytest.mark.parametrize("text", ["", "a:b", "a::c", "a:b:c:d:e:f"])
def test_other_text_is_not_coordinates(text: str) -> None:
    with pytest.raises(ValueError, match="not Maven coordinates"):
        maven.Artifact.parse(text)


def test_settings_xml_names_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert maven.repository({}) == tmp_path / ".m2/repository"
    (tmp_path / ".m2").mkdir()
    space = "http://maven.apache.org/SETTINGS/1.0.0"
    xml = f'<settings xmlns="{space}"><localRepository>${{user.home}}/jars</localRepository></settings>'
    (tmp_path / ".m2/settings.xml").write_text(xml)
    assert maven.repository({}) == tmp_path / "jars"
    assert maven.repository({"MAVEN_ARGS": "-Dmaven.repo.local=/elsewhere"}) == Path("/elsewhere")


def test_a_whole_file_is_taken_without_maven(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(local, b"whole")
    monkeypatch.setenv("PATH", "/nowhere")
    assert maven.fetch(NAME) == file
    assert maven.fetch(NAME, sha256=hashlib.sha256(b"whole").hexdigest()) == file


def test_a_damaged_file_is_fetched_anew(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(local, b"damaged", sha1=hashlib.sha1(b"whole").hexdigest())  # noqa: S324
    pretend_mvn(tmp_path / "bin", monkeypatch, f"test ! -e '{file}' && printf whole > '{file}'")
    assert maven.fetch(NAME).read_bytes() == b"whole"


def test_a_file_that_is_not_the_pinned_one_is_refused(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put(local, b"whole")
    pretend_mvn(tmp_path / "bin", monkeypatch, f"printf whole > '{file}'")
    with pytest.raises(EngineError, match="checksum differs"):
        maven.fetch(NAME, sha256="0" * 64)


def test_without_maven_the_package_to_install_is_named(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match="sudo apt install maven"):
        maven.fetch(NAME)


@pytest.mark.usefixtures("local")
def test_a_full_disk_is_said_before_maven_runs() -> None:
    with pytest.raises(EngineError, match="Fetching thing needs"):
        maven.fetch(NAME, size=10**18)


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "[ERROR] Could not transfer artifact: repo.example: Unknown host repo.example",
            "could not reach its repositories",
        ),
        ("[ERROR] No plugin found for prefix dependency", "could not reach its repositories"),
        ("[ERROR] Could not find artifact org.example:thing:zip:1.2", "None of Maven's repositories has"),
        ("[ERROR] write failed: No space left on device", "the disk of .* is full"),
        ("The JAVA_HOME environment variable is not defined correctly", "Maven said: The JAVA_HOME"),
    ],
)
def test_what_maven_says_becomes_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, sentence: str
) -> None:
    pretend_mvn(tmp_path / "bin", monkeypatch, f"echo '{said}'; exit 1")
    with pytest.raises(EngineError, match=sentence):
        maven.fetch(NAME)


@pytest.mark.usefixtures("local")
def test_maven_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_mvn(tmp_path / "bin", monkeypatch, "exec sleep 60")
    with pytest.raises(EngineError, match="did not finish within"):
        maven.fetch(NAME, timeout_s=0.1)
