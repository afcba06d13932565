"""`python -m benchmarks`: what `lmle bench` does, on machines without Prefect, MLflow and Dask."""

import argparse
import sys
from pathlib import Path

from benchmarks.record import RECORDS
from benchmarks.scale import SCALES
from benchmarks.suite import MEMORY, NAMES, SERVING, choose_scale, run_suite, unknown_name


def main(arguments: list[str] | None = None) -> None:
    """Measure what is named, and write the records and the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "stages", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; none: all but {MEMORY} and {SERVING}"
    )
    parser.add_argument("--scale", choices=tuple(SCALES), help="default: full where there is a GPU, else small")
    parser.add_argument("--folder", type=Path, default=Path("workspace/bench"), help="for what is measured on")
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args(arguments)
    if wrong := unknown_name(given.stages):
        parser.error(wrong)
    words = sys.argv[1:] if arguments is None else arguments
    scale = choose_scale(given.scale)
    run_suite(given.stages, scale, given.folder / scale.name, given.records, ["python", "-m", "benchmarks", *words])


if __name__ == "__main__":
    main()
