import json
from pathlib import Path

from benchmarks import full_run, readme


def test_the_readme_shows_the_newest_record() -> None:
    text = (readme.ROOT / "README.md").read_text()
    assert readme.rendered(text, json.loads(readme.newest_record().read_text())) == text


def test_the_full_run_works_small_and_without_a_gpu(tmp_path: Path) -> None:
    settings = [
        "engines.device=cpu", "data.height=16", "data.width=16", "data.shard=256", "trunk.kind=six-layer",
        "trunk.width=4", "prior.epochs=3", "training.epochs=2", "training.rounds=1", "training.batch=32",
        "training.dimensions=8", "index.clusters_per_class=[1]", "cluster.size=100",
        'data.attributes=["Male", "Smiling", "No_Beard"]', "evaluation.bootstrap=100",
    ]  # fmt: skip
    folder, records = tmp_path / "run", tmp_path / "records"
    path = full_run.main(["--images", "400", "--folder", str(folder), "--records", str(records), *settings])
    record = json.loads(path.read_text())
    assert set(record["seconds"]) >= {"faces", "ingest", "prior", "clusters 1", "train 1", "index", "evaluation"}
    assert 0.4 < record["mean_balanced_accuracy"] < 1
