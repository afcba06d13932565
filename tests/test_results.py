"""What studies leave becomes records, and records become the page: claims, tables, figures, and what is not shown."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import readme, results
from benchmarks.claims import Ahead, Claim, GrowsWithImbalance, KeepsSpread, LosesLess, Within, verdict
from benchmarks.goals import CALIBRATED, CLAIMS, claims
from benchmarks.record import RECORDS
from benchmarks.studies import changed, finished, keep
from benchmarks.study_figures import drawings
from benchmarks.study_records import Measured, StudyRecord, newest_studies
from benchmarks.study_tables import claims_table, embedding_text, spaces_text, triplets_text
from lmle_core.artefact import Reference
from lmle_core.comparison import Comparison, Key, mean_interval
from lmle_core.config import Config, load_config
from lmle_core.methods.catalogue import METHODS
from lmle_core.methods.titles import RULE_TITLES
from lmle_core.studies import find_study
from tasks.compare import comparison, publish_comparison
from tests.lmle_core.comparison.made import study as made_study

OURS: Key = ("lmle", METHODS["lmle"].rules[0])
LOST = "has {}, measured with another recipe, other trials, methods or numbers of seeds: run `lmle study` of these"
TABLE: Key = ("table-longer", METHODS["table-longer"].rules[0])
SHOWN = f"| **LMLE** | {RULE_TITLES[OURS[1]]} |"
RIGHT: dict[Key, float | np.ndarray] = {
    OURS: 0.9, ("lmle", "nearest-mean"): 0.88, ("bce", "prior"): 0.68, ("bce", "half"): 0.66,
    ("class-weighted", "half"): 0.7, ("triplet", "knn"): 0.6,
}  # fmt: skip
CONFIG = Config.model_validate({"evaluation": {"bootstrap": 100}})
TRIALS = (
    {"settings": {"loss.temperature": 0.1}, "validation": 0.8123456, "experiments": ["a", "b"]},
    {"settings": {}, "validation": 0.9, "experiments": ["c", "d"]},
)


def leave(
    workspace: Path,
    name: str,
    right: Mapping[Key, float | np.ndarray],
    *,
    classes: int = 2,
    attributes: int = 6,
    seconds: float = 1.0,
) -> None:
    """What a comparison of made-up classifiers leaves in a workspace, by the stage that writes it in earnest."""
    experiments, truths = made_study(
        right, classes=classes, attributes=attributes if classes == 2 else 1, clean=classes == 2
    )
    references = []
    for each in experiments:
        folder = workspace / "stages" / "experiment" / f"{name}-{each.method}-{each.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        times = seconds if each.method == TABLE[0] else 1
        replace(each, seconds=each.seconds * times).save(folder, each.rule)
        truths[each.seed].save(folder)
        reference = Reference("experiment", str(folder), folder.name)
        references += [] if reference in references else [reference]
    compared = comparison.fn(
        experiments=references, reference=OURS, trials={key[0]: list(TRIALS) for key in right}, shared=False,
        study=name, config=CONFIG, workspace=workspace,
    )  # fmt: skip
    made = {
        "revision": "a" * 40,
        "config": find_study(name).configs()[name].identity(),
        "folder": False,
        "rules": {key[0]: METHODS[key[0]].rules[0] for key in right},
    }
    publish_comparison(compared, name, made, workspace)


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """The stage's own figures are not drawn: what records need is in the JSON files, and drawing takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmle_core.comparison.files.save", lambda figure, path: None)
        patch.setattr("lmle_core.comparison.files.differences", lambda compared, titles: None)
        patch.setattr("lmle_core.comparison.files.gains_against_imbalance", lambda compared, titles: ())
        yield


@pytest.fixture(scope="module")
def truth() -> dict[Key, list[float]]:
    return balanced(RIGHT, 2)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("workspace")
    leave(workspace, "faces", RIGHT)
    for name, fallen in (("digits-0", 0.0), ("digits-20", 0.05), ("digits-40", 0.1), ("digits-90", 0.3)):
        right: dict[Key, float | np.ndarray] = {
            OURS: 0.95 - fallen / 2,
            ("bce", "half"): 0.93 - fallen,
            ("triplet", "knn"): 0.9 - fallen,
        }
        leave(workspace, name, right, classes=3)
    return workspace


