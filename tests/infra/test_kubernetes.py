"""The Kubernetes files: manifests pass the API's schemas, and the pods' variables are those of the services."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infra import service

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"
VERSION = "1.34"


def _documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def test_our_manifests_are_valid() -> None:
    found = _documents("lmle.yaml")
    assert [each["kind"] for each in found] == ["PersistentVolumeClaim"] * 2 + ["Deployment", "Service"]
    for each in found:
        kubernetes_validate.validate(each, VERSION, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**found[2], "spec": {"replica": 1}}, VERSION, strict=True)


def test_the_dask_cluster_holds_valid_pods_and_a_valid_service() -> None:
    (cluster,) = _documents("dask.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    spec, name = cluster["spec"], cluster["metadata"]["name"]
    for part in ("scheduler", "worker"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": spec[part]["spec"]}
        kubernetes_validate.validate(pod, VERSION, strict=True)
    front = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec["scheduler"]["service"]}
    kubernetes_validate.validate(front, VERSION, strict=True)
    assert front["spec"]["selector"] == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    assert spec["scheduler"]["spec"]["containers"][0]["args"] == list(service.command("dask")[2:])
    assert spec["worker"]["spec"]["containers"][0]["args"] == list(service.command("dask-workers")[2:])


def test_the_worker_runs_what_the_service_runs() -> None:
    (values,) = _documents("prefect-worker.yaml")
    worker = values["worker"]
    pod = {each["name"]: each["value"] for each in worker["extraEnvVars"]}
    pod["PREFECT_API_URL"] = worker["selfHostedServerApiConfig"]["apiUrl"]
    pod["PREFECT_WORKER_QUERY_SECONDS"] = str(worker["config"]["queryInterval"])
    arguments, variables = service.process("worker", pod)
    del variables["PATH"]  # the image's own is right
    assert pod == variables
    chosen = (worker["config"]["workPool"], worker["config"]["name"])
    assert arguments == ("-m", "prefect", "worker", "start", "--pool", chosen[0], "--name", chosen[1])
    assert worker["initContainer"]["extraContainers"][0]["command"][-1] == pod["PREFECT_API_URL"]


def test_addresses_lead_to_what_the_files_make() -> None:
    (values,) = _documents("prefect-worker.yaml")
    (server,) = _documents("prefect-server.yaml")
    (cluster,) = _documents("dask.yaml")
    manifests = {(each["kind"], each["metadata"]["name"]): each for each in _documents("lmle.yaml")}
    pod = {each["name"]: each["value"] for each in values["worker"]["extraEnvVars"]}
    assert pod["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert manifests["Service", "mlflow"]["spec"]["ports"][0]["port"] == 5000
    assert pod["LMLE_DASK_ADDRESS"] == f"tcp://{cluster['metadata']['name']}-scheduler:8786"
    assert values["worker"]["selfHostedServerApiConfig"]["apiUrl"] == f"http://{server['fullnameOverride']}:4200/api"
    claims = [*values["worker"]["extraVolumes"], *cluster["spec"]["worker"]["spec"]["volumes"]]
    for volume in claims:
        assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in manifests


def test_no_secret_is_in_a_file() -> None:
    (server,) = _documents("prefect-server.yaml")
    assert server["secret"] == {"create": False, "name": "lmle-postgres"}
    (container,) = _documents("lmle.yaml")[2]["spec"]["template"]["spec"]["containers"]
    address = next(each for each in container["env"] if each["name"] == "LMLE_POSTGRES")
    assert address["valueFrom"] == {"secretKeyRef": {"name": "lmle-postgres", "key": "address"}}
