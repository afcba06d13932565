"""Profiles against loops, indices against hand-made tables, and warnings only of what is no chance."""

import csv
import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lmle_core.drift import by_chance, compare, stability_index, z_of_shares
from lmle_core.health import spread
from lmle_core.index import CentroidIndex
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training_profile import TrainingProfile
from tests.lmle_core.conftest import ATTRIBUTES

OFFSETS = np.array([0, 2, 5, 9])


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def index() -> CentroidIndex:
    classes = np.array([0, 1, 0, 1, 1, 0, 0, 1, 1], np.int8)
    return CentroidIndex(ATTRIBUTES, 2, unit(np.random.default_rng(0), 9, 8), classes, OFFSETS)


def test_a_profile_counts_as_a_loop_does(faces_store: ImageStore, index: CentroidIndex, tmp_path: Path) -> None:
    rows = faces_store.rows(TRAIN)
    embedded = unit(np.random.default_rng(1), len(rows), 3, 8)
    found = TrainingProfile.of(faces_store, rows, np.array_split(embedded, 3), index)
    occupancy = [0] * 9
    for image in embedded:
        for a, (low, high) in enumerate(pairwise(OFFSETS)):
            distances = [float(np.linalg.norm(image[a].astype(float) - c)) for c in index.centroids[low:high]]
            occupancy[low + distances.index(min(distances))] += 1
    assert found.occupancy.tolist() == occupancy
    labels = faces_store.labels[rows]
    assert found.class_counts.tolist() == [[int((labels[:, a] == c).sum()) for c in (0, 1)] for a in range(3)]
    np.testing.assert_allclose(found.means, embedded.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.spreads, spread([embedded]), rtol=1e-5)
    assert found.names.tolist() == [faces_store.filenames[row] for row in rows]
    found.save(tmp_path)
    again = TrainingProfile.load(tmp_path)
    assert again is not None and again.attributes == ATTRIBUTES
    assert all(np.array_equal(getattr(again, name), value) for name, value in vars(found).items())
    with pytest.raises(ValueError, match=f"expected the embeddings of {len(rows)} images, got 1"):
        TrainingProfile.of(faces_store, rows, [embedded[:1]], index)


def test_a_model_without_a_profile_has_none(tmp_path: Path) -> None:
    assert TrainingProfile.load(tmp_path) is None


def test_the_index_and_z_of_tables_made_by_hand() -> None:
    known, new = np.array([80, 20]), np.array([60, 40])
    p, q = (80.5 / 101, 20.5 / 101), (60.5 / 101, 40.5 / 101)
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert stability_index(known, new) == pytest.approx(expected)
    assert stability_index(known, known) == 0
    assert math.isfinite(stability_index(np.array([5, 0]), np.array([0, 5])))
    pooled = math.sqrt(0.3 * 0.7 * (1 / 100 + 1 / 100))
    assert z_of_shares(0.2, 0.4, 100, 100) == pytest.approx(0.2 / pooled)
    assert z_of_shares(0, 0, 100, 50) == 0
    assert by_chance(1, 100, 100) == 0


def test_chance_alone_exceeds_its_bound_about_once_in_a_thousand() -> None:
    rng = np.random.default_rng(2)
    shares = np.array([0.3, 0.3, 0.2, 0.2])
    tables = [(rng.multinomial(2000, shares), rng.multinomial(400, shares)) for _ in range(4000)]
    bound = by_chance(4, 2000, 400)
    found = np.array([stability_index(*pair) for pair in tables])
    assert (found > bound).sum() <= 12  # 4 are expected
    assert (found > bound / 2).sum() > 12


def profile(n: int, rates: tuple[float, ...] = (0.5, 0.3, 0.1), moved: float = 0.0, people: int = 0) -> TrainingProfile:
    """Images with those rates; a share `moved` of them is near another centroid of the last attribute."""
    cells = [[n // 2, n - n // 2], [n // 3, n // 3, n - 2 * (n // 3)], [n - round(moved * n), round(moved * n), 0, 0]]
    return TrainingProfile(
        attributes=ATTRIBUTES,
        names=np.array([f"{i}.jpg" for i in range(n)]),
        class_counts=np.array([[n - round(rate * n), round(rate * n)] for rate in rates]),
        means=np.tile([0.6, 0.0], (3, 1)),
        occupancy=np.concatenate(cells),
        offsets=OFFSETS,
        people=people or n,
    )


def test_images_of_one_person_are_no_independent_ones() -> None:
    """Of 10 people with 20 images each, a half has what stays with a person: chance moves the rate far."""
    rng = np.random.default_rng(3)
    batches = [profile(200, (float(rng.integers(0, 2, 10).mean()), 0.3, 0.1), people=10) for _ in range(300)]
    assert sum(bool(compare(profile(5000), each, 0.2).warnings) for each in batches) <= 3
    assert compare(profile(5000), profile(200, (0.8, 0.3, 0.1)), 0.2).attributes[0].warnings == ("labels",)


def test_what_moved_is_warned_of_and_nothing_else(tmp_path: Path) -> None:
    found = compare(profile(5000), profile(1000, (0.5, 0.6, 0.1), moved=0.4), 0.2)
    male, smiling, glasses = found.attributes
    assert (male.warnings, smiling.warnings, glasses.warnings) == ((), ("labels",), ("clusters",))
    assert (smiling.known_rate, smiling.new_rate) == (0.3, 0.6)
    assert smiling.z > 15
    assert (male.mean_shift, male.known_spread) == (0, 0.8)
    largest, other = found.warnings
    assert largest.startswith("clusters of Eyeglasses (") and other.startswith("labels of Smiling (")
    assert json.loads(json.dumps(found.to_json()))["attributes"]["Smiling"]["warnings"] == ["labels"]
    assert [line.split(" | ")[0] for line in found.markdown().splitlines()[4:]] == [
        "| Eyeglasses",
        "| Smiling",
        "| Male",
    ]
    found.write_csv(tmp_path / "drift.csv")
    with (tmp_path / "drift.csv").open() as file:
        rows = {row["attribute"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(ATTRIBUTES)
    assert float(rows["Smiling"]["new_rate"]) == 0.6


def test_few_images_are_no_reason_for_a_warning() -> None:
    known, few = profile(5000), profile(10, (0.2, 0.3, 0.1))
    assert compare(known, few, 0.2).attributes[0].label_psi > 0.2
    assert compare(known, few, 0.2).warnings == ()
    assert "Over 0.2: nothing." in compare(known, few, 0.2).markdown()


def test_profiles_of_two_models_or_of_nothing_are_refused() -> None:
    known = profile(100)
    with pytest.raises(ValueError, match="two by the same model"):
        compare(known, replace(known, offsets=np.array([0, 3, 5, 9])), 0.2)
    with pytest.raises(ValueError, match="found 100 and 0"):
        compare(known, replace(known, names=known.names[:0]), 0.2)
