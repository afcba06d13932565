from dataclasses import replace
from pathlib import Path

from lmle_core.artefact import Reference, sources_of
from lmle_core.config import Config, parse_config
from tasks import clusters, data, evaluate, features, index, prior, publish, synth
from tasks.cache import StagePolicy
from tasks.pipeline import CODE, Stages
from tasks.train import quintuplets, train
from tasks.workers import Workers

STORE = Reference("ingest", "store", "pixels")


def stages(config: Config, workspace: Path) -> Stages:
    return Stages(config, workspace, Workers(config.engines))


def test_a_run_is_named_by_configuration_data_and_weights_and_by_no_path(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "copy.pt").write_bytes(b"weights")
    (tmp_path / "b.pt").write_bytes(b"other weights")

    def name(weights: str, store: Reference = STORE, **sections: object) -> str:
        prior = {"kind": "torchvision", "weights": str(tmp_path / weights)}
        return stages(parse_config({"prior": prior, "trunk": {"kind": "resnet18"}, **sections}), tmp_path).name(store)

    assert name("a.pt") == name("copy.pt", engines={"threads": 1})
    assert name("a.pt", data={"directory": "here"}) == name("a.pt", data={"directory": "elsewhere"})
    appended = ({"directory": "here", "more": folders} for folders in (["a"], ["b", "c"]))
    assert len({name("a.pt", data=data) for data in appended}) == 1
    others = [name("b.pt"), name("a.pt", seed=1), name("a.pt", Reference("ingest", "store", "other pixels"))]
    assert len({name("a.pt"), *others}) == 4


def test_the_rule_of_promotion_changes_no_run_and_another_start_does(tmp_path: Path) -> None:
    plain = stages(Config(), tmp_path)
    assert stages(parse_config({"promotion": {"least_gain": 1}}), tmp_path).name(STORE) == plain.name(STORE)
    starts = [Reference("champion", str(tmp_path), digest) for digest in ("weights", "other weights")]
    warm = [replace(plain, start=start) for start in starts]
    assert [each.prior(STORE) for each in warm] == starts
    assert len({each.name(STORE) for each in (plain, *warm)}) == 3
    policy = train.cache_policy
    assert isinstance(policy, StagePolicy)
    keys = {
        policy.key({"store": STORE, "clusters": STORE, "previous": start, "number": 1}) for start in (STORE, *starts)
    }
    assert len(keys) == 3


def test_pre_training_sees_the_margin_of_the_classifier_and_the_baseline_does_not() -> None:
    plain, other = Config(), parse_config({"loss": {"bce_margin": 2.5}})
    assert other.view(*prior.VIEW).loss.bce_margin == 2.5
    assert plain.view(*prior.BCE_VIEW).digest() == other.view(*prior.BCE_VIEW).digest()


def test_a_change_of_any_stage_s_code_is_another_run() -> None:
    of_a_run = set().union(*map(sources_of, CODE))
    stages_of_a_run = (
        synth.synth, data.ingest_images, data.digits, prior.prior, prior.bce, prior.pca, features.features,
        clusters.clusters, quintuplets, train, evaluate.health, index.index, evaluate.evaluation, publish.publish_run,
    )  # fmt: skip
    for each in stages_of_a_run:
        assert isinstance(each.cache_policy, StagePolicy)
        assert set(sources_of(each.cache_policy.code)) <= of_a_run, each.name
