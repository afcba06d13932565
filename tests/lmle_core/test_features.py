"""Rows of the artefact, across its chunks."""

from pathlib import Path

import numpy as np
import pytest

from lmle_core.features import Features


@pytest.mark.parametrize("groups", [1, 3])
def test_rows_and_attributes_are_those_of_the_array(tmp_path: Path, groups: int) -> None:
    values = np.random.default_rng(0).normal(size=(50, groups, 4)).astype(np.float32)
    features = Features.create(tmp_path, 50, (groups, 4), 16)
    features.array[:] = values
    for rows in (np.arange(50), np.array([3, 15, 16, 17, 49]), np.array([], np.int64)):
        np.testing.assert_array_equal(features.rows(rows), values[rows])
        for attribute in range(3):
            expected = values[rows, attribute if groups > 1 else 0]
            np.testing.assert_array_equal(features.of_attribute(rows, attribute), expected)
