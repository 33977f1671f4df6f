"""The files for several machines: well formed, and each name is one that another file has."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.cluster.yml").read_text())
MANIFESTS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
}
KINDS = {
    "ConfigMap": ("v1", {"data"}),
    "Deployment": ("apps/v1", {"spec"}),
    "Service": ("v1", {"spec"}),
    "HorizontalPodAutoscaler": ("autoscaling/v2", {"spec"}),
    "PodDisruptionBudget": ("policy/v1", {"spec"}),
}
LABELS = {"app.kubernetes.io/name": "selvedge"}
POD = MANIFESTS["deployment"]["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]


def is_setting(name: str) -> bool:
    known = name == "SELVEDGE_MILVUS_TOKEN"
    return known or name.removeprefix("SELVEDGE_").lower() in Settings.model_fields


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_has_the_shape_of_its_kind(name: str) -> None:
    manifest = MANIFESTS[name]
    version, parts = KINDS[manifest["kind"]]
    assert manifest["apiVersion"] == version
    assert set(manifest) == {"apiVersion", "kind", "metadata", *parts}
    assert manifest["metadata"]["name"] == "selvedge"


def test_everything_selects_the_pods_of_the_deployment() -> None:
    selectors = [
        MANIFESTS["deployment"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["disruption"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["service"]["spec"]["selector"],
    ]
    assert POD["metadata"]["labels"] == LABELS
    assert selectors == [LABELS] * 3
    target = MANIFESTS["autoscaling"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "selvedge")


def test_pods_are_told_only_settings_that_exist() -> None:
    names = [*MANIFESTS["config"]["data"], *(each["name"] for each in CONTAINER["env"])]
    assert [name for name in names if not is_setting(name)] == []
    assert all(isinstance(value, str) for value in MANIFESTS["config"]["data"].values())


def test_the_service_reaches_the_port_that_the_pods_listen_on() -> None:
    [port] = MANIFESTS["service"]["spec"]["ports"]
    [listening] = CONTAINER["ports"]
    assert port["targetPort"] == listening["name"]
    assert str(listening["containerPort"]) == MANIFESTS["config"]["data"]["SELVEDGE_PORT"]
    probes = [CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {"http"}
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]


def test_a_pod_runs_without_root_on_a_read_only_disk() -> None:
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    said = CONTAINER["securityContext"]
    assert (said["readOnlyRootFilesystem"], said["capabilities"]["drop"]) == (True, ["ALL"])
    assert {each["name"] for each in POD["spec"]["volumes"]} == {
        each["name"] for each in CONTAINER["volumeMounts"]
    }


def test_the_composed_cluster_hangs_together() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert service["cap_drop"] == ["ALL"]
        for name in service.get("environment", {}):
            assert not name.startswith("SELVEDGE_") or is_setting(name)
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or source.startswith(("./deploy", "${INDEX"))
            assert not source.startswith("./deploy") or (ROOT / source).exists()
    published = [name for name, service in services.items() if service.get("ports")]
    assert published == ["balancer"]


def test_the_balancer_asks_the_replicas_by_their_name_and_port() -> None:
    text = (ROOT / "deploy/cluster/nginx.conf").read_text()
    command: list[Any] = COMPOSE["services"]["search"]["command"]
    assert f"server search:{command[-1]} resolve" in text
    assert text.count("{") == text.count("}")
    assert COMPOSE["services"]["balancer"]["ports"][0].endswith(":8080")
    assert "listen 8080;" in text
