from pathlib import Path

from lmle_core.artefact import Reference
from lmle_core.config import Config, parse_config
from tasks.pipeline import Stages
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
    others = [name("b.pt"), name("a.pt", seed=1), name("a.pt", Reference("ingest", "store", "other pixels"))]
    assert len({name("a.pt"), *others}) == 4
