"""The story of a model that is retrained: a first champion, a worse challenger, a better one, and back again."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from distributed import LocalCluster

from lmle_core.artefact import Reference
from lmle_core.celeba.layout import DataError
from lmle_core.config import Config, ConfigError, load_config
from lmle_core.faces.files import partition, write_annotations, write_images
from lmle_core.frozen_test import FrozenTest
from tasks.champions import Champions, RollbackError, Version
from tasks.pipeline import Stages
from tests.conftest import Ended

if TYPE_CHECKING:
    from flows.lmle import Trained

pytestmark = [pytest.mark.slow, pytest.mark.services]

IMAGES, NEW = 500, 60
HELD_OUT = (0.1, 0.4)
TINY = (
    'data.attributes=["Male", "Wearing_Lipstick"]', "data.height=32", "data.width=32", "data.shard=128",
    "trunk.width=8", "cluster.size=150", "training.rounds=1", "training.batch=32", "training.dimensions=8",
    "index.clusters_per_class=[1]", "index.neighbours=[0]", "index.calibrate=false", "evaluation.bootstrap=200",
    "evaluation.pca=false", "evaluation.bce=false", "evaluation.least_spread=0", "engines.threads=1",
)  # fmt: skip
POOR = ("prior.epochs=0.1", "training.iterations=1")
WORSE = (*POOR, "seed=1")
BETTER = ("promotion.warm_start=true", "training.epochs=10")


@dataclass
class Model:
    """A model that is retrained in one workspace, by the flow itself, on a folder of faces."""

    workspace: Path
    scheduler: str
    data: Path

    def config(self, *settings: str) -> Config:
        own = (f'engines.workspace="{self.workspace}"', f"engines.dask_address={self.scheduler}")
        return load_config(None, [*TINY, *settings, *own])

    def retrain(self, *settings: str) -> dict[str, str]:
        from flows.retrain import retrain

        return retrain(self.config(*settings), self.data)

    @property
    def champions(self) -> Champions:
        return Champions.open(self.config().engines, self.workspace)

    @property
    def aliases(self) -> dict[str, int]:
        found = self.champions.client.get_registered_model("lmle").aliases
        return {name: int(number) for name, number in found.items()}

    def versions(self) -> list[Version]:
        found = self.champions.client.search_model_versions("name = 'lmle'")
        return [self.champions.version(number) for number in sorted(int(each.version) for each in found)]

    def run_of(self, number: int) -> Any:
        return self.champions.client.get_run(self.champions.version(number).run_id)


def write_faces(data: Path, images: int) -> None:
    """The first `IMAGES` are split for good; what comes after them is for training."""
    write_annotations(data, images, 0, 0.0, HELD_OUT)
    splits = [*partition(IMAGES, HELD_OUT), *[0] * (images - IMAGES)]
    lines = (f"{number:06}.jpg {split}\n" for number, split in enumerate(splits, 1))
    (data / "list_eval_partition.txt").write_text("".join(lines))
    write_images(data, range(images), 0)


@pytest.fixture(scope="module")
def model(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """An empty workspace, a folder of faces, and Dask workers that are threads of this process."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        folder = tmp_path_factory.mktemp("retrained")
        found = Model(folder / "workspace", cluster.scheduler_address, folder / "celeba")
        found.data.mkdir()
        write_faces(found.data, IMAGES)
        yield found


def said_by_prefect(key: str) -> str:
    from prefect.artifacts import Artifact

    found: Any = Artifact.get(key)
    assert found is not None
    return str(found.data)


