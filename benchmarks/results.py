"""`docs/results.md` and its figures, written from the newest records of studies: `python -m benchmarks.results`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.protocol import missing, protocol
from benchmarks.study_figures import comparison_drawings, drawings, part_drawings, removed, study_drawings
from benchmarks.study_records import Measured, StudyRecord, newest_studies
from benchmarks.study_tables import (
    claims_table,
    differences_table,
    embedding_text,
    parts_table,
    rules_table,
    scores_table,
    spaces_text,
    triplets_text,
)
from lmle_core.celeba.facts import PUBLISHED_MEAN
from lmle_core.comparison.wording import images_each, markdown_table, percent, seeds_text, title
from lmle_core.figures.style import save
from lmle_core.methods.titles import TITLES
from lmle_core.studies import ABLATIONS, STUDIES

ROOT = Path(__file__).parents[1]
PAGE, FOLDER = "results.md", "results"
STUDY_TITLES = {
    "digits": "Digits",
    "faces": "Faces, on two cores",
    "faces-gpu": "Faces, on a GPU",
    "celeba": "CelebA, as measured",
}
"""Studies of rivals, in the page's order."""

SEARCH = """
On data of its own: faces and digits of seeds from 100 on. About 35 trainings of 32 recipes on faces and as many of 12
recipes on digits with 90 % removed, of one to three seeds each, judged on those seeds' validation and held-out images
([decision 6](decisions/006-centroids-and-log-odds.md)). Then the decision was calibrated and the hinge made the
default: two recipes on eleven data sets, twelve more on one or two, six of `table` mode on one or two ([decision
8](decisions/008-the-hinge.md)); for several attributes, and for the classifier's margin, 24 recipes on faces and eight
on digits, of one to three seeds ([decision 9](decisions/009-easy-quintuplets-and-a-margin.md)); for digits, 26 recipes
on four to nine seeds each, and learning rates of LMLE and of its rivals on two to six ([decision
10](decisions/010-one-learning-rate-curve-for-all.md)). The first were judged by held-out images, too, and so were the
hinge as a candidate and the harder candidates of digits; all others by validation alone.

Seeds 0 to 4 were drawn by earlier runs of the studies, whose test images were seen while the recipe was still
changed: the hinge went in when it was known to do well there, and digits were without the margin for a while, when
they were known to do better so. So the study of faces draws seeds from 10 on. They were drawn once or twice before;
since then every method has a trial at twice the learning rates, faces have late triplets, and nothing else of LMLE has
changed. Digits' seeds 10 to 29 were measured up to four times, while settings came to be chosen by three seeds and the
weight of the embedding was looked for: that study draws seeds from 30 on, which were never measured before. The
digits' source split is the same for all seeds: the handwriting that the search held out is that of the test split, in
other views and over other backgrounds. Faces share nothing.
"""
"""How the shipped recipe was searched for: how many recipes and trials, on which data, and what was learned."""

_OPENING = """# Results

<!-- generated from the records by `python -m benchmarks.results` -->

LMLE against what one would use otherwise on imbalanced labels, on the same data, trunk and number of training images,
of which *prior features* alone sees fewer: {rivals}.

Numbers are means over seeds on whose test images nothing was chosen ([how](#how-the-recipe-was-found)), but for what is
[not shown](#what-is-not-shown); brackets hold 95 % intervals over seeds. {celeba}

```sh
{commands}
```

A study that is stopped goes on where it was. It leaves tables, figures and samples in
`<workspace>/comparisons/<comparison>/`; `python -m benchmarks.studies --workspace W` keeps them as a record, and
`python -m benchmarks.results` writes this page from the newest records.
"""

_DATA = """**Digits.** scikit-learn's 1,797 handwritten digits, in six views for training and four to be held out:
rotated over the full circle, over windows of its two photographs, 28 pixels. Of five of the ten classes, drawn by the
seed, a share of the training digits is removed; validation and test stay whole, so that with 90 % removed a rare class
has more digits to be calibrated on (27) than to be trained on (11), for every method whose rule is calibrated.

![Digits of each class](digits.png)

**Faces.** Drawings of people with 40 attributes that are as rare as CelebA's and occur together likewise, in
CelebA's layout, 48 pixels. 5 % of the labels that name an attribute's rarer class are wrong, and as many of its members
carry the other label; *clean labels* are those before that. They are no photographs, and no substitute for them.

![Each attribute, without and with it](faces.png)"""

