"""deploy/kubernetes holds what Kubernetes takes, and names what there is."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.engines.distribution import VERSION
from app.http.health import PROBES
from app.production import require_ready_for_production
from app.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUBERNETES = "1.36"
Resource = dict[str, Any]
# Of elasticsearch.k8s.elastic.co/v1, as ECK 3 documents it.
ECK_SPEC = {
    "auth", "http", "image", "monitoring", "nodeSets", "podDisruptionBudget", "remoteClusters", "revisionHistoryLimit",
    "secureSettings", "serviceAccountName", "transport", "updateStrategy", "version", "volumeClaimDeletePolicy",
}  # fmt: skip
ECK_NODE_SET = {"config", "count", "name", "podTemplate", "volumeClaimTemplates"}


def resources() -> Iterator[Resource]:
    for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


RESOURCES = {(one["kind"], one["metadata"]["name"]): one for one in resources()}
ELASTICSEARCH = RESOURCES.pop(("Elasticsearch", "remembr"))
OURS = [RESOURCES["Deployment", name] for name in ("server", "worker")]


def check(resource: Resource) -> None:
    kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def container(deployment: Resource) -> Resource:
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(one)


def test_every_file_is_used() -> None:
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in FOLDER.iterdir()} == {*named, "kustomization.yaml"}


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=["-".join(name) for name in RESOURCES])
def test_each_is_what_kubernetes_takes(resource: Resource) -> None:
    check(resource)


def test_a_misspelt_field_would_be_found() -> None:
    wrong = {**OURS[0], "spec": {**OURS[0]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        check(wrong)


def test_elasticsearch_is_what_its_operator_takes_and_of_the_release_that_is_tested() -> None:
    spec = ELASTICSEARCH["spec"]
    assert ELASTICSEARCH["apiVersion"] == "elasticsearch.k8s.elastic.co/v1"
    assert set(spec) <= ECK_SPEC
    assert spec["version"] == VERSION
    for nodes in spec["nodeSets"]:
        assert set(nodes) <= ECK_NODE_SET
        template = nodes["podTemplate"]["spec"]
        # The operator gives the container its image.
        containers = [{"image": "elasticsearch", **one} for one in template["containers"]]
        check({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {**template, "containers": containers}})
        for claim in nodes["volumeClaimTemplates"]:
            check({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})


def test_every_setting_that_is_named_exists() -> None:
    text = "\n".join(path.read_text() for path in [*FOLDER.iterdir(), ROOT / "Dockerfile"])
    named = {name.lower() for name in re.findall(r"REMEMBR_([A-Z_]+)", text)}
    assert named
    assert named <= set(Settings.model_fields)


def test_what_is_set_is_fit_for_production(monkeypatch: pytest.MonkeyPatch) -> None:
    for deployment in OURS:
        given = dict(RESOURCES["ConfigMap", "remembr"]["data"])
        for one in container(deployment)["env"]:
            given[one["name"]] = one["value"] if "value" in one else secrets.token_hex(32)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        require_ready_for_production(Settings())


def test_servers_and_workers_are_given_the_same_keys_and_stores() -> None:
    server, worker = (
        {one["name"]: one["valueFrom"] for one in container(each)["env"] if "valueFrom" in one} for each in OURS
    )
    assert server == worker
    assert container(OURS[0])["envFrom"] == container(OURS[1])["envFrom"]
    assert container(OURS[0])["volumeMounts"] == container(OURS[1])["volumeMounts"]


def test_names_point_at_each_other() -> None:
    settings = RESOURCES["ConfigMap", "remembr"]["data"]
    name = ELASTICSEARCH["metadata"]["name"]
    assert settings["REMEMBR_ELASTICSEARCH_URL"] == f"https://{name}-es-http:9200"
    assert settings["REMEMBR_REDIS_URL"] == "redis://redis:6379/0"
    assert ("Service", "redis") in RESOURCES
    for deployment in OURS:
        named = {one["valueFrom"]["secretKeyRef"]["name"] for one in container(deployment)["env"] if "valueFrom" in one}
        assert named == {f"{name}-es-elastic-user", "remembr-keys"}
        volumes = {each["name"] for each in deployment["spec"]["template"]["spec"]["volumes"]}
        mounted = {each["name"]: each["mountPath"] for each in container(deployment)["volumeMounts"]}
        assert set(mounted) == volumes
        assert settings["REMEMBR_ELASTICSEARCH_CA_CERTS"].startswith(mounted["elasticsearch-ca"])
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert {name for of_kind, name in RESOURCES if of_kind == kind} == {"server", "worker"}


def test_probes_ask_what_is_answered() -> None:
    paths = {route.path for route in PROBES}
    server = container(OURS[0])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert server[probe]["httpGet"]["path"] in paths
        assert server[probe]["httpGet"]["port"] in {port["name"] for port in server["ports"]}
    assert server["ports"][0]["containerPort"] == Settings.model_fields["port"].default


def test_a_pod_has_time_to_drain_and_may_do_little() -> None:
    for deployment in OURS:
        pod = deployment["spec"]["template"]["spec"]
        drains = [int(one["value"]) for one in container(deployment)["env"] if one["name"] == "REMEMBR_DRAIN_S"]
        assert pod["terminationGracePeriodSeconds"] > sum(drains) + 10
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container(deployment)["securityContext"]["readOnlyRootFilesystem"] is True
        assert container(deployment)["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_image_runs_as_the_user_of_its_pods_and_holds_what_is_installed() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for deployment in OURS:
        context = deployment["spec"]["template"]["spec"]["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in text
    copied = set(re.findall(r"\S+", " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M))))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
