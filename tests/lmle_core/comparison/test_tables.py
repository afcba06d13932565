"""A comparison tells the story of its experiments: who is ahead, by how much, and on which attributes."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lmle_core.comparison import MEASURES, Comparison, Estimate, Key, Pair, mean_interval, paired_over_images
from lmle_core.comparison.experiment import Truth
from lmle_core.comparison.wording import images_each, percent, seeds_text, signed, signed_interval
from lmle_core.metrics import Scores
from tests.lmle_core.comparison.made import study

OURS, PLAIN, PRIOR = ("lmle", "clusters"), ("ce", "half"), ("ce", "prior")
RIGHT: dict[Key, float | np.ndarray] = {PLAIN: 0.7, OURS: 0.9, PRIOR: 0.9 - np.array([0, 0.02, 0.05, 0.1, 0.15, 0.25])}
TITLES = {"lmle": "LMLE", "ce": "Cross-entropy", "half": "at ½", "clusters": "cluster rule", "prior": "at the prior"}


@pytest.fixture(scope="module")
def compared() -> Comparison:
    return Comparison.of(*study(RIGHT), OURS, bootstrap=50, seed=1)


def test_each_estimate_is_of_the_experiments_of_its_key(compared: Comparison) -> None:
    experiments, truths = study(RIGHT)
    assert [each.key for each in compared.standings] == [OURS, PRIOR, PLAIN]
    for standing in compared.standings:
        own = [each for each in experiments if (each.method, each.rule) == standing.key]
        for name, measure in MEASURES.items():
            values = [measure(each.test, each.ranking) for each in own]
            assert standing.scores[name] == mean_interval([value for value in values if value is not None])
        assert standing.clean is not None
        assert standing.clean["mcc"] == mean_interval(
            [each.ranking_clean.mean_mcc or 0 for each in own if each.ranking_clean]
        )
        assert standing.seconds.mean == 11
        assert (standing.spread is None) == (standing.key[0] == "ce")
    assert (compared.seeds, compared.images, compared.classes) == ((0, 1, 2), (200, 200, 200), 2)
    assert len(truths) == 3


@pytest.mark.parametrize("clean", [False, True])
def test_the_difference_is_the_reference_minus_the_other(compared: Comparison, clean: bool) -> None:
    experiments, truths = study(RIGHT)
    found = {(each.method, each.rule, each.seed): each for each in experiments}
    standing = compared.of_key(PRIOR)
    difference = standing.difference_clean if clean else standing.difference
    assert difference is not None
    pairs = []
    for row, seed in enumerate((0, 1, 2)):
        ours, theirs = found[*OURS, seed], found[*PRIOR, seed]
        labels = truths[seed].clean_labels if clean else truths[seed].labels
        assert labels is not None
        pairs.append(Pair(labels, ours.predictions, theirs.predictions, truths[seed].groups))
        sides = [each.test_clean if clean else each.test for each in (ours, theirs)]
        for a in range(6):
            one, other = (side.attributes[a].balanced_accuracy if side else None for side in sides)
            assert difference.gains[row, a] == pytest.approx((one or 0) - (other or 0))
    expected = mean_interval(difference.gains.mean(axis=1).tolist())
    assert difference.over_seeds.mean == pytest.approx(expected.mean)
    assert difference.over_seeds.interval == pytest.approx(expected.interval)
    assert difference.over_images == paired_over_images(pairs, bootstrap=50, seed=1)
    assert difference.over_images.mean == pytest.approx(difference.over_seeds.mean)
    rates = np.mean([pair.labels.mean(axis=0) for pair in pairs], axis=0)
    np.testing.assert_allclose(difference.imbalance, np.abs(rates - 0.5), atol=1e-12)
    correlation = stats.spearmanr(difference.imbalance, difference.gains.mean(axis=0)).statistic
    assert difference.against_imbalance is not None
    assert difference.against_imbalance.mean == pytest.approx(correlation)
    assert correlation > 0.5  # made so: the rarer, the more is gained
    assert difference.wins.won + difference.wins.lost + difference.wins.even == 6


def test_the_reference_is_not_compared_with_itself(compared: Comparison) -> None:
    ours = compared.of_key(OURS)
    assert (ours.difference, ours.difference_clean) == (None, None)


def test_markdown_shows_what_there_is_and_no_more(compared: Comparison) -> None:
    text = compared.markdown(TITLES)
    scores, note, differences, caption = text.split("\n\n")
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in scores.splitlines()]
    assert head == [
        "method", "decided by", "balanced accuracy", "on clean labels", "total accuracy", "TPR", "TNR",
        "average precision", "ROC AUC", "MCC", "without near-random", "worst five",
    ]  # fmt: skip
    assert [row[:2] for row in rows] == [
        ["**LMLE**", "cluster rule"], ["Cross-entropy", "at the prior"], ["Cross-entropy", "at ½"],
    ]  # fmt: skip
    assert rows[1][2] == percent(compared.of_key(PRIOR).scores["balanced_accuracy"])
    assert "3 seeds" in note
    assert "200 test images each" in note
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in differences.splitlines()]
    assert len(head) == 8
    assert [row[1] for row in rows] == ["at the prior", "at ½"]
    difference = compared.of_key(PLAIN).difference
    assert difference is not None
    assert rows[1][2] == signed(difference.over_seeds)
    assert rows[1][3] == signed_interval(difference.over_images)
    assert rows[1][6].startswith("6 (")
    assert caption.startswith("LMLE by cluster rule minus each method")


def test_the_overview_has_each_method_by_its_own_rule(compared: Comparison) -> None:
    table, note = compared.overview(TITLES, {"lmle": "another", "ce": "half"}).split("\n\n")
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len(head) == 6
    assert [row[:2] for row in rows] == [["**LMLE**", "cluster rule"], ["Cross-entropy", "at ½"]]
    plain = compared.of_key(PLAIN)
    assert plain.difference is not None and plain.difference_clean is not None
    assert rows[1][2] == percent(plain.scores["balanced_accuracy"])
    assert rows[1][4:] == [signed(plain.difference.over_seeds), signed(plain.difference_clean.over_seeds)]
    assert (rows[0][4:], note[-8:]) == (["", ""], "3 seeds.")


def test_digits_have_no_columns_of_faces() -> None:
    right: dict[Key, float | np.ndarray] = {OURS: 0.8, PLAIN: 0.7}
    text = Comparison.of(*study(right, (0,), attributes=1, classes=10, clean=False), OURS, bootstrap=20).markdown({})
    scores, _, differences, _ = text.split("\n\n")
    assert scores.splitlines()[0] == (
        "| method | decided by | balanced accuracy | total accuracy | average precision | ROC AUC | MCC |"
    )
    assert differences.splitlines()[0] == "| method | decided by | reference − method, over seeds | over images |"
    assert "(" not in differences.splitlines()[2].split("|")[3]  # one seed has no interval


def test_the_reference_alone_has_one_table() -> None:
    text = Comparison.of(*study({OURS: 0.8}), OURS, bootstrap=20).markdown({})
    assert text.count("|---|---|\n") == 1


def test_json_and_csv_are_plain_and_complete(compared: Comparison) -> None:
    values = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert [each["method"] for each in values["standings"]] == ["lmle", "ce", "ce"]
    other = values["standings"][1]["difference"]
    difference = compared.of_key(PRIOR).difference
    assert difference is not None
    assert other["over_seeds"] == difference.over_seeds.to_json()
    assert other["mean_gains"] == pytest.approx(difference.mean_gains.tolist(), abs=1e-6)
    rows = compared.rows()
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    back = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert back[0]["difference"] == ""
    assert float(back[1]["difference_low"]) == pytest.approx(difference.over_seeds.low, abs=1e-6)
    assert int(back[2]["attributes_won"]) == 6


def test_an_attribute_that_has_one_class_is_left_out_of_gains_and_correlation() -> None:
    experiments, truths = study({OURS: 0.9, PLAIN: 0.7})
    for seed, truth in truths.items():
        truth.labels[:, 2] = 0
        experiments = [
            replace(each, test=_without(each.test, 2)) if each.seed == seed else each for each in experiments
        ]
    difference = Comparison.of(experiments, truths, OURS, bootstrap=20).of_key(PLAIN).difference
    assert difference is not None
    assert np.isnan(difference.mean_gains).tolist() == [False, False, True, False, False, False]
    assert difference.to_json()["mean_gains"][2] is None
    assert difference.against_imbalance is not None
    assert difference.against_imbalance.n == 5
    assert difference.wins.won == 5


def _without(scores: Scores, column: int) -> Scores:
    rows = [replace(row, balanced_accuracy=None) if a == column else row for a, row in enumerate(scores.attributes)]
    return replace(scores, attributes=tuple(rows))


def test_what_is_not_comparable_is_refused() -> None:
    experiments, truths = study({OURS: 0.9, PLAIN: 0.7})
    with pytest.raises(ValueError, match="lmle by clusters, seed 0, is there twice"):
        Comparison.of([*experiments, experiments[0]], truths, OURS)
    with pytest.raises(ValueError, match=r"expected one of .* got \('lmle', 'half'\)"):
        Comparison.of(experiments, truths, ("lmle", "half"))
    with pytest.raises(ValueError, match=r"expected seeds \(0, 1, 2\) as of .* got \[0, 1\] of \('ce', 'half'\)"):
        Comparison.of(experiments[:-1], truths, OURS)
    with pytest.raises(ValueError, match="one for each seed, none for 2"):
        Comparison.of(experiments, {seed: truths[seed] for seed in (0, 1)}, OURS)
    with pytest.raises(ValueError, match=r"truths\[1\]: expected labels \(200, 6\)"):
        Comparison.of(experiments, truths | {1: Truth(truths[1].labels[:9])}, OURS)
    with pytest.raises(ValueError, match="no clean labels"):
        Comparison.of(experiments, {seed: replace(each, clean_labels=None) for seed, each in truths.items()}, OURS)


def test_numbers_read_as_people_write_them() -> None:
    estimate = Estimate(0.0052, 0.0031, 0.0073, 3)
    assert signed(estimate) == "+0.52 (+0.31 to +0.73)"
    assert signed(Estimate(-0.0052, -0.0073, 0.00001, 3)) == "−0.52 (−0.73 to 0.00)"
    assert signed(Estimate(-0.00001, None, None, 1)) == "0.00"
    assert signed(Estimate(0.4, 0.1, 0.7, 9), scale=1) == "+0.40 (+0.10 to +0.70)"
    assert percent(Estimate(0.882, 0.879, 0.885, 3)) == "88.2 (87.9 to 88.5)"
    assert percent(Estimate(-0.02, -0.05, 0.01, 3)) == "−2.0 (−5.0 to 1.0)"
    assert percent(estimate, interval=False) == "0.5"
    assert (percent(None), signed(None), signed_interval(None)) == ("", "", "")
    assert (seeds_text([0]), seeds_text([0, 1])) == ("1 seed", "2 seeds")
    assert images_each((1000, 2000)) == "1,000 to 2,000 test images each."
