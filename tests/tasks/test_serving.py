"""The model behind `mlflow models serve`, the real server: right answers under load, and refusals that harm nobody."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.model_server import model_server
from benchmarks.serving import REQUESTS, ask_together
from infra.prefect_server import healthy
from lmle_core.classifier import Classifier
from lmle_core.config import Config, Engines
from tasks.mlflow_store import own_store
from tasks.tracking import Tracker
from tests.lmle_core.test_payload import encoded, png_that_promises
from tests.tasks.tiny_run import ATTRIBUTES, DATA, jpeg, make_run

pytestmark = [pytest.mark.slow, pytest.mark.services]
FACES = 12


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Served:
    """A served model: its address, the folder that it may read, and what the classifier itself says of the faces."""

    url: str
    root: Path
    expected: list[dict[str, Any]]

    def ask(self, **payload: Any) -> tuple[int, Any]:
        """Status and answer."""
        return self.post(json.dumps(payload).encode())

    def post(self, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}/invocations", body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, json.load(response)["predictions"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["message"]


@pytest.fixture(scope="module")
def served(mlflow_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    run = make_run(tmp_path_factory.mktemp("run"))
    tracker = Tracker.open(Engines(experiment="serving"), mlflow_workspace, "5" * 32, "demo")
    tracker.start(Config(), DATA, code="c" * 32)
    tracker.register(run, "served", ATTRIBUTES, jpeg(0))
    root = tmp_path_factory.mktemp("images") / "served"
    root.mkdir()
    (root.parent / "secret.jpg").write_bytes(jpeg(0))
    (root / "link.jpg").symlink_to("../secret.jpg")
    for seed in range(FACES):
        (root / f"{seed}.jpg").write_bytes(jpeg(seed))
    classifier = Classifier.load(run)
    found = classifier.classify([jpeg(seed) for seed in range(FACES)])
    expected: list[dict[str, Any]] = [
        {
            key: value
            for a, name in enumerate(ATTRIBUTES)
            for key, value in ((name, int(labels[a])), (f"{name}_margin", pytest.approx(margins[a], abs=1e-5)))
        }
        for labels, margins in zip(found.labels, found.margins, strict=True)
    ]
    environment = {
        "MLFLOW_TRACKING_URI": own_store(mlflow_workspace),
        "LMLE_SERVE_ROOT": str(root),
        "OMP_NUM_THREADS": "1",
    }
    with model_server("models:/served@champion", root.parent / "log", environment) as url:
        yield Served(url, root, expected)


def test_every_form_of_a_request_gets_the_classifiers_answer(served: Served) -> None:
    faces = [sent(jpeg(seed)) for seed in range(FACES)]
    requests: list[dict[str, Any]] = [
        {"dataframe_records": [{"image": face} for face in faces]},
        {"dataframe_split": {"columns": ["image"], "data": [[face] for face in faces]}},
        {"instances": [{"image": face} for face in faces]},
        {"inputs": {"image": faces}},
        {"dataframe_records": [{"image": base64.encodebytes(jpeg(seed)).decode()} for seed in range(FACES)]},
        {"dataframe_records": [{"path": f"{seed}.jpg"} for seed in range(FACES)]},
        {"dataframe_records": [{"path": str(served.root / f"{seed}.jpg")} for seed in range(FACES)]},
    ]
    for request in requests:
        assert served.ask(**request) == (200, served.expected)
    table = "\n".join(["path", *(f"{seed}.jpg" for seed in range(FACES))])
    assert served.post(table.encode(), "text/csv") == (200, served.expected)


GOOD = {"image": sent(jpeg(1))}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"dataframe_records": [GOOD, {"image": sent(b"no image")}]}, "row 1: not an image of JPEG, PNG"),
    ({"dataframe_records": [{"image": ""}, GOOD]}, "row 0: the file is empty"),
    ({"dataframe_records": [GOOD, {"image": GOOD["image"][:-7]}]}, "row 1: truncated or damaged base64"),
    ({"dataframe_records": [GOOD, {"image": sent(jpeg(1)[:-200])}]}, "row 1: truncated or damaged JPEG"),
    ({"dataframe_records": [{"image": sent(png_that_promises(60_000, 60_000))}]}, "row 0: more than 25,000,000 pixels"),
    ({"dataframe_records": [{"image": sent(png_that_promises(5001, 5000))}]}, "row 0: 5000 x 5001 pixels are more"),
    ({"dataframe_records": [{"image": sent(encoded("TIFF"))}]}, "row 0: not an image of"),
    ({"dataframe_records": [{"image": None}, GOOD]}, "row 0: expected an image file in base64"),
    ({"dataframe_records": [{"picture": GOOD["image"]}]}, "one of the columns image and path, found neither"),
    ({"dataframe_records": [{**GOOD, "path": "1.jpg"}]}, "one of the columns image and path, found image and path"),
    ({"dataframe_records": [{"path": "1.jpg"}] * 1025}, "at most 1024 rows, found 1025"),
    ({"dataframe_records": [{"path": "1.jpg"}, {"path": "../secret.jpg"}]}, "row 1: the path leads outside"),
    ({"dataframe_records": [{"path": "/etc/passwd"}]}, "row 0: the path leads outside"),
    ({"dataframe_records": [{"path": "link.jpg"}]}, "row 0: the path leads outside"),
    ({"dataframe_records": [{"path": "no.jpg"}]}, "row 0: cannot be read: No such file"),
    ({"dataframe_records": []}, "found neither"),
    ({"rows": []}, "exactly one of the input fields"),
]


def test_bad_rows_are_named_and_harm_no_other_request(served: Served) -> None:
    """Eight clients at once, good and bad requests in turn: each gets its own answer, and the server stays up."""
    asked: list[tuple[dict[str, Any], int | str]] = []
    for number in range(2 * len(REFUSED)):
        face = number % FACES
        asked += [({"dataframe_records": [{"image": sent(jpeg(face))}]}, face), REFUSED[number // 2]]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda each: served.ask(**each[0]), asked))
    for (_, wanted), (status, answer) in zip(asked, answers, strict=True):
        if isinstance(wanted, int):
            assert (status, answer) == (200, [served.expected[wanted]])
        else:
            assert status == 400
            assert wanted in answer
            assert str(served.root) not in answer
    assert served.post(b"{")[0] == 400
    assert healthy(f"{served.url}/ping")


def test_the_benchmark_times_every_request(served: Served) -> None:
    load: dict[str, Any] = {"clients": 4, "images": 2, "wall": [], "seconds": []}
    ask_together(served.url, [jpeg(seed) for seed in range(FACES)], load)
    assert [len(seconds) for seconds in load["seconds"]] == [REQUESTS]
    assert all(0 < second <= load["wall"][0] for second in load["seconds"][0])
    with pytest.raises(RuntimeError, match=r"status 400.*row 0: not an image"):
        ask_together(served.url, [b"no image"], load)