@pytest.fixture(scope="module")
def records(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StudyRecord]:
    folder = tmp_path_factory.mktemp("records")
    for name in ("faces", "digits"):
        keep(find_study(name), workspace, records=folder)
    return newest_studies(folder)


def loaded(workspace: Path, name: str) -> Measured:
    folder = workspace / "comparisons" / name
    parts = {part: json.loads((folder / f"{part}.json").read_text()) for part in ("comparison", "trials", "samples")}
    rules = {each["method"]: METHODS[each["method"]].rules[0] for each in parts["samples"]}
    return Measured.of(name, {"settings": {}, **parts}, rules)


def test_a_record_holds_what_the_study_left_rounded(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="faces: it was made with other settings"):
        keep(find_study("faces"), workspace, ["training.rounds=7"], tmp_path)
    made = workspace / "comparisons" / "faces" / "made.json"
    before = made.read_text()
    config = load_config("study-faces", ["training.rounds=7"]).identity()
    made.write_text(json.dumps({**json.loads(before), "config": config, "folder": True}))
    path = keep(find_study("faces"), workspace, ["training.rounds=7"], tmp_path, note="The machine was busy.")
    made.write_text(before)
    assert results.machine(StudyRecord.load(path)).endswith("record.json`. The machine was busy.")
    record = json.loads(path.read_text())
    assert record["environment"]["revision"] == "a" * 40
    assert record["command"] == (
        "lmle study faces --data DIR --methods lmle,bce,class-weighted,triplet --trial-seeds 2 --set training.rounds=7"
    )
    assert str(workspace) not in path.read_text()
    assert record["study"]["settings"]["training.rounds"] == 7
    left = json.loads((workspace / "comparisons" / "faces" / "comparison.json").read_text())
    kept = record["comparisons"]["faces"]
    for one, other in zip(kept["comparison"]["standings"], left["standings"], strict=True):
        assert one["scores"]["mcc"]["mean"] == pytest.approx(other["scores"]["mcc"]["mean"], abs=5.1e-6)
        assert one["method"] == other["method"]
    assert kept["trials"]["bce"][0]["validation"] == 0.81235
    assert len(kept["samples"]) == 3 * len(RIGHT)


def test_a_comparison_read_from_a_record_is_the_one_that_was_written(records: Mapping[str, StudyRecord]) -> None:
    experiments, truths = made_study(RIGHT)
    original = Comparison.of(experiments, truths, OURS, bootstrap=100, seed=CONFIG.seed)
    read = records["faces"].comparisons["faces"].comparison
    assert (read.reference, read.seeds, read.attributes) == (original.reference, original.seeds, original.attributes)
    for one, other in zip(read.standings, original.standings, strict=True):
        assert one.key == other.key
        for ours, theirs in ((one.difference, other.difference), (one.difference_clean, other.difference_clean)):
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                np.testing.assert_allclose(ours.gains, theirs.gains, atol=2e-4)
                assert ours.over_seeds.interval == pytest.approx(theirs.over_seeds.interval, abs=1e-5)
                assert ours.wins == theirs.wins
    assert read.rows()[0].keys() == original.rows()[0].keys()


def test_a_study_that_is_not_finished_is_refused_with_what_is_missing(workspace: Path, tmp_path: Path) -> None:
    assert finished(find_study("digits"), workspace)
    assert not finished(find_study("faces-gpu"), workspace)
    with pytest.raises(FileNotFoundError, match=r"faces-gpu: expected comparison\.json, trials\.json, samples\.json"):
        keep(find_study("faces-gpu"), workspace, records=tmp_path)


def test_a_record_may_lack_comparisons_and_the_page_says_which(workspace: Path, tmp_path: Path) -> None:
    leave(tmp_path, "digits-90", {OURS: 0.9, ("triplet", "knn"): 0.8}, classes=3)
    record = StudyRecord.load(keep(find_study("digits"), tmp_path, records=tmp_path))
    assert list(record.comparisons) == ["digits-90"]
    assert "Of the study digits: the comparisons digits-0, digits-20, digits-40." in results.page({"digits": record})


