"""The reader on docs/index-files.md, which imports nothing of ours, decides as lmle does."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lmle_core.index import CentroidIndex

PAGE = Path(__file__).parents[1] / "docs" / "index-files.md"
NAMES = ("Bald", "Wearing_Hat", "Age")
type Reader = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def scores() -> Reader:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert set(re.search(r"^import (.*)$", code, re.MULTILINE)[1].split(", ")) == {"json", "faiss", "numpy as np"}  # type: ignore[index]
    assert code.count("import") == 1
    namespace: dict[str, Reader] = {}
    exec(compile(code, str(PAGE), "exec"), namespace)
    return namespace["scores"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("k", [0, 1, 3, 50])
def test_it_decides_as_lmle(scores: Reader, tmp_path: Path, k: int, squared: bool, weight: float, biased: bool) -> None:
    """Attribute 0 lacks class 1, attribute 1 has one class only."""
    rng = np.random.default_rng(k)
    classes = np.array([0, 0, 2, 2, 2, 1, 1, 1, 0, 0, 1, 1, 2, 2], np.int8)
    shares = rng.dirichlet([2, 2, 2], size=3).astype(np.float32)
    index = CentroidIndex(
        attributes=NAMES, n_classes=3, centroids=unit(rng.normal(size=(14, 8))), classes=classes,
        offsets=np.array([0, 5, 8, 14]), neighbours=k, squared=squared, rule_weight=2.0,
        odds_weight=weight, shares=shares if weight else None, biases=np.log(shares) if biased else None,
    )  # fmt: skip
    index.save(tmp_path)
    embeddings = unit(rng.normal(size=(20, 3, 8)))
    logits = rng.normal(size=(20, 3, 3)).astype(np.float32)
    labels, margins = index.classify(embeddings, logits)
    for image in range(20):
        for a, name in enumerate(NAMES):
            found = scores(tmp_path, name, embeddings[image, a], logits[image, a])
            assert found.argmax() == labels[image, a]
            best = np.sort(found)
            assert best[-1] - best[-2] == pytest.approx(margins[image, a], abs=1e-4)