_CLAIMS = """The thresholds were set before the studies were run; `table` mode with more images, which its cost allows,
was added when it had been measured with as many, and late triplets, which fine-tune what cross-entropy has trained
for three quarters or nine tenths of the images, when a search had found them the stronger ones. Measured on the
labels as annotated, paired by seed; over images: the 95 % bootstrap interval. *The best calibrated* rival is the
hardest one: of the comparison's baselines that decide at the training prior, at the validation optimum, calibrated on
validation or by adjusted logits, and of those whose training balances the classes at ½, the one with the highest
balanced accuracy on the test images. The claim on *CE variants* chooses among classifiers alone, that on *baselines*
also among methods that decide by calibrated clusters, as LMLE does. *CE* is plain cross-entropy at the best of its
thresholds, chosen likewise. A claim to be ahead is reached where the mean difference is the threshold or more and the
whole interval over seeds is above 0; not to be below, where the mean difference is not; to be near, where the whole
interval is within the threshold."""

_SCORES = """Percent; each method by its own rule, the one that chose its settings on validation; {seeds}, {images}
The reference is in bold. Training: seconds of one training."""

_RULES = "Balanced accuracy by every rule that was tried, percent; the method's own rule is in bold."
_CLASSES = " With more than two classes, the threshold ½ is the largest output."

_DIFFERENCES = """{reference} minus each method in mean balanced accuracy, points, paired by seed: by the method's
own rule and by the one that decided best on the test images."""

_ATTRIBUTES = """ Attributes: in brackets those whose own interval over seeds excludes 0. Gain against imbalance:
Spearman's ρ over attributes."""

_PARTS = """LMLE with the study's settings minus itself with one part changed, points of mean balanced accuracy, paired
by seed: a part is worth what is lost without it. Other rules decide over the recipe's own embedding, or its classifier.
Spread: the least of the attributes' embeddings, 1 is uniform on the sphere, under 0.1 is collapsed. Training: seconds
of one training."""

_CELEBA = """`lmle study celeba --data DIR` runs the same methods on a folder in CelebA's layout, five seeds, on a GPU.
It prints a line for each training that is done, then the tables of scores and differences, and leaves
`comparisons/celeba/`: `comparison.md`, `comparison.csv` and `comparison.json` with balanced accuracy of every method
and rule, gains of every attribute, and figures. Clean labels are not known there, so their columns are missing; the
mean without the three near-random attributes is in a column of its own. `lmle run --preset celeba --data DIR` trains
the shipped recipe alone; its report draws the bars of each attribute beside the published ones.

{table}

Published: percent, mean over 40 attributes, Huang et al., CVPR 2016. The published trunk, its pre-training and its
resolution are others; only the data and the scores are the same."""


def main() -> None:
    """Write the page and its figures; figures that the page no longer has are removed."""
    write(newest_studies(), ROOT / "docs")


def write(records: Mapping[str, StudyRecord], docs: Path) -> None:
    """Write `results.md` and `results/*.png` of records, by the study's name, into a folder."""
    folder = docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = {each.file: each for record in records.values() for each in drawings(record)}
    for old in folder.glob("*.png"):
        if old.name not in made:
            old.unlink()
    for file, each in made.items():
        save(each.draw(), folder / file)
    (docs / PAGE).write_text(page(records))