def test_what_a_workspace_lacks_is_taken_over_from_the_record_before(workspace: Path, tmp_path: Path) -> None:
    study = find_study("digits")
    right: dict[Key, float | np.ndarray] = {OURS: 0.9, ("triplet", "knn"): 0.8}
    for folder, name in (("one", "digits-90"), ("other", "digits-0")):
        leave(tmp_path / folder, name, right, classes=3)
    first = keep(study, tmp_path / "one", note="Beside others.", records=tmp_path / "records")
    earlier = tmp_path / "records" / "2020-01-01-study-digits"
    first.parent.rename(earlier)
    values = json.loads((earlier / "record.json").read_text())
    values |= {"date": "2020-01-01", "environment": {**values["environment"], "revision": "0123456789"}}
    (earlier / "record.json").write_text(json.dumps(values))
    record = StudyRecord.load(keep(study, tmp_path / "other", records=tmp_path / "records"))
    assert list(record.comparisons) == ["digits-0", "digits-90"]
    assert record.comparisons["digits-0"].taken_over is None
    there = loaded(tmp_path / "one", "digits-90").per_seed(OURS)
    assert record.comparisons["digits-90"].per_seed(OURS) == pytest.approx(there, abs=1e-5)
    where = f"on {record.environment['processor']}, device {record.environment['device']}"
    assert f"Of 2020-01-01, {where}, revision 01234567: digits-90. Beside others." in results.machine(record)


@pytest.mark.parametrize(("asked", "taken"), [("", True), (" --seeds 99", False)])
def test_a_record_is_taken_over_where_it_was_asked_for_as_many_seeds(
    asked: str, taken: bool, workspace: Path, tmp_path: Path
) -> None:
    """A study's own numbers differ from comparison to comparison; the record's seeds are the fewest."""
    study = find_study("digits")
    for folder, name in (("one", "digits-0"), ("other", "digits-90")):
        leave(tmp_path / folder, name, {OURS: 0.9, ("triplet", "knn"): 0.8}, classes=3)
    path = keep(study, tmp_path / "one", records=tmp_path / "records")
    values = json.loads(path.read_text())
    values["study"]["seeds"] = values["study"]["seeds"][:1]
    path.write_text(json.dumps(values | {"command": values["command"] + asked}))
    if not taken:
        with pytest.raises(ValueError, match=LOST.format("digits-0")):
            keep(study, tmp_path / "other", records=tmp_path / "records")
        return
    record = StudyRecord.load(keep(study, tmp_path / "other", records=tmp_path / "records"))
    assert "digits-0" in record.comparisons
    assert len(record.seeds) == 1


@pytest.mark.parametrize(("more", "taken"), [({("bce", "prior"): 0.85}, True), ({}, True), (None, False)])
def test_a_record_of_fewer_methods_is_taken_over_and_one_of_more_is_not(
    more: dict[Key, float | np.ndarray] | None, taken: bool, workspace: Path, tmp_path: Path
) -> None:
    few: dict[Key, float | np.ndarray] = {OURS: 0.9, ("triplet", "knn"): 0.8}
    many: dict[Key, float | np.ndarray] = {**few, ("bce", "prior"): 0.85}
    leave(tmp_path / "one", "digits-90", many if more is None else few, classes=3)
    leave(tmp_path / "other", "digits-0", few if more is None else {**few, **more}, classes=3)
    keep(find_study("digits"), tmp_path / "one", records=tmp_path / "records")
    if not taken:
        with pytest.raises(ValueError, match=LOST.format("digits-90")):
            keep(find_study("digits"), tmp_path / "other", records=tmp_path / "records")
        return
    record = StudyRecord.load(keep(find_study("digits"), tmp_path / "other", records=tmp_path / "records"))
    assert "digits-90" in record.comparisons


