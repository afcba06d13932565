import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.faces.streams import IDENTITY_STREAM, IMAGE_STREAM, painter, rows


@given(start=st.integers(0, 200), length=st.integers(0, 30), columns=st.integers(1, 13))
def test_a_row_is_the_same_whichever_rows_come_with_it(start: int, length: int, columns: int) -> None:
    whole = rows(3, IMAGE_STREAM, range(250), columns)
    assert np.array_equal(rows(3, IMAGE_STREAM, range(start, start + length), columns), whole[start : start + length])


def test_rows_are_uniform_and_streams_and_seeds_differ() -> None:
    first = rows(0, IMAGE_STREAM, range(20_000), 5)
    assert first.shape == (20_000, 5)
    assert abs(first.mean() - 0.5) < 0.01
    assert abs(first.std() - 12**-0.5) < 0.01
    for other in (rows(1, IMAGE_STREAM, range(20_000), 5), rows(0, IDENTITY_STREAM, range(20_000), 5)):
        assert abs(np.corrcoef(first[:, 0], other[:, 0])[0, 1]) < 0.05
    assert abs(np.corrcoef(first[:-1, 0], first[1:, 0])[0, 1]) < 0.05


@pytest.mark.parametrize("indices", [range(0, 10, 2), range(-1, 3)])
def test_rows_that_are_not_consecutive_are_refused(indices: range) -> None:
    with pytest.raises(ValueError, match="consecutive non-negative"):
        rows(0, IMAGE_STREAM, indices, 4)


def test_each_image_has_a_painter_of_its_own() -> None:
    assert painter(0, 5).random() == painter(0, 5).random()
    assert len({painter(seed, i).random() for seed in range(3) for i in range(3)}) == 9
