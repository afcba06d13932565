"""The network f(x): a trunk shared by all attributes, an embedding head an attribute, and a classifier beside them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from lmle_core.artefact import fsync, write_atomically
from lmle_core.spelling import did_you_mean

SIX_LAYER = "six-layer"
WEIGHTS = "model.safetensors"
AUXILIARY = ("googlenet", "inception_v3")
"""torchvision's models with classifiers on the way, which are left out."""


@dataclass(frozen=True)
class NetworkSpec:
    """What a network is made of; stored beside its weights.

    Attributes:
        trunk: 'six-layer' or the name of a torchvision classification model.
        width: channels of the six-layer trunk's first convolution.
        attributes: A, the number of attributes.
        classes: C, the number of classes of each attribute.
        dimensions: d, of each attribute's embedding.
        precision: of the trunk's arithmetic; 'auto': bfloat16 on a GPU, float32 on a CPU; 'bfloat16': on a CPU, too,
            where it has the instructions.
    """

    trunk: str
    width: int
    attributes: int
    classes: int
    dimensions: int
    precision: str = "auto"


class Output(NamedTuple):
    """What a forward pass gives: features (B, F), embeddings (B, A, d) of unit length, logits (B, A, C)."""

    features: Tensor
    embeddings: Tensor
    logits: Tensor


class Pooled(nn.Module):
    """In the place of a trunk's classifying layer: features (B, F), of a map (B, F, H, W) the means."""

    def forward(self, features: Tensor) -> Tensor:
        """The features."""
        return features.mean((2, 3)) if features.dim() == 4 else features


class Network(nn.Module):
    """Trunk, heads and classifier over uint8 images (B, 3, H, W).

    Features are standardised over the batch (running statistics in evaluation), so that their cosine is informative
    and round 0 may cluster them as they are.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.trunk, width = _trunk(spec)
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.heads = nn.Linear(width, spec.attributes * spec.dimensions)
        self.classifier = nn.Linear(width, spec.attributes * spec.classes)

    def features(self, images: Tensor) -> Tensor:
        """Standardised trunk features, shape (B, F), float32, of images (B, 3, H, W), uint8.

        In bfloat16 computes the trunk alone: a bfloat16 distance is wrong by as much as a margin.
        """
        wanted = images.device.type == "cuda" or self.spec.precision == "bfloat16"
        scaled = images.to(torch.float32, memory_format=torch.channels_last).sub_(127.5).div_(64.0)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=wanted and has_bfloat16(images.device)):
            found = self.trunk(scaled)
        return self.standardise(found.float())

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings, shape (B, A, d), unit length, of features (B, F)."""
        raw = self.heads(features).unflatten(1, (self.spec.attributes, self.spec.dimensions))
        return functional.normalize(raw, dim=-1)

    def forward(self, images: Tensor) -> Output:
        """All outputs for images (B, 3, H, W), uint8."""
        features = self.features(images)
        logits = self.classifier(features).unflatten(1, (self.spec.attributes, self.spec.classes))
        return Output(features, self.embed(features), logits)


@cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16: a GPU from compute capability 8.0 on.

    Where a CPU does not, torch's emulation is ten times slower than float32; cuDNN has no such convolutions for a GPU.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16"))


def build_network(spec: NetworkSpec, seed: int) -> Network:
    """A freshly initialised network; the same seed gives the same weights, and global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # a GPU's is left alone, which torch.manual_seed seeds too
        return Network(spec).to(memory_format=torch.channels_last)


def save_network(network: Network, directory: Path) -> None:
    """Write `model.safetensors` and `model.json` into a directory; the second, whole, says that both are there."""
    state = {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(state, directory / WEIGHTS)
    fsync(directory / WEIGHTS)
    write_atomically(directory / "model.json", json.dumps(asdict(network.spec), indent=1))


def load_network(directory: Path, device: torch.device | str = "cpu") -> Network:
    """The network that `save_network` wrote, in evaluation mode."""
    spec = NetworkSpec(**json.loads((directory / "model.json").read_text()))
    network = build_network(spec, seed=0)
    network.load_state_dict(load_file(directory / WEIGHTS))
    return network.to(device).eval()


def load_trunk_weights(network: Network, weights: Path) -> None:
    """Put a torchvision state dict into the trunk; the weights of its last, classifying layer are ignored.

    Raises:
        ValueError: if the file does not fit the trunk, naming the first parameters that are missing.
    """
    state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    wanted = network.trunk.state_dict()
    missing = [name for name in wanted if name not in state or state[name].shape != wanted[name].shape]
    if missing:
        raise ValueError(
            f"{weights}: no weights of the right shape for {len(missing)} of {len(wanted)} entries of the trunk "
            f"{network.spec.trunk!r}, first {missing[0]!r}: expected a state dict of that torchvision model"
        )
    network.trunk.load_state_dict({name: state[name] for name in wanted})


def trunks() -> list[str]:
    """Names of the trunks: 'six-layer', and torchvision's classification models."""
    import torchvision.models

    return [SIX_LAYER, *torchvision.models.list_models(module=torchvision.models)]


def check_trunk(kind: str, height: int, width: int) -> None:
    """Raise ValueError for a trunk that is not known, or that does not take images of this size."""
    network = build_network(NetworkSpec(kind, 1, 1, 2, 2), seed=0)
    try:
        network(torch.zeros(2, 3, height, width, dtype=torch.uint8))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(f"trunk.kind {kind!r} does not take images of {height} x {width}: {error}") from None


def _trunk(spec: NetworkSpec) -> tuple[nn.Module, int]:
    if spec.trunk == SIX_LAYER:
        return _six_layer(spec.width)
    import torchvision.models

    valid = trunks()
    if spec.trunk not in valid:
        hint = did_you_mean(spec.trunk, valid) or f"expected one of {', '.join(valid)}"
        raise ValueError(f"trunk.kind {spec.trunk!r} is not known; {hint}")
    options = {"aux_logits": False, "init_weights": False} if spec.trunk in AUXILIARY else {}
    model = torchvision.models.get_model(spec.trunk, weights=None, **options)
    for name in ("fc", "classifier", "head", "heads"):  # torchvision's names for the classifying layer
        if hasattr(model, name):
            setattr(model, name, Pooled())
            break
    with torch.no_grad():
        width = model.eval()(torch.zeros(1, 3, 224, 224)).shape[1]
    return model.train(), width


def _six_layer(width: int) -> tuple[nn.Module, int]:
    """Six 3×3 convolutions with batch normalisation; four halve the side; features from a 2×2 pooled map."""
    channels = [width * factor for factor in (1, 2, 3, 4, 6, 8)]
    layers: list[nn.Module] = []
    previous = 3
    for number, stride in zip(channels, (2, 2, 1, 2, 1, 2), strict=True):
        layers += [
            nn.Conv2d(previous, number, 3, stride, 1, bias=False),
            nn.BatchNorm2d(number),
            nn.ReLU(inplace=True),
        ]
        previous = number
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * previous, 2 * previous)]
    return nn.Sequential(*layers), 2 * previous
