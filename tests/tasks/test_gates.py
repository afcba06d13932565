import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from lmle_core.artefact import Reference
from lmle_core.celeba.annotations import read_celeba
from lmle_core.config import Config, ConfigError, Data, load_config
from lmle_core.health import Collapse
from lmle_core.ingest import create_store, publish
from lmle_core.shards import ingest_shard
from lmle_core.store import TEST, TRAIN, VALID, ImageStore
from lmle_core.training_profile import TrainingProfile
from tasks.gates import (
    QualityGateError,
    UnusableDataError,
    check_champion,
    check_data,
    check_health,
    check_quality,
    check_settings,
    few_iterations,
)
from tests.lmle_core.celeba.small import write_small
from tests.lmle_core.conftest import make_store
from tests.tasks.tiny_run import make_run


def reference(directory: Path) -> Reference:
    return Reference("stage", str(directory), "digest")


def store(directory: Path, edit: str, old: str, new: str) -> Reference:
    source = write_small(directory / "celeba")
    table = source / edit
    table.write_text(table.read_text().replace(old, new))
    partial = directory / "store.zarr"
    partial.mkdir()
    data = Data(height=16, width=16, shard=16)
    for shard in range(create_store(partial, read_celeba(source), data)):
        ingest_shard(partial, shard)
    publish(partial)
    return reference(partial)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableDataError, match=r"no image in the split 'test'; list_eval_partition needs 0"):
        check_data(store(tmp_path, "list_eval_partition.txt", " 2\n", " 0\n"), Config())


def test_a_split_that_can_judge_nothing_is_refused(tmp_path: Path) -> None:
    source = store(tmp_path, "list_attr_celeba.txt", " 1", " 1")
    images = ImageStore.open(source.path)
    labels = images.labels.copy()
    labels[images.rows(VALID)] = 0
    zarr.open_group(source.path, mode="r+", use_consolidated=False)["attributes"][:] = labels  # type: ignore[index]
    with pytest.raises(UnusableDataError, match=r"every attribute has a single class among .* the split 'valid'"):
        check_data(source, Config())


def test_an_attribute_with_one_class_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnusableDataError, match="attributes with a single class among"):
        check_data(store(tmp_path, "list_attr_celeba.txt", "-1", " 1"), Config())


def test_a_collapse_stops_the_run_and_names_attributes_and_remedies(tmp_path: Path) -> None:
    loss = {"header_1": 0.1, "header_2": 0.2, "header_3": 0.5}
    health = {"round": 2, "spreads": {"Bald": 0.03, "Male": 0.9}, "loss": loss, "equal_distances": 0.8}
    (tmp_path / "health.json").write_text(json.dumps(health))
    with pytest.raises(Collapse, match=r"collapsed: .* found Bald 0.030\. The loss is 0.800, against g1 \+ g2 \+ g3"):
        check_health(reference(tmp_path), Config())
    check_health(reference(tmp_path), load_config(None, ["evaluation.least_spread=0.02"]))


def test_a_hinge_that_teaches_nothing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lmle")
    health = {"round": 2, "spreads": {"Bald": 0.9}, "equal_distances": 0.8}
    for header, told in ((0.5, 0), (0.71, 1)):
        health["loss"] = {"bce": 0.3, "header_1": 0.1, "header_3": header}
        (tmp_path / "health.json").write_text(json.dumps(health))
        check_health(reference(tmp_path), Config())
        assert len([line for line in caplog.messages if "round 2 ends with the hinge at 0.810" in line]) == told
    (tmp_path / "health.json").write_text(json.dumps({**health, "equal_distances": None, "loss": {"class": 3.0}}))
    check_health(reference(tmp_path), Config())