def page(records: Mapping[str, StudyRecord]) -> str:
    """The whole page, of records by the study's name."""
    found = comparisons(records)
    parts = [_opening(records), "## Claims", claims_table(found), _CLAIMS]
    parts += [*filter(None, [spaces_text(found), triplets_text(found), embedding_text(found)]), "## Data", _DATA]
    for name, heading in STUDY_TITLES.items():
        if name in records:
            parts += [f"## {heading}", *_study(records[name])]
    ablated = [part for record in records.values() for part in _parts(record)]
    if ablated:
        parts += ["## What each part is worth", *ablated, _PARTS]
    parts += ["## Protocol", *protocol(records)]
    parts += ["## How the recipe was found", SEARCH.strip()]
    parts += ["## CelebA", _CELEBA.format(table=_published(found))]
    parts += ["## What is not shown", "\n".join(f"- {text}" for text in missing(records))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def comparisons(records: Mapping[str, StudyRecord]) -> dict[str, Measured]:
    """All comparisons by name."""
    return {name: each for record in records.values() for name, each in record.comparisons.items()}


def _opening(records: Mapping[str, StudyRecord]) -> str:
    commands = {name: f"lmle study {name}{' --data DIR' if name == 'celeba' else ''}" for name in STUDIES}
    commands |= {name: record.command for name, record in records.items()}
    lines = [
        f"{command:<33} # {records[name].date if name in records else 'not run here'}"
        for name, command in commands.items()
    ]
    celeba = "" if "celeba" in records else "CelebA was not run here."
    methods = dict.fromkeys(method for record in records.values() for method in record.methods)
    rivals = "; ".join(title(method, TITLES) for method in methods if method not in ("lmle", "shipped", *ABLATIONS))
    opening = _OPENING.format(commands="\n".join(lines), celeba=celeba, rivals=rivals or "none yet")
    return opening.replace("seeds. \n", "seeds.\n")


def _study(record: StudyRecord) -> list[str]:
    parts = [machine(record), *(each.markdown(FOLDER) for each in study_drawings(record))]
    for measured in record.comparisons.values():
        if len(record.comparisons) > 1:
            parts.append(f"### {100 * removed(measured):g} % removed")
        parts += _comparison(measured, explained=measured is next(iter(record.comparisons.values())))
    return parts


def _comparison(measured: Measured, *, explained: bool) -> list[str]:
    """Tables and figures; explained: with what they show, which a study's other comparisons need not say again."""
    compared = measured.comparison
    reference = title(compared.reference[0], TITLES)
    seen = {"seeds": seeds_text(compared.seeds), "images": images_each(compared.images)}
    differences = _DIFFERENCES.format(reference=reference) + (_ATTRIBUTES if len(compared.attributes) > 1 else "")
    rules = _RULES + (_CLASSES if compared.classes > 2 else "")
    notes = (_SCORES.format(**seen), differences, rules) if explained else ("{seeds}, {images}".format(**seen), "", "")
    figures = [each.markdown(FOLDER) for each in comparison_drawings(measured)]
    parts = [scores_table(measured), notes[0]]
    if figures:
        parts += [differences_table(measured), notes[1], *figures]
    return [part for part in (*parts, rules_table(measured), notes[2]) if part]


def _parts(record: StudyRecord) -> list[str]:
    """The table and figure of each comparison that has ablations."""
    parts = []
    for measured in record.comparisons.values():
        figures = [each.markdown(FOLDER) for each in part_drawings(measured)]
        if figures:
            compared = measured.comparison
            seen = f"{seeds_text(compared.seeds)}, {images_each(compared.images)}"
            parts += [f"{machine(record)} {seen}", parts_table(measured), *figures]
    return parts


def machine(record: StudyRecord) -> str:
    """Where a study ran, and its record."""
    environment: Mapping[str, Any] = record.environment
    revision = _short(environment["revision"])
    torch = environment["versions"].get("torch", "unknown")
    return (
        f"`{record.command}`, {record.date}, on {environment['cores']} cores of {environment['processor']}, device "
        f"{environment['device']}; torch {torch}, revision {revision}. "
        f"Record: `benchmarks/records/{record.directory}/record.json`.{_taken_over(record)}"
        f"{f' {record.note}' if record.note else ''}"
    )


def _taken_over(record: StudyRecord) -> str:
    """What the record has from earlier ones, and what was special about those."""
    names: dict[str, list[str]] = {}
    notes: dict[str, str] = {}
    for name, measured in record.comparisons.items():
        if (of := measured.taken_over) is not None:
            where = f", on {of['processor']}, device {of['device']}" if "processor" in of else ""
            source = f"{of['date']}{where}, revision {_short(of['revision'])}"
            names.setdefault(source, []).append(name)
            notes[source] = of.get("note", "")
    return "".join(f" Of {of}: {', '.join(each)}.{f' {notes[of]}' * bool(notes[of])}" for of, each in names.items())


def _short(revision: str | None) -> str:
    return (revision or "unknown")[:8]


def _published(found: Mapping[str, Measured]) -> str:
    rows = [["method", "balanced accuracy", "total accuracy", ""]]
    for method, means in PUBLISHED_MEAN.items():
        rows.append(
            [method, *(f"{100 * means[each]:.0f}" for each in ("balanced_accuracy", "total_accuracy")), "published"]
        )
    if "celeba" in found:
        comparison = found["celeba"].comparison
        scores = comparison.of_key(comparison.reference).scores
        cells = [percent(scores[each]) for each in ("balanced_accuracy", "total_accuracy")]
        rows.append([title(comparison.reference[0], TITLES), *cells, "measured"])
    return markdown_table(rows)


if __name__ == "__main__":
    main()
