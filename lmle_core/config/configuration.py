"""The whole configuration: its sections, what they must agree on, and what identifies the run that it asks for."""

from typing import Any, Self

from pydantic import Field, model_validator

from lmle_core.artefact import digest_of
from lmle_core.config.section import Section
from lmle_core.config.stages import (
    Cluster,
    Data,
    Engines,
    Evaluation,
    Index,
    Loss,
    Prior,
    Promotion,
    Quintuplets,
    Training,
    Trunk,
)

LEAST_TEMPERATURE = 0.03
"""Of the softmax ratio, whose weights exp(−2 / τ) are then above 1e-30."""
BALANCED_TWICE = (
    "training.costs 'inverse' would balance the classes twice: the batches, the table or the loss do it already; use "
    "'auto'"
)


class Config(Section):
    """Everything that a run can be told; the Prefect parameter and its form in the UI."""

    seed: int = Field(0, ge=0, lt=2**31, description="The one seed of everything random.")
    data: Data = Data()
    trunk: Trunk = Trunk()
    prior: Prior = Prior()
    cluster: Cluster = Cluster()
    quintuplets: Quintuplets = Quintuplets()
    loss: Loss = Loss()
    training: Training = Training()
    index: Index = Index()
    evaluation: Evaluation = Evaluation()
    promotion: Promotion = Promotion()
    engines: Engines = Engines()

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.quintuplets.mode == "table" and self.loss.kind != "hinge":
            raise ValueError("quintuplets.mode 'table' trains on loss.kind 'hinge': set one of the two")
        if self.loss.kind == "softmax-ratio" and self.loss.temperature < LEAST_TEMPERATURE:
            raise ValueError(f"loss.temperature below {LEAST_TEMPERATURE} underflows with loss.kind 'softmax-ratio'")
        if self.training.costs == "inverse" and self.balanced:
            raise ValueError(BALANCED_TWICE)
        if self.prior.kind == "torchvision" and self.prior.weights is None:
            raise ValueError("prior.kind 'torchvision' needs prior.weights, a state-dict file of the trunk's model")
        return self

    @property
    def balanced(self) -> bool:
        """Whether batches, table or loss balance the classes, however many attributes there are."""
        by_loss = self.loss.kind == "centroid-margin" or (self.loss.kind == "softmax-ratio" and self.loss.adjusted)
        return by_loss or self.training.sampler in {"class-equal", "minority"} or self.quintuplets.mode == "table"

    def digest(self) -> str:
        """Identifies what the run computes; paths and the sections `APART` do not count."""
        return digest_of(self.identity())

    def view(self, *names: str) -> "Config":
        """This configuration with only the named sections, or `section.key`s, and the engines; the rest is default.

        A stage gets a view of what it depends on, so that its key says so and it cannot read anything else.
        """
        values: dict[str, Any] = {"engines": self.engines}
        for name in names:
            section, _, key = name.partition(".")
            if key:
                values.setdefault(section, {})[key] = getattr(getattr(self, section), key)
            else:
                values[section] = getattr(self, section)
        return Config.model_validate(values)
