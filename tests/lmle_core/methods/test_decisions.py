"""Each rule against a slow loop or scikit-learn, and what all rules have in common."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from lmle_core.bootstrap import mean_balanced_accuracy
from lmle_core.calibration import calibrate
from lmle_core.config import Config, Index
from lmle_core.index_choice import build_index
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.methods import space_rules
from lmle_core.methods.decisions import RULES, Outputs, decide
from lmle_core.methods.logit_rules import best_cut
from lmle_core.methods.space_rules import NEIGHBOURS, PENALTIES
from lmle_core.odds import log_odds
from tests.lmle_core.methods.arrays import outputs, shares_of, unit

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
CONFIG = Config(index=Index(clusters_per_class=(1, 2), neighbours=(0, 3)))
Splits = tuple[Outputs, Outputs, Outputs]


def splits(classes: int, device: str = "cpu") -> Splits:
    on = torch.device(device)
    first, second, third = (replace(outputs(seed, n, classes), device=on) for seed, n in ((0, 500), (1, 200), (2, 150)))
    return first, second, third


def scores_of(name: str, found: Splits) -> tuple[np.ndarray, np.ndarray]:
    return decide(name, *found, shares_of(found[0]), CONFIG)


def accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    decided = scores.argmax(-1)
    return float(np.mean([balanced_accuracy_score(labels[:, a], decided[:, a]) for a in range(labels.shape[1])]))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", RULES)
def test_every_rule_beats_the_majority_and_does_not_look_at_the_test_labels(name: str, classes: int) -> None:
    found = splits(classes)
    valid, test = scores_of(name, found)
    assert (valid.shape, test.shape) == ((200, 3, classes), (150, 3, classes))
    assert valid.dtype == test.dtype == np.float32
    assert accuracy(found[2].labels, test) > 1 / classes + 0.1
    blind = replace(found[2], labels=np.zeros_like(found[2].labels))
    np.testing.assert_array_equal(scores_of(name, (found[0], found[1], blind))[1], test)


@pytest.mark.parametrize("name", RULES)
def test_a_class_that_training_never_showed_is_never_chosen(name: str) -> None:
    train, valid, test = splits(4)
    train = replace(train, labels=train.labels % 2 * 2)  # classes 0 and 2 alone
    valid = replace(valid, labels=valid.labels % 2 * 2)
    for scores in scores_of(name, (train, valid, test)):
        if name != "half":
            assert set(np.unique(scores.argmax(-1))) <= {0, 2}
        assert not np.isnan(scores).any()


@pytest.mark.parametrize("classes", [2, 4])
def test_half_and_prior_are_the_thresholds_of_the_baselines(classes: int) -> None:
    found = splits(classes)
    shares = shares_of(found[0])
    half, prior = (scores_of(name, found)[1] for name in ("half", "prior"))
    np.testing.assert_array_equal(half.argmax(-1), found[2].logits.argmax(-1))
    np.testing.assert_array_equal(prior.argmax(-1), log_odds(found[2].logits, shares).argmax(-1))
    np.testing.assert_allclose(np.exp(half.astype(np.float64)).sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(prior, half - np.log(shares), atol=1e-5)
    np.testing.assert_array_equal(scores_of("adjusted", found)[1], found[2].logits)


def test_the_optimum_of_two_classes_is_no_worse_than_any_threshold() -> None:
    found = splits(2)
    scores, _ = scores_of("optimum", found)
    labels = found[1].labels
    difference = found[1].logits[..., 1] - found[1].logits[..., 0]
    for a in range(3):
        rising = np.sort(difference[:, a])
        tried = [-np.inf, *(rising[:-1] + rising[1:]) / 2, np.inf]
        best = max(balanced_accuracy_score(labels[:, a], difference[:, a] > t) for t in tried)
        assert balanced_accuracy_score(labels[:, a], scores[:, a].argmax(-1)) == pytest.approx(best)
        moved = scores[:, a, 1] - scores[:, a, 0] - difference[:, a]
        assert np.ptp(moved) < 1e-5  # one threshold for all images


def test_the_optimum_of_more_classes_is_no_worse_than_the_prior_nor_than_a_step_of_any_class() -> None:
    found = splits(4)
    optimum, prior = (scores_of(name, found)[0] for name in ("optimum", "prior"))
    labels = found[1].labels
    for a in range(3):
        reached = balanced_accuracy_score(labels[:, a], optimum[:, a].argmax(-1))
        assert reached >= balanced_accuracy_score(labels[:, a], prior[:, a].argmax(-1))
        for c in range(4):
            for step in (-1.0, -0.3, -0.1, 0.1, 0.3, 1.0):
                moved = optimum[:, a].copy()
                moved[:, c] += step
                assert balanced_accuracy_score(labels[:, a], moved.argmax(-1)) < reached + 0.01


@given(
    values=st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0]), min_size=1, max_size=12), seed=st.integers(0, 1000)
)
@settings(max_examples=100)
def test_a_cut_is_the_best_of_all_and_in_the_middle_of_its_gap(values: list[float], seed: int) -> None:
    points = np.array(values, np.float32)
    gains = np.random.default_rng(seed).integers(-2, 3, len(values)).astype(np.float64)
    cut, total = best_cut(points, gains)
    sums = {t: gains[points < t].sum() for t in (-3.0, -1.5, -0.5, 0.25, 1.75, 4.0)}
    assert total == pytest.approx(gains[points < cut].sum()) == pytest.approx(max(sums.values()))
    below, above = points[points < cut], points[points >= cut]
    if len(below) and len(above):
        assert cut == (below.max() + above.min()) / 2


def test_neighbouring_floats_are_cut_between_them() -> None:
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    cut, total = best_cut(np.array([low, high], np.float32), np.array([1.0, -1.0]))
    assert (low < cut <= high, total) == (True, 1.0)


@pytest.mark.parametrize("name", ["optimum", "calibrated"])
def test_without_two_classes_in_validation_a_fitted_threshold_is_the_prior(name: str) -> None:
    train, valid, test = splits(2)
    found = train, replace(valid, labels=np.zeros_like(valid.labels)), test
    np.testing.assert_array_equal(scores_of(name, found)[1].argmax(-1), scores_of("prior", found)[1].argmax(-1))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_calibrated_rule_is_log_odds_that_explain_validation_best(classes: int, balanced: bool) -> None:
    train, valid, test = splits(classes)
    shares = shares_of(train)
    if balanced:  # as of a network whose training balances the classes
        valid, test = (replace(each, logits=each.logits - np.log(shares)) for each in (valid, test))
    on_valid, on_test = scores_of("calibrated", (train, valid, test))
    losses = {}
    for name in ("half", "prior"):
        base = scores_of(name, (train, valid, test))
        found = calibrate([base[0]], valid.labels)
        losses[name] = found.loss
        if found.loss == min(losses.values()):
            expected = found.weights[0] * base[1] + found.biases
    np.testing.assert_allclose(on_test, expected, atol=1e-5)
    assert calibrate([on_valid], valid.labels).weights[0] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("name", "space"), [("nearest-mean", "embeddings"), ("features-nearest-mean", "features")])
def test_the_nearest_mean_is_the_cosine_to_the_mean_of_each_class(name: str, space: str) -> None:
    found = splits(3)
    scores = scores_of(name, found)[1]
    for a in range(3):
        train, test = (
            each.embeddings[:, a] if space == "embeddings" else each.features for each in (found[0], found[2])
        )
        for c in range(3):
            mean = train[found[0].labels[:, a] == c].astype(np.float64).mean(0)
            np.testing.assert_allclose(scores[:, a, c], test @ mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_neighbours_vote_as_scikit_learns_and_the_best_on_validation_are_chosen(device: str) -> None:
    found = splits(2, device)
    shares = shares_of(found[0])
    scores, test_scores = scores_of("knn", found)
    tried = []
    for k in NEIGHBOURS:
        votes, test_votes = np.empty_like(scores), np.empty_like(test_scores)
        for a in range(3):
            spaces = [each.embeddings[:, a] for each in found]
            peer = KNeighborsClassifier(k, algorithm="brute").fit(spaces[0], found[0].labels[:, a])
            votes[:, a], test_votes[:, a] = peer.predict_proba(spaces[1]), peer.predict_proba(spaces[2])
        for divisor in (np.ones_like(shares), shares):
            tried.append((accuracy(found[1].labels, votes / divisor), test_votes / divisor))
    best = max(value for value, _ in tried)
    assert accuracy(found[1].labels, scores) == pytest.approx(best)
    expected = next(votes for value, votes in tried if value == best)
    assert np.isclose(test_scores, expected, atol=1e-5).mean() > 0.99  # a tie at rank k may go either way


@pytest.mark.gpu
def test_clusters_of_a_gpu_decide_as_those_of_the_cpu() -> None:
    alone, on_device = (scores_of("clusters", splits(3, device))[1].argmax(-1) for device in ("cpu", "cuda"))
    assert (alone == on_device).mean() > 0.98


@pytest.mark.parametrize(
    ("name", "space", "calibrated"),
    [
        ("clusters", "embeddings", False),
        ("calibrated-clusters", "embeddings", True),
        ("features-clusters", "features", False),
        ("features-calibrated-clusters", "features", True),
    ],
)
def test_clusters_decide_as_the_index_that_is_built_on_the_same_points(name: str, space: str, calibrated: bool) -> None:
    found = splits(3)
    rows = [ArrayRows(np.ascontiguousarray(each.points(space)), each.labels) for each in found]
    index = build_index(
        TorchBlocks(rows[0]),
        rows[1],
        CONFIG.index.model_copy(update={"calibrate": calibrated}),
        CONFIG.cluster,
        attributes=["a", "b", "c"],
        n_classes=3,
        seed=CONFIG.seed,
    )
    for scores, points in zip(scores_of(name, found), rows[1:], strict=True):
        np.testing.assert_array_equal(scores.argmax(-1), index.classify(points.array)[0])


@pytest.mark.parametrize("classes", [2, 3])
def test_the_support_vector_machine_is_scikit_learns_with_the_best_penalty(classes: int) -> None:
    found = splits(classes)
    tried = []
    for penalty in PENALTIES:
        decided = []
        for part in found[1:]:
            peers = [
                LinearSVC(C=penalty, dual="auto", max_iter=2000, random_state=0)
                .fit(found[0].features * np.float32(10**0.5), found[0].labels[:, a])
                .predict(part.features * np.float32(10**0.5))
                for a in range(3)
            ]
            decided.append(np.stack(peers, 1))
        value = np.mean([balanced_accuracy_score(found[1].labels[:, a], decided[0][:, a]) for a in range(3)])
        tried.append((value, decided[1]))
    expected = next(labels for value, labels in tried if value == max(each for each, _ in tried))
    np.testing.assert_array_equal(scores_of("svm", found)[1].argmax(-1), expected)


def test_of_many_training_images_evenly_spaced_ones_make_the_support_vector_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, valid, test = splits(2)
    monkeypatch.setattr(space_rules, "SVM_IMAGES", 100)
    spaced = np.linspace(0, 499, 100).round().astype(int)
    few = Outputs(*(each[spaced] for each in (train.logits, train.embeddings, train.features, train.labels)))
    shares = shares_of(train)
    for made, expected in zip(
        *(decide("svm", each, valid, test, shares, CONFIG) for each in (train, few)), strict=True
    ):
        np.testing.assert_array_equal(made, expected)


def test_mean_balanced_accuracy_is_scikit_learns() -> None:
    found = outputs(0, 100, 3)
    assert mean_balanced_accuracy(found.labels, found.logits) == pytest.approx(accuracy(found.labels, found.logits))


def test_wrong_input_is_refused() -> None:
    found = splits(2)
    with pytest.raises(ValueError, match="no decision rule 'thirds': expected one of half, prior"):
        decide("thirds", *found, shares_of(found[0]), CONFIG)
    with pytest.raises(ValueError, match=r"embeddings: expected \(200, 3, ·\) as the labels, found \(9, 3, 4\)"):
        replace(found[1], embeddings=unit(np.ones((9, 3, 4))))