def test_the_quality_gate_refuses_what_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"test": {"mean_balanced_accuracy": 0.81}}))
    check_quality(reference(tmp_path), load_config(None, ["evaluation.least_balanced_accuracy=0.8"]))
    with pytest.raises(QualityGateError, match=r"is 0\.8100, and .* asks for 0\.9000; the run is kept in"):
        check_quality(reference(tmp_path), load_config(None, ["evaluation.least_balanced_accuracy=0.9"]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trunk.kind=resnet81", r"trunk.kind 'resnet81' is not known; did you mean 'resnet18'"),
        ("trunk.kind=vit_b_16", r"trunk.kind 'vit_b_16' does not take images of 64 x 64"),
        ("engines.device=gpu", r"engines.device 'gpu': expected 'auto'"),
        ("data={source = 'digits', more = ['m']}", r"data.more: there is no folder to append to with data.source"),
        ("prior.weights=absent.pt", r"prior.weights: absent.pt: no such file"),
    ],
)
def test_settings_that_cannot_be_had_are_refused_before_any_stage(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_settings(load_config(None, [setting]))
    check_settings(load_config(None, ["trunk.kind=resnet18"]))


def test_settings_that_do_not_fit_the_data_are_refused_before_training(tmp_path: Path) -> None:
    data = store(tmp_path, "list_attr_celeba.txt", " 1", " 1")
    check_data(data, Config())
    with pytest.raises(ConfigError, match="'class-equal' serves one attribute, and there are 3"):
        check_data(data, load_config(None, ["training.sampler=class-equal"]))
    with pytest.raises(ConfigError, match=r"training.batch 8 is too small"):
        check_data(data, load_config(None, ["training.sampler=minority", "training.batch=8", "training.minority=6"]))
    table = ["quintuplets.mode=table"]
    for balanced in (table, ["training.sampler=minority", "training.minority=2"]):
        check_data(data, load_config(None, balanced))
        with pytest.raises(ConfigError, match="would balance the classes twice"):
            check_data(data, load_config(None, [*balanced, "training.costs=inverse"]))


def test_it_is_training_that_a_batch_must_serve(tmp_path: Path) -> None:
    data = store(tmp_path, "list_attr_celeba.txt", " 1", " 1")
    images = ImageStore.open(data.path)
    labels, rows = images.labels.copy(), images.rows(TEST)
    labels[rows], labels[rows[0]] = 0, 1  # of the rarer class, the test split has one image
    zarr.open_group(data.path, mode="r+", use_consolidated=False)["attributes"][:] = labels  # type: ignore[index]
    with pytest.raises(ConfigError, match=r"training.batch 8 is too small"):
        check_data(data, load_config(None, ["training.sampler=minority", "training.batch=8", "training.minority=6"]))


def test_a_champion_that_does_not_fit_the_images_is_refused_with_what_differs(tmp_path: Path) -> None:
    images = reference(make_store(tmp_path, images=20).path)
    champion = reference(make_run(tmp_path / "run"))
    model = tmp_path / "run" / "model" / "manifest.json"
    manifest = json.loads(model.read_text())

    def refused(message: str, *settings: str, **known: object) -> None:
        model.write_text(json.dumps({**manifest, **known}))
        with pytest.raises(ConfigError, match=message):
            check_champion(champion, images, load_config(None, list(settings)), starts=True)

    size = {"height": 24, "width": 24, "crop": "centre"}
    names = ["Male", "Smiling", "Eyeglasses"]
    refused(r"has the images 32 x 32, crop 'centre', this retraining 24 x 24, crop 'centre': configure")
    refused(r"the images 24 x 24, crop 'centre', this retraining 24 x 24, crop 'none'", "data.crop=none", data=size)
    refused(r"has the attributes Bald, Wearing_Hat, this retraining Male, Smiling, Eyeglasses", data=size)
    trunk = r"the trunk six-layer of width 4, this retraining six-layer of width 8"
    refused(trunk, "trunk.width=8", data=size, attributes=names)
    model.write_text(json.dumps({**manifest, "data": size, "attributes": names}))
    check_champion(champion, images, load_config(None, ["trunk.width=8"]), starts=False)
    check_champion(champion, images, load_config(None, ["trunk.width=4"]), starts=True)
    zarr.open_group(images.path, mode="r+", use_consolidated=False)["split"][:2] = [TEST, TRAIN]  # type: ignore[index]
    learnt = ImageStore.open(images.path).filenames[:2]
    counts = np.zeros((3, 2), np.int64)
    TrainingProfile(tuple(names), np.array(learnt), counts, np.zeros((3, 8)), counts[:, 0], counts[:, 0], 2).save(
        model.parent
    )
    refused(
        rf"the champion was trained on 1 \({learnt[0]}\); give them 0", "trunk.width=4", data=size, attributes=names
    )
    check_champion(champion, images, load_config(None, []), starts=False)


def test_few_images_for_the_batch_are_warned_of_with_what_to_change(tmp_path: Path) -> None:
    images = reference(make_store(tmp_path, images=20).path)
    warning = few_iterations(images, Config())
    assert warning.startswith("20 training images, iterations in a round: 1, too few")
    assert "training.batch (256)" in warning
    assert few_iterations(images, load_config(None, ["training.batch=8", "training.epochs=8"])) == ""