def test_a_model_is_retrained(model: Model, lmle: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """One story, since each part needs the champion that the one before has left."""
    from flows.lmle import train

    where = ("--workspace", model.workspace)
    assert "model 'lmle' has no champion yet" in lmle("champions", *where).out
    assert lmle("rollback", *where).code == 2

    first = model.retrain(*POOR)
    assert first["decision"] == "first"
    assert model.aliases == {"champion": 1, "challenger": 1}
    registered = model.champions.client.get_registered_model("lmle").tags
    test = FrozenTest.of(
        f"{number:06}.jpg" for number in range(1, IMAGES + 1) if partition(IMAGES, HELD_OUT)[number - 1] == 2
    )
    assert registered["lmle.test_images"] == test.digest == model.run_of(1).data.tags["lmle.test_images"]
    stored = json.loads((Path(first["run"]) / "summary.json").read_text())["data"]["digest"]
    record = model.run_of(1)
    assert record.data.tags["lmle.data"] == stored == record.inputs.dataset_inputs[0].dataset.digest
    assert model.versions()[0].tags["lmle.data"] == stored

    again = model.retrain(*POOR)
    assert again == {
        **first,
        "decision": "unchanged",
        "reason": "data, configuration and code are those it was made of",
    }
    assert len(model.versions()) == 1
    assert lmle("rollback", *where).code == 2

    with pytest.raises(ConfigError, match=r"has the images 32 x 32, crop 'centre', this retraining 24 x 24"):
        model.retrain("data.height=24", "data.width=24")

    worse = model.retrain(*WORSE)
    assert worse["decision"] == "refused"
    assert "is not certain to be above promotion.least_gain 0" in worse["reason"]
    assert model.aliases == {"champion": 1, "challenger": 2}
    for tags in (model.versions()[1].tags, model.run_of(2).data.tags):
        assert (tags["lmle.promotion"], tags["lmle.promotion_reason"]) == ("refused", worse["reason"])
        assert (tags["lmle.judged_against"], tags["lmle.test_images"]) == ("1", test.digest)
    assert f"**Version 2 is not promoted: {worse['reason']}**" in said_by_prefect("promotion")
    assert "trained on these very images" in said_by_prefect("drift")
    shown = lmle("champions", *where).out.splitlines()
    assert len(shown) == 2 and shown[1].rstrip().endswith("champion")

    write_faces(model.data, IMAGES + NEW)
    better = model.retrain(*BETTER)
    assert better["decision"] == "promoted", better["reason"]
    assert model.aliases == {"champion": 3, "challenger": 3}
    assert {"promotion.json", "promotion.md", "drift.json", "drift.csv", "drift.md", "drift.png"} == {
        path.name for path in Path(better["files"]).iterdir()
    }
    verdict = json.loads((Path(better["files"]) / "promotion.json").read_text())
    assert verdict["gain"]["low"] > 0
    assert (verdict["images"], verdict["test_images"]) == (len(test.names), test.digest)
    drift = json.loads((Path(better["files"]) / "drift.json").read_text())
    assert (drift["new"], list(drift["attributes"])) == (NEW, ["Male", "Wearing_Lipstick"])
    files = {entry.path for entry in model.champions.client.list_artifacts(model.run_of(3).info.run_id, "retraining")}
    assert files >= {"retraining/promotion.json", "retraining/drift.png", "retraining/drift.csv"}
    assert f"{NEW} new images" in model.run_of(3).data.tags["lmle.drift"]
    assert not list((model.workspace / "stages" / "prior").glob("*/model.json"))[2:]  # the champion was the prior

    back = lmle("rollback", *where)
    assert (back.code, back.out) == (0, "models:/lmle@champion is version 1\n")
    back = lmle("rollback", *where)
    assert (back.code, back.out) == (0, "models:/lmle@champion was brought back before: version 1\n")
    assert model.aliases["champion"] == 1
    barred = model.retrain(*BETTER)
    assert (barred["decision"], barred["run"]) == ("refused", better["run"])
    assert "it was rolled back at" in barred["reason"]
    assert len(model.versions()) == 3
    assert lmle("rollback", "--to", 3, *where).code == 0
    assert model.aliases["champion"] == 3
    _, former, current = lmle("champions", *where).out.splitlines()
    assert "  rolled back 2" in former and current.rstrip().endswith("  champion")
    assert lmle("rollback", "--to", 2, *where).err.startswith("lmle: version 2 of 'lmle' never was champion")

    meanwhile = model.champions

    def train_while_somebody_goes_back(stages: Stages, store: Reference) -> "Trained":
        trained = train(stages, store)
        meanwhile.roll_back(1)
        return trained

    with monkeypatch.context() as patch:
        patch.setattr("flows.retrain.train", train_while_somebody_goes_back)
        judged = model.retrain(*WORSE)
        assert model.versions()[-1].tags["lmle.judged_against"] == "1"
        drift = json.loads((Path(judged["files"]) / "drift.json").read_text())
        assert drift["new"] == NEW  # by the champion that it was judged against; the one before has seen them
        assert lmle("rollback", "--to", 3, *where).code == 0
        with pytest.raises(RuntimeError, match="version 1 became champion while this challenger was trained from"):
            model.retrain(*POOR, "promotion.warm_start=true")

    model.champions.client.delete_registered_model_alias("lmle", "champion")
    with pytest.raises(RollbackError, match=r"\[1, 3\] were champion: `lmle rollback --model lmle --to VERSION`"):
        model.retrain(*POOR)
    assert "were champion: `lmle rollback --model lmle --to VERSION` brings one back" in lmle("rollback", *where).err
    assert lmle("rollback", "--to", 3, *where).code == 0
    assert model.aliases["champion"] == 3

    moved = (model.data / "list_eval_partition.txt").read_text().replace(f"{test.names[0]} 2", f"{test.names[0]} 0")
    (model.data / "list_eval_partition.txt").write_text(moved)
    with pytest.raises(DataError, match=rf"1 \({test.names[0]}\) are no test images any more"):
        model.retrain(*POOR)
