"""The Kubernetes files: manifests and what the charts make of our values pass the API's schemas and those of Dask's
operator, and the pods' variables are those of the services.

The charts are taken from the folder that HELM_CHARTS names: `helm pull --untar` of prefect/prefect-server and
prefect/prefect-worker (docs/operations.md has their repository) fills it.
"""

import importlib.util
import os
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from infra import service, settings

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"
VERSION = "1.34"
CLUSTER_CRD = ("operator", "deployment", "helm", "dask-kubernetes-operator", "crds", "daskcluster.yaml")


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


def _closed(schema: Any) -> Any:
    """The schema, but that no object may have a property that it does not name."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    return found


def test_the_operator_knows_every_word_of_the_dask_cluster() -> None:
    found = importlib.util.find_spec("dask_kubernetes")
    assert found is not None and found.origin is not None
    file = Path(found.origin).parent.joinpath(*CLUSTER_CRD)
    definition = yaml.safe_load(file.read_text())
    (version,) = [each for each in definition["spec"]["versions"] if each["storage"]]
    (cluster,) = _documents("dask.yaml")
    assert cluster["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
    schema = _closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    jsonschema.validate(cluster["spec"], schema)
    wrong = deepcopy(cluster["spec"])
    wrong["worker"]["spec"]["containers"][0]["argz"] = []
    with pytest.raises(jsonschema.ValidationError, match="argz"):
        jsonschema.validate(wrong, schema)


def _rendered(chart: str) -> list[dict[str, Any]]:
    """What a chart makes of our values; helm holds these against the chart's own schema."""
    helm, charts = shutil.which("helm"), os.environ.get("HELM_CHARTS")
    if helm is None or charts is None:
        pytest.skip("needs helm, and HELM_CHARTS, a folder with Prefect's charts")
    done = subprocess.run(
        [helm, "template", chart, str(Path(charts) / chart), "--values", str(FOLDER / f"{chart}.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_prefects_server_is_of_the_version_that_asks_it() -> None:
    (server,) = _documents("prefect-server.yaml")
    lock = (FOLDER.parent / "requirements.lock").read_text()
    version, _, _ = server["global"]["prefect"]["image"]["prefectTag"].partition("-python")
    assert f"\nprefect=={version} " in lock


@pytest.mark.parametrize("chart", ["prefect-server", "prefect-worker"])
def test_the_charts_make_valid_manifests_of_our_values(chart: str) -> None:
    documents = _rendered(chart)
    for each in documents:
        kubernetes_validate.validate(each, VERSION, strict=True)
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    assert deployment["metadata"]["name"] == chart
    pod = deployment["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        variables = [each["name"] for each in container.get("env", [])]
        assert len(set(variables)) == len(variables)


def test_the_server_of_the_chart_is_the_one_that_the_worker_asks() -> None:
    documents = {each["kind"]: each for each in _rendered("prefect-server")}
    assert (documents["Service"]["metadata"]["name"], documents["Service"]["spec"]["ports"][0]["port"]) == (
        "prefect-server", 4200,
    )  # fmt: skip
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    secrets = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each]
    assert secrets == [{"name": "lmle-postgres", "key": "connection-string"}]


def test_the_worker_of_the_chart_takes_from_our_pool() -> None:
    (deployment,) = [each for each in _rendered("prefect-worker") if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    words = [*container.get("command", []), *container["args"]]
    assert words[words.index("--pool") + 1] == "lmle"
    assert words[words.index("--type") + 1] == "process"


def test_no_probe_asks_a_service_which_leads_to_pods_that_are_ready_alone() -> None:
    for document in _documents("lmle.yaml"):
        for container in document["spec"].get("template", {"spec": {"containers": []}})["spec"]["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert set(container[probe]["httpGet"]) == {"path", "port"}


def test_the_server_has_the_settings_of_our_own() -> None:
    """But for what the chart sets itself, and where logs go, since its pod's are the chart's."""
    (values,) = _documents("prefect-server.yaml")
    given = {each["name"]: each["value"] for each in values["global"]["prefect"]["env"]}
    ours = settings.server_environment(Path("/workspace"), {})
    kept = {"DO_NOT_TRACK", "PREFECT_HOME", *(name for name in ours if name.startswith("PREFECT_SERVER_"))}
    assert given == {
        name: ours[name] for name in kept - {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_SERVER_LOGGING_LEVEL"}
    }


def test_the_worker_runs_what_the_service_runs() -> None:
    (values,) = _documents("prefect-worker.yaml")
    worker = values["worker"]
    pod = {each["name"]: each["value"] for each in worker["extraEnvVars"]}
    pod["PREFECT_API_URL"] = worker["selfHostedServerApiConfig"]["apiUrl"]
    pod["PREFECT_WORKER_QUERY_SECONDS"] = str(worker["config"]["queryInterval"])
    arguments, variables = service.process("worker", pod)
    del variables["PATH"]  # the image's own is right
    assert pod.pop("LMLE_DATA").startswith("/workspace/")  # for `prefect deploy`
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
    volumes = [*values["worker"]["extraVolumes"], *cluster["spec"]["worker"]["spec"]["volumes"]]
    claims = [volume for volume in volumes if "persistentVolumeClaim" in volume]
    assert len(claims) == 2
    for volume in claims:
        assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in manifests


def test_no_secret_is_in_a_file() -> None:
    (server,) = _documents("prefect-server.yaml")
    assert server["secret"] == {"create": False, "name": "lmle-postgres"}
    (container,) = _documents("lmle.yaml")[2]["spec"]["template"]["spec"]["containers"]
    address = next(each for each in container["env"] if each["name"] == "LMLE_POSTGRES")
    assert address["valueFrom"] == {"secretKeyRef": {"name": "lmle-postgres", "key": "address"}}