@pytest.mark.parametrize("part", ["trials", "recipe"])
def test_a_record_of_other_trials_or_another_recipe_is_neither_taken_over_nor_lost(part: str, tmp_path: Path) -> None:
    study = find_study("digits")
    for folder, name in (("one", "digits-0"), ("other", "digits-90")):
        leave(tmp_path / folder, name, {OURS: 0.9, ("triplet", "knn"): 0.8}, classes=3)
    path = keep(study, tmp_path / "one", records=tmp_path / "records")
    values = json.loads(path.read_text())
    if part == "trials":
        values["comparisons"]["digits-0"]["trials"]["lmle"][0]["settings"] = {"weight_factor": 7.0}
    else:
        values["study"]["recipe"]["loss"]["embedding_weight"] = 7.0
        page = results.page({"digits": StudyRecord.load(path)})
        path.write_text(json.dumps(values))
        assert "The record was made with `loss.embedding_weight` 7.0." in results.page(
            {"digits": StudyRecord.load(path)}
        )
        assert "its settings of now" not in page
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=LOST.format("digits-0")):
        keep(study, tmp_path / "other", records=tmp_path / "records")
    assert json.loads(path.read_text()) == values
    assert list(
        StudyRecord.load(keep(study, tmp_path / "other", records=tmp_path / "records", drop=True)).comparisons
    ) == ["digits-90"]


def test_comparisons_of_different_commands_are_no_study(workspace: Path, tmp_path: Path) -> None:
    for name in find_study("digits").variants:
        leave(tmp_path, name, {OURS: 0.9, ("bce", "half"): 0.8}, classes=3)
    leave(tmp_path, "digits-40", {OURS: 0.9, ("triplet", "knn"): 0.8}, classes=3)
    with pytest.raises(ValueError, match="to have the same methods, and the study's own"):
        keep(find_study("digits"), tmp_path, records=tmp_path)


def test_only_settings_that_differ_are_kept() -> None:
    config = load_config(None, ["training.rounds=7", "engines.dask_workers=1", "seed=4"])
    assert changed(config, Config()) == {"training.rounds": 7}
    assert changed(Config(), Config()) == {}


def test_the_newest_record_of_each_study_counts(workspace: Path, tmp_path: Path) -> None:
    path = keep(find_study("faces"), workspace, records=tmp_path)
    for date in ("2020-01-01", "2099-01-01"):
        older = tmp_path / f"{date}-study-faces" / "record.json"
        older.parent.mkdir()
        older.write_text(path.read_text())
    assert newest_studies(tmp_path)["faces"].directory == "2099-01-01-study-faces"


def balanced(right: Mapping[Key, float | np.ndarray], classes: int) -> dict[Key, list[float]]:
    """Mean balanced accuracy of each seed, recomputed from the predictions in a loop."""
    found: dict[Key, list[float]] = {key: [] for key in right}
    experiments, truths = made_study(right, classes=classes, attributes=6 if classes == 2 else 1, clean=classes == 2)
    for each in experiments:
        labels, means = truths[each.seed].labels, []
        for a in range(labels.shape[1]):
            recalls = [
                sum(p == c for p, y in zip(each.predictions[:, a], labels[:, a], strict=True) if y == c)
                / sum(y == c for y in labels[:, a])
                for c in range(classes)
            ]
            means.append(sum(recalls) / classes)
        found[each.method, each.rule].append(sum(means) / len(means))
    return found


@pytest.mark.parametrize(("least", "reached"), [(0.02, True), (0.2, False)])
def test_being_ahead_is_measured_against_the_hardest_rival(
    records: Mapping[str, StudyRecord], truth: Mapping[Key, list[float]], least: float, reached: bool
) -> None:
    rivals = [key for key in RIGHT if key in CALIBRATED]
    assert rivals == [("bce", "prior"), ("class-weighted", "half")]
    hardest = max(rivals, key=lambda key: np.mean(truth[key]))
    finding = Ahead("faces", "", "faces", CALIBRATED, least).measured(results.comparisons(records))
    assert finding is not None
    assert finding.rival == hardest
    expected = mean_interval([ours - theirs for ours, theirs in zip(truth[OURS], truth[hardest], strict=True)])
    assert finding.estimate.mean == pytest.approx(expected.mean, abs=1e-5)
    assert finding.estimate.interval == pytest.approx(expected.interval, abs=5e-5)
    assert expected.interval is not None
    assert expected.interval[0] > 0
    assert finding.reached == reached


