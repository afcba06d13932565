"""Two real processes train as one does: same batches, same losses, same network; and one that is killed is replaced."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from infra.processes import free_ports
from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config, parse_config
from lmle_core.distributed.job import Job, check_processes
from lmle_core.distributed.launch import carry_out
from lmle_core.distributed.ranks import JOB
from lmle_core.features import extract, load_encoder
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.metrics import score
from lmle_core.network import load_network
from lmle_core.sampling import make_sampler
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import mine_quintuplets, mining_subset
from tests.lmle_core.training.together import after_a_backward_pass

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
FIRST, LATER = 1e-5, 5e-3
"""Tolerances of the first loss, and of losses and embeddings after 13 iterations: sums are in another order."""
ACCURACY = 0.005
"""Tolerance of mean balanced accuracy (docs/distributed.md)."""
BFLOAT16 = 0.03
"""Tolerance where the trunk computes in bfloat16."""
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "prior": {},
    "centroid-margin": {"loss": {"kind": "centroid-margin"}},
    "softmax-ratio": {"loss": {"kind": "softmax-ratio"}},
    "hinge": {"loss": {"kind": "hinge"}, "training": {"sampler": "minority", "minority": 4, "costs": "none"}},
    "table": {"quintuplets": {"mode": "table", "redraw": 4}},
}


def configured(recipe: str, **engines: Any) -> Config:
    values: dict[str, dict[str, Any]] = {
        "trunk": {"width": 4},
        "prior": {"epochs": 4, "learning_rate": 2e-4},
        # Shares of 16 and 17. A small learning rate: Adam makes steps of it where a gradient is all rounding.
        "training": {"rounds": 2, "iterations": 13, "batch": 33, "dimensions": 8, "learning_rate": 2e-4},
        "quintuplets": {"redraw": 4},
        "cluster": {"size": 20},
        "engines": {"checkpoint": 4, "threads": 1, **engines},
    }
    for section, entries in RECIPES[recipe].items():
        values[section] = values.get(section, {}) | entries
    return parse_config(values)


@dataclass(frozen=True)
class Trained:
    """What one process has made, what two have, and what each of the two saw."""

    alone: Path
    together: Path
    ranks: tuple[dict[str, Any], dict[str, Any]]

    def curves(self, recipe: str) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        alone, together = (json.loads((at / recipe / "curves.json").read_text()) for at in (self.alone, self.together))
        return alone, together


def prepared(store: ImageStore, directory: Path) -> None:
    """A prior, its clusters, and quintuplets of the first round."""
    (directory / "prior").mkdir()
    job_of("prior", store, directory, directory).run(CPU, None)
    (directory / "features").mkdir()
    rows = store.rows(TRAIN)
    features = extract(load_encoder(directory / "prior", "trunk"), store, directory / "features").rows(rows)
    config, labels = configured("table"), store.labels[rows]
    found: Clusters = cluster(
        TorchBlocks(ArrayRows(features, labels)), config.cluster, attributes=store.attributes, n_classes=2, seed=0,
        round=1,
    )  # fmt: skip
    found.save(directory / "clusters")
    subset = mining_subset(len(rows), config, 1)
    mine_quintuplets(
        features[subset], labels[subset], found.assignment[subset], subset, config, (0, 6, 1), CPU
    ).save(directory / "quintuplets")  # fmt: skip


def job_of(recipe: str, store: ImageStore, start: Path, into: Path, **engines: Any) -> Job:
    config, directory = configured(recipe, **engines), into / recipe
    directory.mkdir(parents=True, exist_ok=True)
    if recipe == "prior":
        return Job(kind="prior", store=store.path, directory=directory, config=config)
    return Job(
        kind="round", store=store.path, directory=directory, config=config, number=1, clusters=start / "clusters",
        previous=start / "prior", quintuplets=start / "quintuplets" if recipe == "table" else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(faces_store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    alone, together = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("together")
    prepared(faces_store, alone)
    for recipe in RECIPES:
        if recipe != "prior":
            job_of(recipe, faces_store, alone, alone).run(CPU, None)
    jobs = [job_of(recipe, faces_store, alone, together).model_dump_json() for recipe in RECIPES]
    (together / "jobs.json").write_text(json.dumps(jobs))
    start(2, "tests.lmle_core.training.together", str(together))
    first, second = (json.loads((together / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    return Trained(alone, together, (first, second))


def start(processes: int, module: str, *words: str, job: str = "the test's") -> None:
    """Run a module in processes of an agent, as `launch` does, until all have ended well."""
    options = ["--standalone", f"--nproc-per-node={processes}", "-m", module, *words]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        JOB: job,
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "lmle_core.distributed.agent", *options],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_see_the_losses_of_one(recipe: str, trained: Trained) -> None:
    alone, together = trained.curves(recipe)
    assert [point["iteration"] for point in together] == [point["iteration"] for point in alone]
    assert together[0] == pytest.approx(alone[0], rel=FIRST, abs=FIRST)
    if recipe != "table":  # whose later quintuplets are others where two distances are nearly equal
        for one, two in zip(alone, together, strict=True):
            assert two == pytest.approx(one, rel=LATER, abs=LATER)


def test_gradients_and_batch_statistics_are_those_of_one(trained: Trained) -> None:
    alone = after_a_backward_pass()
    first, second = (torch.load(trained.together / f"backward-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys() == alone.keys()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        if name != "trunk.20.bias":  # before a normalisation: its gradient is rounding alone
            assert (first[name] - value).float().norm() <= 1e-4 * value.float().norm()


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "table"])
def test_their_network_decides_as_that_of_one(recipe: str, trained: Trained, faces_store: ImageStore) -> None:
    images = torch.from_numpy(faces_store.block(0, faces_store.n))
    with torch.inference_mode():
        alone, together = (load_network(at / recipe)(images) for at in (trained.alone, trained.together))
    torch.testing.assert_close(together.embeddings, alone.embeddings, atol=LATER, rtol=0)
    decided = [network.logits.argmax(-1).numpy() for network in (alone, together)]
    assert (decided[0] == decided[1]).mean() > 0.99
    one, two = (score(faces_store.labels, each, faces_store.attributes, 2, bootstrap=0) for each in decided)
    assert two.mean_balanced_accuracy == pytest.approx(one.mean_balanced_accuracy, abs=ACCURACY)


def test_both_end_with_the_same_bits(trained: Trained) -> None:
    first, second = trained.ranks
    assert set(first) == set(RECIPES)
    assert {name: seen["network"] for name, seen in first.items()} == {
        name: seen["network"] for name, seen in second.items()
    }


@pytest.mark.parametrize("recipe", ["softmax-ratio", "hinge"])
def test_shares_make_up_the_balanced_batch_of_one(recipe: str, trained: Trained, faces_store: ImageStore) -> None:
    training = configured(recipe).training
    labels = faces_store.labels[faces_store.rows(TRAIN)]
    sampler = make_sampler(training.sampler, labels, training.batch, training.minority, (0, 5, 1))
    first, second = (seen[recipe]["read"] for seen in trained.ranks)
    assert len(first) == len(second) == 13
    for iteration, (one, two) in enumerate(zip(first, second, strict=True)):
        assert [*one, *two] == sampler(iteration).tolist()
        assert (len(one), len(two)) == (16, 17)
        if recipe == "hinge":
            counts = np.stack([(labels[[*one, *two]] == c).sum(0) for c in (0, 1)])
            assert counts.min() >= 4


def test_a_killed_process_is_started_again_and_nothing_is_lost(
    trained: Trained, faces_store: ImageStore, tmp_path: Path
) -> None:
    said: list[int] = []
    killed: list[psutil.Process] = []

    def progress(done: int, total: int) -> None:
        said.append(done)
        if done == 11 and not killed:
            killed.append(process_of_rank(1))
            killed[0].send_signal(signal.SIGKILL)

    carry_out(job_of("softmax-ratio", faces_store, trained.alone, tmp_path, processes=2), progress)
    assert said[:2] == [1, 11] and said[2:] in ([11, 13], [13])  # on from the checkpoint at 8, or at 12
    assert same_files(tmp_path / "softmax-ratio", trained.together / "softmax-ratio")


@contextmanager
def lent_node(meeting: str) -> Iterator[subprocess.Popen[str]]:
    """A node that `lmle join` lends to whoever meets there; however it ends, what it has started ends too."""
    code = f"from lmle_core.distributed.launch import join; join({meeting!r}, 2, 1, print)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    lent = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield lent
    finally:
        family = psutil.Process(lent.pid).children(recursive=True)
        lent.kill()
        lent.communicate()
        _, left = psutil.wait_procs(family, 60)
    assert not left


def test_two_nodes_train_as_two_processes(
    trained: Trained, faces_store: ImageStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    meeting = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
    with lent_node(meeting) as lent:
        carry_out(job_of("centroid-margin", faces_store, trained.alone, tmp_path, nodes=2, rendezvous=meeting))
        assert lent.stdout is not None
        said = [lent.stdout.readline() for _ in range(2)]
    assert said == [f"waiting for a training at {meeting}\n", "a training is done\n"]
    assert capfd.readouterr().err == ""
    assert same_files(tmp_path / "centroid-margin", trained.together / "centroid-margin")


def test_a_node_says_that_the_one_of_the_run_is_gone_without_a_stack_of_cpp(
    trained: Trained, faces_store: ImageStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    killed: list[psutil.Process] = []

    def progress(done: int, total: int) -> None:
        if not killed:
            own = [each for each in psutil.Process().children() if "lmle_core.distributed.agent" in each.cmdline()]
            killed.extend(own)
            own[0].kill()

    meeting = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
    with lent_node(meeting) as lent:
        with pytest.raises(RuntimeError, match="their agent ended with -9"):
            job = job_of("centroid-margin", faces_store, trained.alone, tmp_path, nodes=2, rendezvous=meeting)
            carry_out(job, progress)
        assert lent.stdout is not None
        said = [lent.stdout.readline() for _ in range(2)]
    assert said[1].startswith("the nodes did not meet: ")
    err = capfd.readouterr().err
    assert "frame #" not in err and "failed to shutdown" not in err


@pytest.mark.gpu
def test_on_gpus_gradients_and_batch_statistics_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32: bfloat16 makes gradients of the difference between two orders of a sum."""
    monkeypatch.setattr("lmle_core.network.has_bfloat16", lambda _: False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    start(2, "tests.lmle_core.training.together", str(tmp_path), "cuda")
    alone = after_a_backward_pass(torch.device("cuda"))
    first, second = (torch.load(tmp_path / f"backward-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys() == alone.keys()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        if name != "trunk.20.bias":
            assert (first[name] - value).float().norm() <= 1e-3 * value.float().norm(), name


@pytest.mark.gpu
def test_a_process_of_the_agent_trains_on_its_gpu(faces_store: ImageStore, tmp_path: Path) -> None:
    alone, started = (job_of("prior", faces_store, tmp_path, tmp_path / name) for name in ("alone", "started"))
    alone.run(torch.device("cuda"), None)
    (tmp_path / "job.json").write_text(started.model_dump_json())
    start(1, "lmle_core.distributed.worker", job=str(tmp_path / "job.json"))
    one, other = (json.loads((job.directory / "curves.json").read_text()) for job in (alone, started))
    for first, second in zip(one, other, strict=True):
        assert second == pytest.approx(first, rel=BFLOAT16)


def test_more_processes_than_can_share_are_refused() -> None:
    with pytest.raises(ValueError, match=r"engines.processes 40 on engines.nodes 1 share a batch of 33 images"):
        check_processes(configured("prior", processes=40))


def process_of_rank(rank: int) -> psutil.Process:
    """Of the training that this process has started."""
    return next(
        process
        for process in psutil.Process().children(recursive=True)
        if process.environ().get("RANK") == str(rank)
    )  # fmt: skip


def same_files(one: Path, other: Path) -> bool:
    names = ("model.safetensors", "curves.json", "optimiser.pt")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
