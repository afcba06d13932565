import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmle_core.celeba.facts import ATTRIBUTES, POSITIVE_RATE
from lmle_core.faces.dependencies import NETWORK
from lmle_core.faces.population import IMAGES_PER_IDENTITY, draw_attributes, draw_population, identity_of, mislabel

IMAGES = 20_000


def columns(labels: NDArray[np.int8], *names: str) -> NDArray[np.bool_]:
    return labels[:, [ATTRIBUTES.index(name) for name in names]].astype(bool)


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int8]:
    return draw_attributes(0, range(IMAGES))


def test_the_network_has_each_attribute_once_and_after_its_parents() -> None:
    seen: set[str] = set()
    for node in NETWORK:
        assert set(node.effects) <= seen, node.name
        assert 0 <= node.identity <= 1
        seen.add(node.name)
    assert seen == set(ATTRIBUTES)
    assert len(NETWORK) == len(ATTRIBUTES)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_has_celebas_rate(labels: NDArray[np.int8], name: str) -> None:
    rate = columns(labels, name).mean()
    expected = POSITIVE_RATE[name]
    assert abs(rate - expected) <= max(0.015, 0.15 * expected), f"{name}: {rate:.4f}, CelebA {expected:.4f}"


def test_what_excludes_each_other_never_meets(labels: NDArray[np.int8]) -> None:
    colours = columns(labels, "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Bald")
    assert colours.sum(1).max() == 1
    assert columns(labels, "Straight_Hair", "Wavy_Hair", "Bald").sum(1).max() == 1
    assert columns(labels, "Bangs", "Receding_Hairline", "Bald").sum(1).max() == 1
    kinds = columns(labels, "5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns").any(1)
    no_beard, male = columns(labels, "No_Beard", "Male").T
    assert not (kinds & no_beard).any()
    assert not (~no_beard & ~male).any()
    for name in ("Heavy_Makeup", "Wearing_Lipstick"):
        assert not (columns(labels, name)[:, 0] & male).any()
    for name in ("Bald", "Wearing_Necktie"):
        assert not (columns(labels, name)[:, 0] & ~male).any()


@pytest.mark.parametrize(
    ("name", "given_name", "more"),
    [
        ("Gray_Hair", "Young", False),
        ("Receding_Hairline", "Young", False),
        ("Double_Chin", "Young", False),
        ("Wearing_Earrings", "Male", False),
        ("Arched_Eyebrows", "Male", False),
        ("Mouth_Slightly_Open", "Smiling", True),
        ("High_Cheekbones", "Smiling", True),
        ("Attractive", "Young", True),
        ("Wearing_Lipstick", "Heavy_Makeup", True),
        ("Double_Chin", "Chubby", True),
    ],
)
def test_attributes_depend_on_one_another(labels: NDArray[np.int8], name: str, given_name: str, more: bool) -> None:
    attribute, condition = columns(labels, name, given_name).T
    assert (attribute[condition].mean() > 1.3 * attribute[~condition].mean()) == more
    assert (attribute[condition].mean() < attribute[~condition].mean()) != more


def test_an_identity_keeps_what_belongs_to_a_person_and_changes_the_rest(labels: NDArray[np.int8]) -> None:
    def agreement(name: str) -> float:
        """Share of an identity's images that agree with its majority, averaged over identities."""
        mean = columns(labels, name)[:, 0].reshape(-1, IMAGES_PER_IDENTITY).mean(1)
        return float(np.maximum(mean, 1 - mean).mean())

    assert agreement("Male") == 1
    assert agreement("Young") > 0.95
    assert agreement("Black_Hair") > 0.9
    for name in ("Smiling", "Mouth_Slightly_Open"):
        assert agreement(name) < 0.7


@settings(max_examples=20)
@given(start=st.integers(0, 400), length=st.integers(0, 60), seed=st.integers(0, 5))
def test_an_image_is_the_same_whichever_images_are_drawn_with_it(start: int, length: int, seed: int) -> None:
    whole = draw_population(seed, range(500))
    part = draw_population(seed, range(start, start + length))
    assert np.array_equal(part.labels, whole.labels[part.indices])
    assert np.array_equal(part.degrees, whole.degrees[part.indices])
    assert np.array_equal(part.looks, whole.looks[part.indices])
    assert np.array_equal(part.pose, whole.pose[part.indices])


def test_looks_belong_to_the_identity_and_the_pose_to_the_image() -> None:
    population = draw_population(1, range(200))
    identity = identity_of(population.indices)
    for i in range(1, 200):
        assert np.array_equal(population.looks[i], population.looks[i - 1]) == (identity[i] == identity[i - 1])
    assert len(np.unique(population.pose, axis=0)) == 200


def test_wrong_labels_are_as_many_false_positives_as_false_negatives(labels: NDArray[np.int8]) -> None:
    noise = 0.2
    noisy = mislabel(labels, 0, range(IMAGES), noise)
    for column, name in enumerate(ATTRIBUTES):
        false_positives = int(((noisy == 1) & (labels == 0))[:, column].sum())
        false_negatives = int(((noisy == 0) & (labels == 1))[:, column].sum())
        expected = noise * min(POSITIVE_RATE[name], 1 - POSITIVE_RATE[name]) * IMAGES
        for count in (false_positives, false_negatives):
            assert abs(count - expected) < 5 * expected**0.5 + 0.15 * expected, name


def test_label_noise_follows_its_definition_label_by_label(labels: NDArray[np.int8]) -> None:
    """Flip chances by a slow loop: of each class, the share that is wrong over many images."""
    noise = 0.1
    wrong = mislabel(labels, 7, range(IMAGES), noise) != labels
    for column, name in enumerate(ATTRIBUTES):
        rate = POSITIVE_RATE[name]
        for value in (0, 1):
            members = labels[:, column] == value
            is_minority = (value == 1) == (rate <= 0.5)
            rarer = min(rate, 1 - rate)
            chance = noise if is_minority else noise * rarer / (1 - rarer)
            share = wrong[members, column].mean()
            assert abs(share - chance) < 5 * (chance * (1 - chance) / members.sum()) ** 0.5, (name, value)


def test_no_noise_changes_nothing_and_a_row_does_not_depend_on_its_company(labels: NDArray[np.int8]) -> None:
    assert np.array_equal(mislabel(labels, 0, range(IMAGES), 0.0), labels)
    whole = mislabel(labels[:100], 0, range(100), 0.3)
    assert np.array_equal(mislabel(labels[40:60], 0, range(40, 60), 0.3), whole[40:60])


@pytest.mark.parametrize("noise", [-0.1, 0.5, 1.0])
def test_impossible_label_noise_is_refused(labels: NDArray[np.int8], noise: float) -> None:
    with pytest.raises(ValueError, match="label_noise: expected a share"):
        mislabel(labels[:2], 0, range(2), noise)
