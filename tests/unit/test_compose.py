"""docker-compose.yml names what there is: settings of ours, nodes that know each other, the release that is tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from app.engines.distribution import VERSION
from app.settings import Settings

TEXT = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("elasticsearch")}


def test_every_setting_that_it_names_exists() -> None:
    named = {name.lower() for name in re.findall(r"REMEMBR_([A-Z_]+)", TEXT)}
    assert named
    assert named <= set(Settings.model_fields)


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
        assert environment["xpack.security.enabled"] == environment["xpack.security.transport.ssl.enabled"] == "true"
        assert f"{name}:/usr/share/elasticsearch/data" in service["volumes"]
    ports = [port for service in NODES.values() for port in service["ports"]]
    assert len(set(ports)) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_volumes_are_declared_and_images_are_of_the_release_that_is_tested() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(yaml.safe_load(TEXT)["volumes"])
    images = {service["image"] for name, service in SERVICES.items() if name != "redis"}
    assert images == {f"elasticsearch:{VERSION}"}
