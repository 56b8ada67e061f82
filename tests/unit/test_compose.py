"""docker-compose.yml names what there is: settings of ours, nodes that know each other, the release that is tested."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import production
from app.engines.distribution import VERSION
from app.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("elasticsearch")}
OURS = ("server", "worker")
ONCE = ("certificates", "accounts", "dashboards")


def made_env(folder: Path) -> dict[str, str]:
    """What scripts/make_env.sh makes."""
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/make_env.sh", folder / "scripts")
    subprocess.run([folder / "scripts/make_env.sh"], check=True, capture_output=True)  # noqa: S603
    assert (folder / ".env").stat().st_mode & 0o077 == 0
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def filled(text: str, values: dict[str, str]) -> str:
    """With compose's `${NAME:?...}` and `${NAME:-...}` filled in."""

    def value(found: re.Match[str]) -> str:
        name, kind, otherwise = found.groups()
        return values.get(name, otherwise) if kind == "-" else values[name]

    return re.sub(r"\$\{(\w+):([?-])([^}]*)\}", value, text)


def test_every_setting_that_it_names_exists() -> None:
    named = {name.lower() for name in re.findall(r"REMEMBR_([A-Z_]+)", TEXT)}
    assert named
    assert named <= set(Settings.model_fields)


def test_the_service_would_run_in_production_with_what_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = yaml.safe_load(filled(TEXT, made_env(tmp_path)))["services"]
    for name in OURS:
        for variable, value in services[name]["environment"].items():
            monkeypatch.setenv(variable, str(value))
        settings = Settings()
        assert settings.environment == "production"
        assert list(production.problems(settings)) == [], name


def test_a_second_run_keeps_the_secrets_that_are_there(tmp_path: Path) -> None:
    made_env(tmp_path)
    again = subprocess.run([tmp_path / "scripts/make_env.sh"], capture_output=True, check=False)  # noqa: S603
    assert again.returncode == 1


def test_there_is_one_node_and_in_a_profile_there_are_three() -> None:
    always = [name for name, service in NODES.items() if "profiles" not in service]
    assert always == ["elasticsearch"]
    assert {tuple(service["profiles"]) for name, service in NODES.items() if name not in always} == {("three",)}
    assert len(NODES) == 3


def test_nodes_know_each_other_and_have_data_of_their_own() -> None:
    for name, service in NODES.items():
        environment = service["environment"]
        assert environment["node.name"] == name
        assert environment["discovery.seed_hosts"].split(",") == list(NODES)
        assert environment["cluster.initial_master_nodes"] == "elasticsearch"
        for layer in ("", "http.ssl.", "transport.ssl."):
            assert environment[f"xpack.security.{layer}enabled"] == "true"
        assert f"{name}:/usr/share/elasticsearch/data" in service["volumes"]


def test_only_this_machine_reaches_any_of_it() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(set(ports)) == len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_goes_on_is_looked_after_limited_and_may_do_little() -> None:
    for name, service in SERVICES.items():
        if name in ONCE:
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert "healthcheck" in service or name == "worker", name
    for name in OURS:
        assert SERVICES[name]["read_only"], name
    user = re.search(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert user[1] != "0:0"


def test_volumes_are_declared_and_images_are_of_the_release_that_is_tested() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(yaml.safe_load(TEXT)["volumes"])
    images = {service["image"] for name, service in SERVICES.items() if name not in ("redis", *OURS)}
    assert images == {f"elasticsearch:{VERSION}", f"kibana:{VERSION}"}


@pytest.mark.parametrize("profiles", [(), ("--profile", "three")])
def test_compose_itself_takes_it(tmp_path: Path, profiles: tuple[str, ...]) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose 2 isn't installed")
    made_env(tmp_path)
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    argv = [compose, "--project-directory", str(tmp_path), *profiles, "config", "--quiet"]
    checked = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S603
    assert (checked.returncode, checked.stderr) == (0, "")