def test_a_lead_that_chance_explains_is_not_reached_unless_it_need_not_be_clear(tmp_path: Path) -> None:
    leave(tmp_path, "faces", {OURS: 0.8, ("triplet", "knn"): 0.8})
    found = {"faces": loaded(tmp_path, "faces")}
    at_least_equal = Ahead("", "", "faces", (("triplet", "knn"),), -1.0)
    finding = at_least_equal.measured(found)
    assert finding is not None
    assert finding.estimate.low is not None
    assert finding.estimate.low < 0
    assert not finding.reached
    unclear = replace(at_least_equal, clear=False).measured(found)
    assert unclear is not None
    assert unclear.reached


def test_losses_are_paired_by_seed(records: Mapping[str, StudyRecord]) -> None:
    rival = ("triplet", "knn")
    at = {
        share: balanced({OURS: 0.95 - fallen / 2, ("bce", "half"): 0.93 - fallen, rival: 0.9 - fallen}, 3)
        for share, fallen in ((0, 0.0), (90, 0.3))
    }
    less = [(at[0][rival][seed] - at[90][rival][seed]) - (at[0][OURS][seed] - at[90][OURS][seed]) for seed in range(3)]
    claim = LosesLess("", "", "digits-0", "digits-90", rival, 0.05)
    finding = claim.measured(results.comparisons(records))
    assert finding is not None
    assert finding.estimate.mean == pytest.approx(sum(less) / 3, abs=2e-5)
    assert finding.estimate.interval == pytest.approx(mean_interval(less).interval, abs=5e-5)
    assert finding.reached == (finding.estimate.mean >= 0.05 and min(finding.estimate.interval or (0,)) > 0)
    assert not replace(claim, least=0.5).measured(results.comparisons(records)).reached  # type: ignore[union-attr]


def test_the_least_spread_of_any_seed_decides(records: Mapping[str, StudyRecord]) -> None:
    found = results.comparisons(records)
    claim = KeepsSpread("everywhere", "", 0.3)
    finding = claim.measured(found)
    assert finding is not None
    assert finding.reached
    assert finding.shown == "0.90 in 15 trainings of 5 comparisons"
    samples = {key: dict(each) for key, each in found["digits-20"].samples.items()}
    samples[OURS][1] = {**samples[OURS][1], "spread": 0.25}
    collapsed = claim.measured({**found, "digits-20": replace(found["digits-20"], samples=samples)})
    assert collapsed is not None
    assert collapsed.estimate.mean == 0.25
    assert not collapsed.reached


@pytest.mark.parametrize(("right", "seconds", "reached"), [(0.95, 5, True), (0.95, 20, False), (0.7, 5, False)])
def test_table_mode_is_near_at_its_cost(tmp_path: Path, right: float, seconds: float, reached: bool) -> None:
    leave(tmp_path, "faces-ablation", {OURS: 0.9, TABLE: right}, seconds=seconds)
    claim = next(each for each in CLAIMS if isinstance(each, Within) and each.method == TABLE[0])
    finding = claim.measured({"faces-ablation": loaded(tmp_path, "faces-ablation")})
    assert finding is not None
    assert f"at {seconds:.1f}× the time" in finding.shown
    assert finding.reached == reached
    high = finding.estimate.high
    assert high is not None
    narrower = replace(claim, most=high - 0.001), replace(claim, most=high + 0.001)
    within = [each.measured({"faces-ablation": loaded(tmp_path, "faces-ablation")}) for each in narrower]
    assert [each is not None and each.reached for each in within] == [False, seconds == 5]


def test_the_gain_grows_with_imbalance_where_the_whole_interval_says_so(tmp_path: Path) -> None:
    rising = 0.9 - np.linspace(0, 0.4, 10)  # column a of the made-up labels is the rarer the higher a
    claim = GrowsWithImbalance("", "", "faces", ("triplet", "knn"))
    for slope, reached in ((rising, True), (rising[::-1], False)):
        leave(tmp_path / str(reached), "faces", {OURS: 0.9, ("triplet", "knn"): slope}, attributes=10)
        finding = claim.measured({"faces": loaded(tmp_path / str(reached), "faces")})
        assert finding is not None
        assert finding.reached == reached
        assert finding.shown.startswith("ρ = +" if reached else "ρ = −")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.study} {claim.text}")
