"""Which candidates the hinge over batch members can have of classes that overlap, without a collapse (decision 9)."""

import pytest
import torch
from torch.nn import functional

from lmle_core.batch_quintuplets import batch_quintuplet_distances
from lmle_core.config import Config
from lmle_core.health import spread
from lmle_core.losses import triple_header_hinge

IMAGES, FEATURES = 512, 16
MARGINS = (0.1, 0.2, 0.5)


def trained_head(positives: int, impostors: int) -> tuple[float, float]:
    """Spread and last loss of a linear head over normal features, of classes that 16 % of the images lie across."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(IMAGES) % 2
    features = torch.randn(IMAGES, FEATURES, generator=generator)
    features[:, 0] += 2 * labels - 1
    features = torch.cat([features, torch.ones(IMAGES, 1)], dim=1)
    clusters = 2 * labels + torch.randint(2, (IMAGES,), generator=generator)
    head = torch.randn(FEATURES + 1, 8, generator=generator).requires_grad_()
    optimiser = torch.optim.Adam([head], 0.02)
    loss = torch.zeros(())
    for _ in range(300):
        picks = torch.randint(IMAGES, (128,), generator=generator)
        distances = batch_quintuplet_distances(
            functional.normalize(features[picks] @ head, dim=1)[:, None],
            clusters[picks][:, None],
            torch.tensor([[0, 0, 1, 1]]),
            positives=positives,
            impostors=impostors,
            generator=generator,
        )
        loss = triple_header_hinge(distances, torch.tensor(MARGINS)).total.mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    embeddings = functional.normalize(features @ head.detach(), dim=1)
    return float(spread([embeddings[:, None].numpy()])[0]), loss.item()


def test_classes_that_overlap_collapse_over_many_candidates_and_not_over_the_default_ones() -> None:
    collapsed, loss = trained_head(6, 54)
    assert collapsed < 0.02
    assert loss == pytest.approx(sum(MARGINS), abs=0.02)
    pools = Config().quintuplets
    assert pools.positives is not None and pools.impostors is not None
    kept, _ = trained_head(pools.positives, pools.impostors)
    assert kept > 0.4
