"""The model behind `mlflow models serve` under load, against the classifier in process: rate and latency."""

import base64
import http.client
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import numpy as np
import torch

from benchmarks.record import Json
from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.classifier import Classifier
from lmle_core.config import Config
from lmle_core.faces import write_images
from lmle_core.index import CentroidIndex
from lmle_core.network import NetworkSpec, build_network, save_network

FACES = 32
LOADS = ((1, 1), (4, 1), (16, 1), (4, 16))
"""Clients that ask at the same time, and images in each request."""
ROUNDS, REQUESTS = 3, 64
"""Requests of a round, of all clients together."""
CENTROIDS = 10
NOTE = (
    "Every client sends the next request when it has its answer, on one connection; the clients share the cores with "
    "the server, which has one process and OMP_NUM_THREADS=1. In process: `Classifier.classify` of as many images a "
    "call, in one thread, in turn with the server. The network and its centroids are not trained, which takes as long."
)


def measure_serving(config: Config, folder: Path) -> Json:
    """Ask a server with each load in turn.

    Args:
        config: geometry and network.
        folder: for the model; made anew.

    Returns:
        As JSON: `loads`, each with `clients`, `images`, and of each round the `wall` seconds and the `seconds` of
        every request; `in_process`, the seconds of every call by the images in it; `load_average` of the machine at
        the end, over 1, 5 and 15 minutes; `note`.
    """
    from benchmarks.model_server import model_server  # the only benchmark that needs MLflow
    from tasks.registry import save_pyfunc

    shutil.rmtree(folder, ignore_errors=True)
    run = _make_run(folder / "run", config)
    write_images(folder / "faces", range(FACES), config.seed)
    faces = [file.read_bytes() for file in sorted((folder / "faces").rglob("*.jpg"))]
    save_pyfunc(folder / "served", run, ATTRIBUTES, faces[0])
    classifier = Classifier.load(run)
    torch.set_num_threads(1)
    loads = [{"clients": clients, "images": images, "wall": [], "seconds": []} for clients, images in LOADS]
    in_process: dict[str, list[float]] = {str(images): [] for _, images in LOADS}
    with model_server(str(folder / "served"), folder / "log", {"OMP_NUM_THREADS": "1"}) as url:
        _compare(classifier, faces, url)
        for _ in range(ROUNDS):
            for load in loads:
                ask_together(url, faces, load)
            for images, seconds in in_process.items():
                for start in range(0, REQUESTS * int(images), int(images)):
                    begun = time.perf_counter()
                    classifier.classify([faces[i % FACES] for i in range(start, start + int(images))])
                    seconds.append(time.perf_counter() - begun)
    shutil.rmtree(folder)
    others = os.getloadavg()
    return {"images": FACES, "loads": loads, "in_process": in_process, "load_average": others, "note": NOTE}


def serving_table(record: Json) -> list[str]:
    """The record as a table: a row a load."""
    header = ["clients", "images a request", "images per second", "latency, median", "95 %", "99 %"]
    header += ["images per second in process", "share of it", "n"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for load in record["loads"]:
        seconds = [second for each in load["seconds"] for second in each]
        rates = [len(each) * load["images"] / wall for each, wall in zip(load["seconds"], load["wall"], strict=True)]
        alone = load["images"] / median(record["in_process"][str(load["images"])])
        cells = [
            f"{load['clients']}", f"{load['images']}", f"{median(rates):.3g} ({min(rates):.3g} to {max(rates):.3g})",
            *(f"{1000 * np.percentile(seconds, q):.3g} ms" for q in (50, 95, 99)),
            f"{alone:.3g}", f"{median(rates) / alone:.3g}", f"{len(seconds)}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    load = f"The machine's load average was {record['load_average'][0]:.0f}, this and all other work included."
    return [*lines, "", f"{record['note']} {load}"]


def _make_run(directory: Path, config: Config) -> Path:
    """A run's directory with an untrained network of the configured size and random centroids."""
    model = directory / "model"
    model.mkdir(parents=True)
    dimensions = config.training.dimensions
    save_network(build_network(NetworkSpec("six-layer", config.trunk.width, len(ATTRIBUTES), 2, dimensions), 0), model)
    data = {"height": config.data.height, "width": config.data.width, "crop": config.data.crop}
    (model / "manifest.json").write_text(json.dumps({"format": 1, "attributes": ATTRIBUTES, "data": data}))
    centroids = np.random.default_rng(0).normal(size=(len(ATTRIBUTES) * CENTROIDS, dimensions)).astype(np.float32)
    CentroidIndex(
        attributes=ATTRIBUTES,
        n_classes=2,
        centroids=centroids / np.linalg.norm(centroids, axis=1, keepdims=True),
        classes=np.resize(np.repeat([0, 1], CENTROIDS // 2), len(centroids)).astype(np.int8),
        offsets=np.arange(0, len(centroids) + 1, CENTROIDS),
    ).save(directory / "index")
    return directory


def _body(images: list[bytes]) -> bytes:
    return json.dumps({"dataframe_records": [{"image": base64.b64encode(image).decode()} for image in images]}).encode()


def _connection(url: str) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=600))


def _ask(connection: http.client.HTTPConnection, body: bytes) -> list[dict[str, float]]:
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {answer}")
    return list(answer["predictions"])


def ask_together(url: str, faces: list[bytes], load: Json) -> None:
    """One round of a load: all clients at once; appends to its `wall` and `seconds`."""
    clients, images = load["clients"], load["images"]

    def client(number: int) -> Iterator[float]:
        bodies = [
            _body([faces[(request * images + i) % len(faces)] for i in range(images)])
            for request in range(number, REQUESTS, clients)
        ]
        with _connection(url) as connection:
            for body in bodies:
                begun = time.perf_counter()
                _ask(connection, body)
                yield time.perf_counter() - begun

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = [second for each in pool.map(lambda number: list(client(number)), range(clients)) for second in each]
    load["wall"].append(time.perf_counter() - begun)
    load["seconds"].append(seconds)


def _compare(classifier: Classifier, faces: list[bytes], url: str) -> None:
    """Raises AssertionError where the server answers otherwise than the classifier; also the warm-up of both."""
    expected = classifier.classify(faces)
    with _connection(url) as connection:
        answers = _ask(connection, _body(faces))
    for a, name in enumerate(classifier.attributes):
        assert [answer[name] for answer in answers] == expected.labels[:, a].tolist()
        margins = np.array([answer[f"{name}_margin"] for answer in answers])
        np.testing.assert_allclose(margins, expected.margins[:, a], atol=1e-4)
