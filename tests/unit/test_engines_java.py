"""Choosing a Java, with small scripts that answer `java --list-modules` as real ones do."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engines import java
from app.engines.user import User
from app.errors import EngineError

FULL = tuple(sorted(java.MODULES | {"java.base"}))
JRE = tuple(name for name in FULL if name not in ("jdk.attach", "jdk.jdi", "jdk.jlink"))


def install(home: Path, version: str, modules: tuple[str, ...] = FULL, code: int = 0) -> Path:
    java_file = home / "bin/java"
    java_file.parent.mkdir(parents=True)
    lines = "\n".join(f"echo {name}@{version}" for name in modules)
    java_file.write_text(f"#!/bin/sh\n{lines}\nexit {code}\n")
    java_file.chmod(0o755)
    return home


@pytest.mark.parametrize("version", ["21", "21.0.4", "25.0.3", "26-ea"])
def test_a_full_jdk_of_21_or_newer_fits(tmp_path: Path, version: str) -> None:
    assert java.refusal(install(tmp_path / "jdk", version), None) is None


@pytest.mark.parametrize(
    ("version", "modules", "code", "why"),
    [
        ("17.0.15", FULL, 0, "it is Java 17.0.15, too old"),
        ("9", FULL, 0, "it is Java 9, too old"),
        ("25.0.4.1", JRE, 0, "without jdk.attach, jdk.jdi, jdk.jlink: a JRE"),
        ("1.8", (), 1, "older than Java 9 or broken"),
        ("21", FULL, 1, "older than Java 9 or broken"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    tmp_path: Path, version: str, modules: tuple[str, ...], code: int, why: str
) -> None:
    assert why in (java.refusal(install(tmp_path / "jdk", version, modules, code), None) or "")


def test_a_java_that_does_not_run_is_refused(tmp_path: Path) -> None:
    home = install(tmp_path / "jdk", "21")
    (home / "bin/java").write_text("#!/nowhere/at/all\n")
    assert "doesn't run" in (java.refusal(home, None) or "")


def test_a_java_behind_a_closed_door_is_refused(tmp_path: Path) -> None:
    home = install(tmp_path / "closed/jdk", "21")
    (tmp_path / "closed").chmod(0o700)
    stranger = User("stranger", 64_001, 64_001, person=False)
    assert java.refusal(home, stranger) == "user stranger can't run it where it lies"


def test_named_homes_come_before_the_usual_places_and_unfit_ones_are_passed_over(tmp_path: Path) -> None:
    old = install(tmp_path / "named", "17.0.1")
    named = install(tmp_path / "java-home", "21.0.1")
    install(tmp_path / "jvm/a", "25")
    env = {"ES_JAVA_HOME": str(old), "JAVA_HOME": str(named), "PATH": ""}
    assert java.find(None, env, (f"{tmp_path}/jvm/*",)) == named


def test_the_usual_places_come_before_path(tmp_path: Path) -> None:
    on_path = install(tmp_path / "on-path", "22")
    usual = install(tmp_path / "jvm/b", "23")
    env = {"PATH": str(on_path / "bin")}
    assert java.find(None, env, (f"{tmp_path}/jvm/*",)) == usual
    assert java.find(None, env, ()) == on_path


def test_when_none_fits_each_is_named_with_its_reason_and_a_way_out(tmp_path: Path) -> None:
    old = install(tmp_path / "jvm/old", "17.0.15")
    jre = install(tmp_path / "jvm/jre", "25", JRE)
    env = {"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(old / "bin")}
    with pytest.raises(EngineError) as caught:
        java.find(None, env, (f"{tmp_path}/jvm/*",))
    said = str(caught.value)
    assert said.count(f"{old}:") == 1  # found in two ways, named once
    assert f"{old}: it is Java 17.0.15, too old" in said
    assert f"{jre}: it is Java 25 without" in said
    assert f"{tmp_path / 'gone'}: there is no bin/java in it" in said
    assert "openjdk-21-jdk-headless" in said
    assert "REMEMBR_ELASTICSEARCH_URL" in said


def test_a_bundled_jdk_is_found_on_linux_and_macos(tmp_path: Path) -> None:
    linux, mac, bare = tmp_path / "linux", tmp_path / "mac", tmp_path / "bare"
    install(linux / "jdk", "26")
    install(mac / "jdk.app/Contents/Home", "26")
    bare.mkdir()
    assert java.bundled(linux) == linux / "jdk"
    assert java.bundled(mac) == mac / "jdk.app/Contents/Home"
    assert java.bundled(bare) is None
