"""What docs/results.md says of how it was measured, and of what it does not show."""

from collections import Counter
from collections.abc import Mapping

from benchmarks.studies import rounded
from benchmarks.study_records import StudyRecord
from benchmarks.study_tables import setting_text, trials_table
from lmle_core.comparison.wording import seeds_text, title
from lmle_core.config import load_config
from lmle_core.methods.catalogue import METHODS
from lmle_core.methods.titles import TITLES
from lmle_core.studies import ABLATIONS, STUDIES

_SAME = """**What is the same.** Within a comparison every method gets the same images, trunk, batch size, augmentation
and optimiser, and sees the same number of images, repeats counted; LMLE's pre-training counts as part of its
own, as the triplets' warm start does of theirs. Batches are uniform, but for methods that re-sample; of one
attribute, as with digits, LMLE's rounds and the triplets have class-equal ones, and *deferred re-sampling* has
what LMLE has but for the embedding: its batches, and its margin and rates among the trials. Learning rates are
LMLE's for every method: a warm-up, the peak for as long as LMLE is pre-trained, and a cycle, warm-up and fall to
zero, over what are LMLE's rounds. LMLE is
pre-trained by BCE with the margin of its classifier; CLMLE, the triplets and *prior features* by plain BCE.
Round 0 alone, *prior features*, with one cycle, is one exception, the longer training of `table` mode among
the ablations the other. Not counted are images that are forwarded without learning from them: in rounds with
angular margins up to 4,096 every 50 iterations, to move the centroids, and in `table` mode those that are
mined, each time. The weight decay was chosen once for all methods, on the accuracy of BCE, in the search for
the recipe. What a method's settings change is in the table of what was tried."""

_CHOSEN = """**What is chosen, and on what.** The settings of a method are chosen once, among the trials listed below,
by the balanced accuracy of its own rule on the validation splits of the first seeds, meaned over as many as the table
names. Thresholds, the weights and biases of a calibration, and the number of neighbours and clusters are chosen on the
validation split of each seed. Labels of the test split are looked at for scores alone, with one exception that favours
the rivals: the best calibrated rival, and the rule that decided best, are picked by them."""

_SEEDS = """**What a seed draws.** Its own procedural faces, or its own rotations and backgrounds of the digits and
which five of them are reduced; the initial weights, the batches and their augmentation. All methods of a seed share
its images, so differences are paired. The digits and photographs themselves, and their split, are the same for every
seed; CelebA's images are, too."""

_INTERVALS = """**What the intervals mean.** Over seeds: the 95 % Student t interval of the mean, or of the mean
paired difference; it holds the chance of training and of the images drawn. With few seeds it is wide: three seeds
put 4.3, five 2.8 standard errors on each side. Over images: the paired percentile bootstrap over the test split, the
trained networks held; it holds the chance of the test images alone. It draws the people whose faces they are, and the
450 digits that have four views each, since their images are not independent. Of a rank correlation: the bootstrap
over attributes. No interval is corrected for the number of comparisons."""

_LIMITS = (
    "How far gains carry over to photographs of people: the faces are procedural, their label noise of a known kind.",
    "Large trunks, pre-trained ones, and long schedules, but for what the settings above name.",
    "A fuller search for each rival: a method has the trials listed above, no more.",
    "Settings chosen for each rule: those that a method's own rule chose are what its other rules decide with.",
)

_WHY = {
    "celeba": "CelebA: not run here, for want of the data; the command is above.",
    "faces-gpu": "Faces at CelebA's size on a GPU: there is no record of `lmle study faces-gpu`.",
    "faces-ablation": "What each part is worth on faces: there is no record of `lmle study faces-ablation`.",
    "digits-ablation": "What each part is worth on digits: there is no record of `lmle study digits-ablation`.",
    "faces": "Faces on two cores: there is no record of `lmle study faces`.",
    "digits": "Digits: there is no record of `lmle study digits`.",
}


def protocol(records: Mapping[str, StudyRecord]) -> list[str]:
    """Paragraphs and tables: what is the same, what is chosen, what a seed draws, what intervals mean."""
    parts = [_SAME, *filter(None, (_budget(record) for record in records.values())), _CHOSEN]
    for name, record in records.items():
        parts += [f"Tried in the study {name}; validation, percent:", trials_table(record.comparisons.values())]
    return [*parts, _SEEDS, _INTERVALS]