def test_a_claim_without_its_study_is_not_measured(claim: Claim) -> None:
    assert claim.measured({}) is None
    assert verdict(None) == "not measured"
    assert f"| {claim.study} | {claim.text} |" in claims_table({})


def test_the_claims_of_the_larger_study_are_shown_where_it_was_run(records: Mapping[str, StudyRecord]) -> None:
    found = results.comparisons(records)
    assert claims(found) == CLAIMS
    larger = claims({**found, "faces-gpu": replace(found["faces"], name="faces-gpu")})
    assert [(each.text, each.threshold) for each in larger[len(CLAIMS) :]] == [
        (each.text, each.threshold) for each in CLAIMS if each.study == "faces" and not isinstance(each, Within)
    ]


def test_the_page_names_what_is_not_shown_and_links_each_figure(
    records: Mapping[str, StudyRecord], tmp_path: Path
) -> None:
    results.write(records, tmp_path)
    page = (tmp_path / "results.md").read_text()
    (_, not_shown) = page.split("## What is not shown")
    assert "CelebA: not run here" in not_shown
    assert "no record of `lmle study faces-gpu`" in not_shown
    assert "no record of `lmle study faces-ablation`" in not_shown
    absent = [METHODS[name].title for name in find_study("faces").methods if name not in {key[0] for key in RIGHT}]
    assert f"The comparison faces was made without: {'; '.join(absent)}." in not_shown
    assert "The comparison digits-0 was made of 3 seeds; 5 are meant." in not_shown
    assert "lmle study digits`." not in not_shown
    assert "CelebA was not run here" in page
    assert "| method | tried | faces, 2 seeds |" in page
    assert " nan" not in page
    drawn = {f"results/{path.name}" for path in (tmp_path / "results").glob("*.png")}
    assert drawn == {part.split(")")[0] for part in page.split("](")[1:] if part.startswith("results/")}
    assert "results/digits-removed.png" in drawn
    alone = results.page({"digits": records["digits"]})
    assert "no record of `lmle study faces`" in alone


def test_the_parts_of_the_recipe_are_shown_apart_from_its_rivals(tmp_path: Path) -> None:
    part: Key = ("lmle-hard", METHODS["lmle-hard"].rules[0])
    leave(tmp_path, "faces", {OURS: 0.9, ("lmle", "nearest-mean"): 0.85, part: 0.7, ("triplet", "knn"): 0.8})
    record = StudyRecord.load(keep(find_study("faces"), tmp_path, records=tmp_path))
    page = results.page({"faces": record})
    rivals, _, parts = page.partition("## What each part is worth")
    part_title = METHODS["lmle-hard"].title
    table = parts.split("## Protocol")[0]
    assert part_title not in rivals
    assert METHODS["triplet"].title not in table
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    assert rows == ["| recipe", "| **LMLE**", f"| {part_title}", "| LMLE, decided by nearest class mean"]
    assert "results/faces-parts.png" in table


