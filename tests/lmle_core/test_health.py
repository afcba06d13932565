"""Spread of an embedding against its definition, and the message of a collapse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.health import Collapse, refuse_collapse, spread


def unit(array: np.ndarray) -> np.ndarray:
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


@given(seed=st.integers(0, 1000), n=st.integers(1, 60), groups=st.integers(1, 3), size=st.integers(1, 61))
@settings(max_examples=40)
def test_spread_is_the_norm_of_the_standard_deviations(seed: int, n: int, groups: int, size: int) -> None:
    embeddings = unit(np.random.default_rng(seed).normal(size=(n, groups, 5)) + 0.5)
    expected = [np.linalg.norm(embeddings[:, g].astype(np.float64).std(axis=0)) for g in range(groups)]
    np.testing.assert_allclose(spread([embeddings]), expected, atol=1e-9)
    blocks = (embeddings[lo : lo + size] for lo in range(0, n, size))
    np.testing.assert_allclose(spread(blocks), expected, atol=1e-9)
    mean = embeddings.astype(np.float64).mean(axis=0)
    geometric = np.sqrt(np.maximum(1 - np.square(mean).sum(axis=-1), 0))
    np.testing.assert_allclose(spread([embeddings]), geometric, atol=1e-3)


def test_spread_runs_from_nothing_to_one() -> None:
    rng = np.random.default_rng(0)
    uniform = unit(rng.normal(size=(5_000, 1, 16)))
    point = np.repeat(uniform[:1], 300, axis=0)
    close = unit(uniform[:1] + 1e-6 * rng.normal(size=(300, 1, 16)))
    assert spread(np.array_split(uniform, 40))[0] == pytest.approx(1, abs=0.01)
    assert spread(np.array_split(point, 3))[0] == 0
    expected = np.linalg.norm(close[:, 0].astype(np.float64).std(axis=0))
    assert spread(np.array_split(close, 3))[0] == pytest.approx(expected, rel=1e-6)


def test_embeddings_without_samples_or_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(n, G, D\) with n at least 1, got \(0, 2, 3\)"):
        spread([np.zeros((0, 2, 3), np.float32)])
    embeddings = np.ones((4, 2, 3), np.float32)
    embeddings[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"embeddings\[2, 1\]: expected unit vectors, found inf or NaN"):
        spread([embeddings])
    with pytest.raises(ValueError, match=r"embeddings\[6, 1\]"):
        spread([np.ones((4, 2, 3), np.float32), embeddings])
    with pytest.raises(ValueError, match="got none"):
        spread([])


def test_a_collapse_names_attributes_spread_loss_and_what_to_do() -> None:
    refuse_collapse({"Bald": 0.5, "Male": 0.2}, 0.1)
    with pytest.raises(Collapse) as caught:
        refuse_collapse({"Bald": 0.5, "Male": 0.04}, 0.1, loss=0.799, ceiling=0.8)
    message = str(caught.value)
    for part in (
        "1 attribute ",
        "at least 0.1",
        "Male 0.040",
        "0.799",
        "g1 + g2 + g3 = 0.800, which is where",
        "prior.kind",
    ):
        assert part in message
    assert "Bald" not in message


def test_a_spread_that_is_no_number_is_a_collapse_too() -> None:
    with pytest.raises(Collapse, match="Male nan"):
        refuse_collapse({"Bald": 0.5, "Male": float("nan")}, 0.1)
