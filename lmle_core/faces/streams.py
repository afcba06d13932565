"""Random numbers by position: row i of a stream is the same whichever rows are asked for with it.

Philox is a counter-based generator, so that a row is reached by setting the counter and not by drawing what comes
before it. That is what makes an image depend on (seed, i) alone, for any number of workers and any order.
"""

import numpy as np
from numpy.typing import NDArray

IDENTITY_STREAM = 1
IMAGE_STREAM = 2
NOISE_STREAM = 3
PAINT_STREAM = 4

_WORDS = 4  # 64-bit words for each step of Philox's counter


def rows(seed: int, stream: int, indices: range, columns: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), of shape (len(indices), columns).

    Args:
        seed: the data set's seed.
        stream: which of the independent streams.
        indices: consecutive rows.
        columns: length of a row; a stream has one length for ever, since it sets where a row lies.

    Raises:
        ValueError: if the indices are not consecutive, or negative.
    """
    if indices.step != 1 or indices.start < 0:
        raise ValueError(f"indices: expected consecutive non-negative ones, range(start, stop), got {indices!r}")
    steps = -(-columns // _WORDS)
    bits = np.random.Philox(np.random.SeedSequence([seed, stream]))
    bits.advance(indices.start * steps)
    return np.random.Generator(bits).random((len(indices), steps * _WORDS))[:, :columns]


def painter(seed: int, i: int) -> np.random.Generator:
    """The generator of everything in image i that has no row of its own: strands, clutter, noise."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, PAINT_STREAM, i])))
