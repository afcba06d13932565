"""Health of an embedding: how much of the sphere its samples use, and the error that a collapse raises."""

from collections.abc import Iterable, Mapping

import numpy as np


class Collapse(RuntimeError):  # noqa: N818 - the name of what happened
    """An embedding that maps its samples to almost one point; training it further does not bring it back."""


def spread(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """How much of the sphere each group of embeddings uses.

        ‖ σ_1, …, σ_D ‖, with σ_d the standard deviation of dimension d over the samples

    For unit vectors that is √(1 − ‖mean‖²): 1 when they are uniform on the sphere, 0 when all are equal.

    Args:
        blocks: n samples in all, each block (b, G, D) unit vectors; one is held at a time.

    Returns:
        (G,) float64; sums are accumulated in float64, around the first sample, so that nearly equal vectors do not
        cancel.

    Raises:
        ValueError: without samples, or where an embedding is not finite.
    """
    n = 0
    origin = total = squares = np.zeros(())
    for embeddings in blocks:
        if embeddings.ndim != 3 or len(embeddings) == 0:
            raise ValueError(f"embeddings: expected shape (n, G, D) with n at least 1, got {embeddings.shape}")
        if n == 0:
            origin = embeddings[0].astype(np.float64)
        block = embeddings.astype(np.float64) - origin
        if not np.isfinite(block).all():
            row, group, _ = np.argwhere(~np.isfinite(block))[0]
            raise ValueError(f"embeddings[{n + row}, {group}]: expected unit vectors, found inf or NaN")
        n += len(block)
        total = total + block.sum(axis=0)
        squares = squares + np.square(block).sum(axis=0)
    if n == 0:
        raise ValueError("embeddings: expected at least one block of them, got none")
    variance = np.maximum(squares / n - np.square(total / n), 0)
    return np.sqrt(variance.sum(axis=1))


def refuse_collapse(
    spreads: Mapping[str, float], least: float, loss: float | None = None, ceiling: float | None = None
) -> None:
    """Raise `Collapse`, which names the worst and what helps, if any attribute's spread is under the least.

    Args:
        spreads: by attribute, as `spread` returns them.
        least: the least spread that is accepted.
        loss: the hinge at the end of the round, where that is the loss.
        ceiling: what it is where all distances are equal, g1 + g2 + g3.
    """
    fallen = {name: value for name, value in spreads.items() if not value >= least}
    if not fallen:
        return
    worst = sorted(fallen.items(), key=lambda item: item[1])
    named = ", ".join(f"{name} {value:.3f}" for name, value in worst[:5])
    if len(worst) > 5:
        named += f" and {len(worst) - 5} more"
    message = (
        f"the embedding of {len(worst)} attribute{'s' if len(worst) > 1 else ''} has collapsed: expected a spread "
        f"of at least {least:g} (1: uniform on the sphere), found {named}."
    )
    if loss is not None and ceiling is not None:
        stuck = ", which is where equal distances leave it" if abs(loss - ceiling) < 0.05 * ceiling else ""
        message += f" The loss is {loss:.3f}, against g1 + g2 + g3 = {ceiling:.3f}{stuck}."
    raise Collapse(
        message
        + " Start from pre-trained features (prior.kind bce), train on plain distances (loss.squared false) over "
        "fewer candidates (quintuplets.positives, quintuplets.impostors) with larger margins (loss.margins), at a "
        "lower training.learning_rate, or with loss.kind centroid-margin; in table mode, redraw the candidates "
        "more often (quintuplets.redraw)."
    )