def missing(records: Mapping[str, StudyRecord]) -> list[str]:
    """What the page does not show: studies without a record, methods and seeds that a record lacks, and the limits."""
    found = [_WHY.get(name, f"There is no record of `lmle study {name}`.") for name in STUDIES if name not in records]
    for name, record in records.items():
        study = STUDIES.get(name)
        if study is None:
            continue
        lacking = {
            comparison: [title(method, TITLES) for method in study.methods if method not in measured.trials]
            for comparison, measured in record.comparisons.items()
        }
        for comparison, absent in lacking.items():
            if absent:
                found.append(f"The comparison {comparison} was made without: {'; '.join(absent)}.")
        unmade = [variant for variant in study.variants if variant not in record.comparisons]
        if unmade:
            found.append(f"Of the study {name}: the comparisons {', '.join(unmade)}. The record was made without them.")
        if " --data " in record.command and name != "celeba":
            found.append(f"Of the study {name}: images of its own for each seed. All have those of one folder.")
        if earlier := other_settings(record):
            found.append(f"Of the study {name}: its settings of now. The record was made with {earlier}.")
        if seen := seen_seeds(record):
            found.append(f"Of the study {name}: {seen}")
        for comparison, measured in record.comparisons.items():
            if len(seeds := measured.comparison.seeds) < study.seeds_of(comparison):
                meant = study.seeds_of(comparison)
                found.append(f"The comparison {comparison} was made of {seeds_text(seeds)}; {meant} are meant.")
    rivals = [name for name in METHODS if name not in (*ABLATIONS, "shipped")]
    known = {method for record in records.values() for each in record.comparisons.values() for method in each.trials}
    if unknown := "; ".join(title(name, TITLES) for name in rivals if name not in known):
        found.append(f"Methods that `lmle compare` has and no record here: {unknown}.")
    return [*found, *_LIMITS]


def seen_seeds(record: StudyRecord) -> str:
    """That a record is of seeds by which something was chosen; '' where it is not."""
    study = STUDIES.get(record.name)
    first = next(iter(study.configs().values())).seed if study else 0
    if min(record.seeds) >= first:
        return ""
    return (
        f"its record is of seeds {', '.join(map(str, record.seeds))}, whose test images were known while the recipe "
        f"was still changed; by those from {first} on nothing was chosen."
    )


def other_settings(record: StudyRecord) -> str:
    """The settings of a record that its study has no more; '' where there are none."""
    study = STUDIES.get(record.name)
    now = load_config(study.preset).identity() if study else {}
    return ", ".join(
        f"`{section}.{key}` {setting_text(value)}"
        for section, values in record.recipe.items()
        for key, value in values.items()
        if section in now and key in now[section] and rounded(now[section][key]) != value
    )


def _budget(record: StudyRecord) -> str:
    """Settings of a study, and how many images a training sees."""
    settings = ", ".join(f"`{key}` {setting_text(value)}" for key, value in record.settings.items())
    last = list(record.comparisons.values())[-1]
    seen = {standing.key[0]: standing.images_seen for standing in last.comparison.standings}
    usual = Counter(seen.values()).most_common(1)[0][0]
    others = ", ".join(f"{title(method, TITLES)} {images:,.0f}" for method, images in seen.items() if images != usual)
    where = f" ({last.name})" if len(record.comparisons) > 1 else ""
    number, hours = _trainings(record)
    return (
        f"The study {record.name}: {settings or 'no setting of its own'}; all else is its revision's default. "
        f"A training sees {usual:,.0f} images{where}{f', but {others}' if others else ''}. "
        f"{number:,} trainings, {hours:.1f} hours if they were one after the other."
    )


def _trainings(record: StudyRecord) -> tuple[int, float]:
    """How many a study has, and the hours that they take, by the mean of those that were scored."""
    number, hours = 0, 0.0
    for measured in record.comparisons.values():
        seconds = {each.key[0]: each.seconds.mean for each in measured.comparison.standings}
        for method, each in seconds.items():
            more = len(measured.comparison.seeds) - measured.trial_seeds
            made = len(measured.trials[method]) * measured.trial_seeds + more
            number += made
            hours += made * each / 3600
    return number, hours
