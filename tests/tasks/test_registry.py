"""The registered model: once a run, with its aliases, and usable from nothing but the registry."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from lmle_core.classifier import Classifier, files_digest
from lmle_core.config import Config, Engines
from tasks.mlflow_store import TrackingError, connect, own_store
from tasks.models import fetch_model, known_runs, run_of, runs_with_alias
from tasks.registry import PROMOTED_AT, REQUIREMENTS, requirements
from tasks.tracking import Tracker
from tests.tasks.tiny_run import ATTRIBUTES, DATA, jpeg, make_run

LOAD = """
import json, sys
import mlflow
import pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
images = [open(path, "rb").read() for path in sys.argv[3:]]
found = model.predict(pd.DataFrame({"image": images}))
errors = []
for wrong in (pd.DataFrame({"picture": images}), pd.DataFrame({"image": [images[0], b"no image"]})):
    try:
        model.predict(wrong)
    except Exception as error:
        errors.append(str(error))
import lmle_core
print(json.dumps({
    "found": found.to_dict("list"), "types": [str(kind) for kind in found.dtypes], "errors": errors,
    "code": lmle_core.__file__, "example": model.predict(model.input_example).shape,
    "inputs": [str(column.type) for column in model.metadata.signature.inputs],
    "outputs": model.metadata.signature.outputs.input_names(),
}))
"""


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def started(mlflow_workspace: Path) -> Callable[[str], Tracker]:
    def start(digest: str) -> Tracker:
        config = Config()
        tracker = Tracker.open(Engines(experiment="registry"), mlflow_workspace, digest, "demo")
        tracker.start(config, DATA, code="c" * 32)
        return tracker

    return start


@pytest.mark.slow
def test_each_run_has_one_version_the_first_is_champion_and_the_newest_challenger(
    started: Callable[[str], Tracker], run_directory: Path
) -> None:
    versions = []
    for digest in ("1" * 32, "2" * 32, "1" * 32, "2" * 32):  # each told twice
        tracker = started(digest)
        versions.append(tracker.register(run_directory, "faces", ATTRIBUTES, jpeg(0)))
        tracker._client.set_terminated(tracker.run_id)
    assert [version.version for version in versions] == [1, 2, 1, 2]
    assert versions[0] == versions[2]
    client = tracker._client
    assert dict(client.get_registered_model("faces").aliases) == {"champion": 1, "challenger": 2}
    models = client.search_logged_models([tracker._experiment_id], filter_string="tags.`lmle.run` LIKE '%'")
    assert sorted(model.model_id for model in models) == sorted({version.model_id for version in versions})
    assert [output.model_id for output in client.get_run(tracker.run_id).outputs.model_outputs] == [
        versions[1].model_id
    ]


@pytest.mark.slow
def test_the_registered_model_classifies_image_files_with_its_own_code(
    started: Callable[[str], Tracker], run_directory: Path, mlflow_workspace: Path, tmp_path: Path
) -> None:
    tracker = started("3" * 32)
    tracker.register(run_directory, "loaded", ATTRIBUTES, jpeg(0))
    files = []
    for seed in range(3):
        files.append(tmp_path / f"{seed}.jpg")
        files[-1].write_bytes(jpeg(seed))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, own_store(mlflow_workspace), "models:/loaded@champion", *map(str, files)],
        cwd=tmp_path,
        env={**os.environ, "DO_NOT_TRACK": "true", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    expected = Classifier.load(run_directory).classify([file.read_bytes() for file in files])
    for a, attribute in enumerate(ATTRIBUTES):
        assert said["found"][attribute] == expected.labels[:, a].tolist()
        assert said["found"][f"{attribute}_margin"] == pytest.approx(expected.margins[:, a].tolist(), rel=1e-5)
    assert said["types"] == ["int32", "float32"] * 2
    assert said["inputs"] == ["DataType.string"] * 2  # base64, or bytes as above; a path
    assert said["outputs"] == ["Bald", "Bald_margin", "Wearing_Hat", "Wearing_Hat_margin"]
    assert said["example"] == [1, 4]
    assert "one of the columns image and path, found neither" in said["errors"][0]
    assert "row 1: not an image" in said["errors"][1]
    assert not Path(said["code"]).is_relative_to(Path(__file__).parents[2])
    for _ in range(2):  # fetched, and found
        fetched = fetch_model("models:/loaded@champion", own_store(mlflow_workspace), tmp_path / "workspace")
        assert files_digest(fetched) == files_digest(run_directory)
    assert run_of("models:/loaded@champion", own_store(mlflow_workspace)) == "3" * 32
    with pytest.raises(TrackingError, match="models:/loaded@nobody: no such model"):
        fetch_model("models:/loaded@nobody", own_store(mlflow_workspace), tmp_path / "workspace")


@pytest.mark.slow
def test_the_runs_of_champion_and_challenger_are_known_and_no_others(
    started: Callable[[str], Tracker], run_directory: Path, mlflow_workspace: Path
) -> None:
    names = {digest * 32 for digest in "567"}
    for name in sorted(names):
        started(name).register(run_directory, "aliases", ATTRIBUTES, jpeg(0))
    assert runs_with_alias(own_store(mlflow_workspace)) & names == {"5" * 32, "7" * 32}
    assert known_runs(own_store(mlflow_workspace)) >= names


@pytest.mark.slow
def test_a_first_champion_whose_registration_was_killed_is_one_when_it_is_registered_again(
    started: Callable[[str], Tracker], run_directory: Path, mlflow_workspace: Path
) -> None:
    tracker, client = started("8" * 32), connect(own_store(mlflow_workspace))
    tracker.register(run_directory, "killed", ATTRIBUTES, jpeg(0))
    client.delete_model_version_tag("killed", "1", PROMOTED_AT)
    tracker.register(run_directory, "killed", ATTRIBUTES, jpeg(0))
    assert PROMOTED_AT in client.get_model_version("killed", "1").tags
    started("9" * 32).register(run_directory, "killed", ATTRIBUTES, jpeg(0))
    assert PROMOTED_AT not in client.get_model_version("killed", "2").tags


def test_a_run_without_a_model_is_refused(started: Callable[[str], Tracker], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(TrackingError, match=r"expected a folder index/ in it; finish the run before registering it"):
        started("4" * 32).register(tmp_path, "none", ATTRIBUTES, jpeg(0))


def test_the_requirements_are_what_the_classifier_imports() -> None:
    """Follows the imports of what the pyfunc imports through lmle_core to the packages that it does not bring along."""
    distributions = packages_distributions()
    pending, seen, packages = (
        ["lmle_core.classifier", "lmle_core.payload"],
        set(),
        {"pandas"},
    )  # pandas: by the pyfunc itself
    while pending:
        name = pending.pop()
        if not name or name in seen or (source := source_of(name)) is None:
            continue
        seen.add(name)
        for other in imports_of(source):
            top = other.partition(".")[0]
            if top == "lmle_core":
                pending += [other, other.rpartition(".")[0]]
            elif top in distributions and top not in sys.stdlib_module_names:
                packages.add(distributions[top][0])
    assert len(seen) > 10
    assert sorted(packages) == sorted(REQUIREMENTS)
    assert all("==" in line for line in requirements())


def source_of(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a member of a module
        return None
    return Path(spec.origin).read_text() if spec and spec.origin else None


def imports_of(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found