def test_a_reference_that_decides_by_another_rule_than_the_catalogue_says_is_refused(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_rules = replace(METHODS["lmle"], rules=("prior", OURS[1]))
    monkeypatch.setattr("benchmarks.studies.METHODS", {**METHODS, "lmle": changed_rules})
    with pytest.raises(ValueError, match="decide by the rules of the catalogue, found"):
        keep(find_study("faces"), workspace, records=tmp_path)


def test_a_table_of_scores_has_each_method_by_its_own_rule(
    records: Mapping[str, StudyRecord], truth: Mapping[Key, list[float]]
) -> None:
    page = results.page(records)
    faces = page.split("## Faces, on two cores")[1].split("\n## ")[0]
    lines = [line for line in faces.splitlines() if line.startswith(SHOWN)]
    assert len(lines) == 1
    assert f"| {100 * np.mean(truth[OURS]):.1f} (" in lines[0]
    matrix = next(line for line in faces.splitlines() if line.startswith("| LMLE |"))
    assert f"**{100 * np.mean(truth[OURS]):.1f}**" in matrix
    assert f" {100 * np.mean(truth['lmle', 'nearest-mean']):.1f} " in matrix


def test_the_readme_shows_the_claims_between_its_marks(records: Mapping[str, StudyRecord]) -> None:
    text = f"before\n{readme.BEGIN}\nwhat was\n{readme.END}\nafter\n"
    shown = readme.rendered(text, records)
    assert shown.startswith(f"before\n{readme.BEGIN}\n")
    assert shown.endswith(f"{readme.END}\nafter\n")
    assert "what was\n" not in shown
    assert "| digits, 0 → 90 % | loses less than the triplet |" in shown
    assert readme.rendered(shown, records) == shown
    assert readme.rendered(text, {}) == text


def test_the_page_of_results_is_that_of_the_records() -> None:
    records = newest_studies(RECORDS)
    if not records:
        pytest.skip(
            "no record of a study yet: run `lmle study NAME`, then `python -m benchmarks.studies --workspace W`"
        )
    assert (results.ROOT / "docs" / results.PAGE).read_text() == results.page(records)
    for record in records.values():
        assert (RECORDS / record.directory / "record.json").stat().st_size < 1_500_000
    for file in (each.file for record in records.values() for each in drawings(record)):
        assert (results.ROOT / "docs" / results.FOLDER / file).exists()


def test_what_the_embedding_is_worth_is_said_by_own_rules_and_by_the_same_rule(tmp_path: Path) -> None:
    right: dict[Key, float | np.ndarray] = {
        OURS: 0.9, ("lmle", "calibrated"): 0.8, ("lmle-without-embedding", "calibrated"): 0.75,
        ("triplet", "knn"): 0.6, ("triplet", "calibrated-clusters"): 0.7, ("triplet-late", "calibrated-clusters"): 0.72,
    }  # fmt: skip
    leave(tmp_path, "faces", right)
    measured = loaded(tmp_path, "faces")
    ours, alike = (measured.per_seed(("lmle", rule)) for rule in (OURS[1], "calibrated"))
    without = measured.per_seed(("lmle-without-embedding", "calibrated"))
    said = " ".join(embedding_text({"faces": measured}).split())
    for side, words in ((ours, "in faces; where both decide by"), (alike, ".")):
        mean_gain = 100 * np.mean([side[seed] - without[seed] for seed in without])
        assert f"{mean_gain:+.2f} (" in said and words in said
    assert embedding_text({}) == triplets_text({}) == ""
    said = " ".join(triplets_text({"faces": measured}).split())
    for method in ("triplet", "triplet-late"):
        theirs = measured.per_seed((method, "calibrated-clusters"))
        assert f"{100 * np.mean([ours[seed] - theirs[seed] for seed in theirs]):+.2f} (" in said
    assert "late ones, in faces" in said


def test_an_embedding_alone_is_held_against_the_best_other_space_that_decides_alike(tmp_path: Path) -> None:
    right: dict[Key, float | np.ndarray] = {
        OURS: 0.9, ("lmle", "calibrated-clusters"): 0.85, ("lmle", "clusters"): 0.75, ("lmle", "knn"): 0.8,
        ("triplet", "knn"): 0.6, ("triplet", "clusters"): 0.65, ("triplet", "calibrated-clusters"): 0.72,
        ("bce", "features-clusters"): 0.7, ("bce", "prior"): 0.88, ("shipped", "clusters"): 0.95,
    }  # fmt: skip
    leave(tmp_path, "faces", right)
    measured = loaded(tmp_path, "faces")
    said = " ".join(spaces_text({"faces": measured}).split())
    for rule, rival, named in (
        ("clusters", ("bce", "features-clusters"), "BCE (clusters of trunk features)"),
        ("knn", ("triplet", "knn"), "triplet, semi-hard (k nearest neighbours)"),
    ):
        ours, theirs = measured.per_seed(("lmle", rule)), measured.per_seed(rival)
        ahead = 100 * np.mean([ours[seed] - theirs[seed] for seed in theirs])
        assert f"{ahead:+.2f} (" in said and f"in faces, of {named}" in said
    assert "calibrated clusters" not in said  # of no trunk
    assert spaces_text({}) == ""
