"""The report is one file that needs no other, and says what the summary says."""

import copy
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lmle_core.config import Config
from lmle_core.metrics import score
from lmle_core.report import write_report

NAMES = ["Bald", "Wearing_Hat", "<b>Odd</b> & name"]
VOID = {"meta", "img", "br", "link", "input", "hr"}


def made(classes: int = 2, clean: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=(200, 3)).astype(np.int8)
    labels[:, 0] = rng.random(200) < 0.1
    ours = np.where(rng.random(labels.shape) < 0.8, labels, 0)
    bce = np.where(rng.random(labels.shape) < 0.7, labels, 0)
    test = score(labels, ours, NAMES, classes, bootstrap=100).to_json()
    spread = {"mean": 0.6123, "least": 0.4}
    first = {"round": 0, "loss": None, "active_share": None, "spread": spread, "nmi": None}
    second = {"round": 1, "loss": {"class": 0.25}, "active_share": 0.5, "spread": spread, "nmi": 0.8765}
    cells = {"clusters": 24, "empty": 1, "inertia": 0.2, "validation": {"mean_balanced_accuracy": 0.7654}}
    return {
        "schema": 1,
        "run": "0123456789ab",
        "data": {
            "digest": "d" * 32,
            "images": 1_234,
            "split": {"train": 834, "valid": 200, "test": 200},
            "quarantined": 3,
            "attributes": NAMES,
        },
        "config": Config().model_dump(mode="json", exclude={"engines"}),
        "config_digest": "c" * 32,
        "code": "e" * 32,
        "rounds": [first | cells, second | cells],
        "index": {
            "neighbours": 0,
            "calibrated": True,
            "rule_weight": 1.5,
            "odds_weight": 0.1,
            "centroids": 24,
            "candidates": [
                {"clusters_per_class": number, "neighbours": k, "balanced_accuracy": 0.7 + 0.01 * number + 0.001 * k}
                for number, k in ((1, 0), (4, 0), (4, 3))
            ],
        },
        "test": test,
        "test_clean": test if clean else None,
        "baselines": {
            "bce": score(labels, bce, NAMES, classes, bootstrap=100).to_json(),
            "majority": score(labels, np.zeros_like(labels), NAMES, classes, bootstrap=0).to_json(),
        },
        "gains": {"bce": {"mean": 0.0123, "interval": [0.0045, 0.02]}},
    }


class Page(HTMLParser):
    """The page's text, its addresses, and whether every element that opens also closes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "figure.png")
    return tmp_path / "figure.png"


def test_the_report_is_complete_in_itself_and_says_what_the_summary_says(tmp_path: Path, figure: Path) -> None:
    summary = made()
    write_report(tmp_path / "report.html", summary, {"A <figure>": figure}, "lmle run --preset demo")
    page = Page(tmp_path / "report.html")
    assert [address[:22] for address in page.addresses] == ["data:image/png;base64,"]
    test, data = summary["test"], summary["data"]
    for said in (
        f"{100 * test['mean_balanced_accuracy']:.1f} %",
        " … ".join(f"{100 * end:.1f}" for end in test["interval"]),
        f"{100 * test['worst_five_balanced_accuracy']:.1f} %",
        f"{100 * test['attributes']['Bald']['tpr']:.1f}",
        f"{100 * summary['baselines']['bce']['mean_balanced_accuracy']:.1f}",
        "BCE at ½",
        "<b>Odd</b> & name",  # escaped in the source
        "A <figure>",
        "1,234 images",
        data["digest"],
        summary["config_digest"],
        "lmle run --preset demo",
        "six-layer",
        "0.612",
        "76.5",
        "0.876",
        "74.30",
    ):
        assert said in page.text, said
    assert "a bias of each class. Clusters and neighbours are chosen" in page.text
    assert "published" not in page.text  # names that are not CelebA's
    gained = summary["gains"]["bce"]["interval"]
    assert f"({100 * gained[0]:+.1f} … {100 * gained[1]:+.1f})".replace("-", "−") in page.text


def test_celebas_attributes_have_the_published_means_beside_them(tmp_path: Path) -> None:
    summary = made()
    for scores in (summary["test"], *summary["baselines"].values()):
        scores["attributes"] = dict(zip(("Bald", "Wearing_Hat", "Male"), scores["attributes"].values(), strict=True))
    summary["data"]["attributes"] = ["Bald", "Wearing_Hat", "Male"]
    write_report(tmp_path / "report.html", summary, {}, "lmle run")
    assert "LMLE-kNN, published" in Page(tmp_path / "report.html").text


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_absent_leaves_no_trace(tmp_path: Path, classes: int) -> None:
    summary = made(classes, clean=False)
    summary["baselines"] = {"pca": None}
    summary["index"] = {"neighbours": 3, "calibrated": False, "rule_weight": 1.0, "odds_weight": 0.0, "centroids": 6}
    del summary["gains"]
    summary["test"]["interval"] = None
    excluded = summary["test"]["attributes"]["Bald"]
    excluded |= {"balanced_accuracy": None, "interval": None, "recall": [0.5] + [None] * (classes - 1), "tpr": None}
    summary["test"]["excluded"] = ["Bald"]
    write_report(tmp_path / "report.html", summary, {}, "lmle run")
    text = Page(tmp_path / "report.html").text
    assert "Not counted" in text
    assert "the nearest 3 of an attribute" in text
    assert "None" not in text
    assert "nan" not in re.findall(r"[a-z]+", text)
    assert ("TPR" in text) == (classes == 2)


def test_the_same_summary_gives_the_same_bytes(tmp_path: Path, figure: Path) -> None:
    summary = made()
    before = copy.deepcopy(summary)
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, summary, {"Figure": figure}, "lmle run")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert summary == before


def test_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected schema 1, got 2"):
        write_report(tmp_path / "report.html", {"schema": 2}, {}, "lmle run")


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="install chromium to see the report rendered")
def test_a_browser_shows_it(tmp_path: Path, figure: Path) -> None:
    write_report(tmp_path / "report.html", made(), {"Figure": figure}, "lmle run")
    picture = tmp_path / "report.png"
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,2600",
         f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", (tmp_path / "report.html").as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )  # fmt: skip
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == (255, 0, 0)).all(axis=1).sum() == 40 * 30  # the figure, at its size
    assert (pixels == 255).all(axis=1).mean() > 0.5  # on white
