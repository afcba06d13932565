"""Accuracy on procedural faces over several seeds, as a record: `python -m benchmarks.accuracy`.

Runs `lmle run` once a seed (each seed draws other faces as well), and keeps balanced accuracy of the run and of its
baselines on the same test images, on the labels as annotated and on the clean ones.
"""

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import environment

RECORDS = Path(__file__).parent / "records"
SETTINGS = ("data.images=20000", "data.height=64", "data.width=64")


def main() -> None:
    """Run every seed and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workspace", type=Path, default=Path("workspace/accuracy"), help="a new one")
    parser.add_argument("--name", default="faces-20k", help="of the record")
    parser.add_argument("settings", nargs="*", help="further section.key=value")
    arguments = parser.parse_args()
    settings = [*SETTINGS, *arguments.settings]
    samples = [_sample(seed, settings, arguments.workspace) for seed in range(arguments.seeds)]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    directory = RECORDS / f"{today}-{arguments.name}"
    directory.mkdir(parents=True, exist_ok=True)
    record = {
        "command": " ".join(["python", "-m", "benchmarks.accuracy", *sys.argv[1:]]),
        "settings": settings,
        "environment": environment(),
        "samples": samples,
    }
    (directory / "record.json").write_text(json.dumps(record, indent=1) + "\n")
    print(directory / "record.json")


def _sample(seed: int, settings: list[str], workspace: Path) -> dict[str, Any]:
    command = [str(Path(sys.executable).parent / "lmle"), "run", "--seed", str(seed), "--workspace", str(workspace)]
    for setting in settings:
        command += ["--set", setting]
    started, begun = time.time(), time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - begun
    path = max(workspace.glob("runs/*/summary.json"), key=lambda path: path.stat().st_mtime)
    if path.stat().st_mtime < started:
        raise SystemExit(f"{workspace}: seed {seed} was done already; its time is not known: use a new workspace")
    newest = json.loads(path.read_text())
    timings = json.loads((workspace / "runs" / newest["run"] / "timings.json").read_text())
    return {
        "seed": seed,
        "run": newest["run"],
        "test_images": newest["test"]["images"],
        "seconds": round(seconds, 1),
        "stage_seconds": {f"{entry['stage']} {entry['key'][:8]}": entry["seconds"] for entry in timings},
        "least_spread": min(round_["spread"]["least"] for round_ in newest["rounds"][1:]),
        "annotated": _accuracies(newest["test"], newest["baselines"]),
        "clean": _accuracies(newest["test_clean"], newest["baselines_clean"]),
        "intervals": {"lmle": newest["test"]["interval"], **{k: v["interval"] for k, v in newest["gains"].items()}},
    }


def _accuracies(run: dict[str, Any], baselines: dict[str, Any]) -> dict[str, dict[str, float]]:
    names = ("mean_balanced_accuracy", "mean_total_accuracy", "mean_tpr", "mean_tnr")
    return {method: {name: scores[name] for name in names} for method, scores in {"lmle": run, **baselines}.items()}


if __name__ == "__main__":
    main()
