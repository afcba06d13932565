"""The sections of the configuration, one for each stage, with every setting's default and what it means."""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lmle_core.config.section import Section
from lmle_core.location import Location

NotNegative = Annotated[float, Field(ge=0)]
Angle = Annotated[float, Field(ge=0, le=math.pi / 2)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Data(Section):
    """Where the images come from: a folder in CelebA's layout, procedural faces, or scikit-learn's digits."""

    directory: Location | None = Field(
        None, description="Folder in CelebA's layout, or its URL (s3://…). Without one, procedural faces are made."
    )
    more: tuple[Location, ...] = Field(
        (),
        description="Folders in CelebA's layout, or URLs, whose images are appended in this order; names differ.",
    )
    source: Literal["faces", "digits"] = Field(
        "faces", description="Without a directory: procedural faces, or scikit-learn's digits over photographs."
    )
    attributes: tuple[str, ...] = Field((), description="Attributes to learn, in this order. Empty: all of them.")
    images: int = Field(6000, ge=50, description="Procedural faces to make; not used with a directory.")
    label_noise: float = Field(
        0.05,
        ge=0,
        lt=0.5,
        description="Procedural faces: share of the rarer class's labels that are wrong, rates kept.",
    )
    held_out: tuple[float, float] = Field(
        (0.1, 0.1), description="Procedural faces: shares for validation and test, in whole identities."
    )
    removed: float = Field(
        0, ge=0, lt=1, description="Digits: share of the training images that five of the ten classes lose."
    )
    height: int = Field(64, ge=16, le=512, description="Stored height in pixels.")
    width: int = Field(64, ge=16, le=512, description="Stored width in pixels.")
    crop: Literal["centre", "none"] = Field(
        "centre", description="'centre': the largest centred window of the stored aspect ratio; 'none': stretch."
    )
    shard: int = Field(1024, ge=16, le=8192, description="Images in a shard, which is one zarr chunk.")
    quarantine: float = Field(0.01, ge=0, le=1, description="Share of undecodable images over which the run stops.")

    @model_validator(mode="after")
    def _some_to_train_on(self) -> Self:
        if min(self.held_out) <= 0 or sum(self.held_out) >= 1:
            raise ValueError(f"held_out: expected two positive shares that sum to less than 1, found {self.held_out}")
        return self


class Trunk(Section):
    """The network that all attributes share."""

    kind: str = Field("six-layer", description="'six-layer', or the name of a torchvision classification model.")
    width: int = Field(16, ge=4, le=128, description="Channels of the six-layer network's first convolution.")
    precision: Literal["auto", "bfloat16"] = Field(
        "auto",
        description="'auto': bfloat16 on a GPU, float32 on a CPU; 'bfloat16': on a CPU, too, if it multiplies in it.",
    )


class Prior(Section):
    """Round 0: the features of the first clustering, and what the network starts from."""

    kind: Literal["bce", "identity", "torchvision", "pca"] = Field(
        "bce",
        description="'bce': pre-train the trunk on the attributes; 'identity': on identities, as the paper; "
        "'torchvision': a backbone with weights from a file; 'pca': principal components of pixels.",
    )
    epochs: float = Field(6, gt=0, description="Epochs of pre-training.")
    learning_rate: float = Field(4e-3, gt=0, description="Peak learning rate of pre-training.")
    decay: bool = Field(
        False, description="Let the learning rate fall to zero in pre-training; else it falls over the rounds alone."
    )
    weights: Path | None = Field(None, description="Weights file (state dict) for 'torchvision'.")
    components: int = Field(128, ge=2, description="Principal components for 'pca'.")

    @property
    def is_trained(self) -> bool:
        """Whether it is trained by gradients here, on some of the images that a run sees."""
        return self.kind in {"bce", "identity"}


class Cluster(Section):
    """K-means of each class of each attribute."""

    size: int = Field(1000, ge=2, description="Images in a cluster, l: K = max(2, n_c / l).")
    per_class: int | None = Field(None, ge=1, description="The same number of clusters for each class instead.")
    maximum: int = Field(64, ge=1, description="Most clusters for a class.")
    iterations: int = Field(20, ge=1, description="Most Lloyd iterations.")
    tolerance: float = Field(1e-3, ge=0, description="Stop when the inertia falls by less than this share.")
    engine: Literal["auto", "torch", "dask", "faiss"] = Field(
        "auto", description="'auto': the GPU where the run has one and Dask's workers have not several, else Dask."
    )


class Quintuplets(Section):
    """Which images form a quintuplet: anchor, p+, p-, p-- and n."""

    mode: Literal["batch", "table"] = Field(
        "batch", description="'batch': among a batch's members; 'table': mined over a subset, as in the paper."
    )
    subset: float = Field(0.5, gt=0, le=1, description="'table': share of the training set that is mined.")
    positives: int | None = Field(
        2, ge=1, description="Candidates in each own-class set; null: all (exact). Many, of hard classes, collapse."
    )
    impostors: int | None = Field(
        1, ge=1, description="Impostor candidates; null: all (exact). Many, of hard classes, collapse."
    )
    redraw: int = Field(
        50, ge=1, description="Iterations after which 'table' mines anew, and the centroid margin moves its centroids."
    )


class Loss(Section):
    """What a batch is trained on."""

    kind: Literal["hinge", "centroid-margin", "softmax-ratio"] = Field(
        "hinge", description="The triple-header hinge, angular margins to centroids, or quintuplets by soft extremes."
    )
    squared: bool = Field(False, description="Squared distances, as the paper; they collapse easily.")
    margins: tuple[NotNegative, NotNegative, NotNegative] | None = Field(
        (0.1, 0.2, 0.5), description="g1, g2, g3 of the hinge; null: from geometry."
    )
    sphere_share: float = Field(0.5, gt=0, le=1, description="Share s of the sphere in use, for geometric margins.")
    temperature: float = Field(0.1, gt=0, description="Softmax ratio and centroid margin: τ, of similarities.")
    margin: float = Field(0.1, ge=0, description="Softmax ratio: margin, in units of similarity.")
    cluster_weight: float = Field(
        0.3, ge=0, description="Softmax ratio and centroid margin: λ, the weight of clusters within a class."
    )
    adjusted: bool = Field(
        True, description="Softmax ratio: sums instead of means, so that the embedding fits likelihoods; no costs then."
    )
    angles: tuple[Angle, Angle] = Field(
        (0.1, 0.05), description="Centroid margin: angular margins between classes and between clusters, radians."
    )
    embedding_weight: float = Field(0.3, ge=0, description="Weight of the embedding's loss.")
    bce_weight: float = Field(1.0, ge=0, description="Weight of the multi-task BCE beside the embedding's loss.")
    bce_margin: float = Field(
        1.0,
        ge=0,
        description="Taken off the label's logit in BCE, in units of logits, and in pre-training by BCE; 0: plain.",
    )

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if not (self.embedding_weight or self.bce_weight):
            raise ValueError("embedding_weight and bce_weight are both 0: nothing would be trained")
        return self


class Training(Section):
    """Rounds of training."""

    rounds: int = Field(2, ge=1, description="Rounds of cluster, mine, train.")
    epochs: float = Field(2, gt=0, description="Epochs in a round, where iterations is null.")
    iterations: int | None = Field(None, ge=1, description="Iterations in a round.")
    batch: int = Field(256, ge=8, description="Images in a batch (table mode: quintuplets).")
    learning_rate: float = Field(4e-3, gt=0, description="Peak learning rate (one cycle over all rounds).")
    weight_decay: float = Field(0.2, ge=0, description="Decoupled weight decay.")
    dimensions: int = Field(64, ge=2, description="Dimensions d of each attribute's embedding.")
    sampler: Literal["auto", "uniform", "class-equal", "minority"] = Field(
        "auto", description="'auto': class-equal for one attribute, uniform for several."
    )
    minority: int = Field(8, ge=1, description="'minority': least members of each attribute's rarest class in a batch.")
    costs: Literal["auto", "none", "inverse"] = Field(
        "auto", description="Class costs 1/p: 'auto' has them where neither batches nor loss balance the classes."
    )
    flip: bool = Field(True, description="Augment by mirroring.")
    shift: float = Field(0.06, ge=0, le=0.5, description="Augment by shifting up to this share of the side.")


class Index(Section):
    """The decision rule's centroids; the candidates are compared on the validation split."""

    clusters_per_class: tuple[Positive, ...] = Field((1, 2, 4, 8), min_length=1, description="Clusters for each class.")
    neighbours: tuple[Count, ...] = Field((0, 3, 8), min_length=1, description="k nearest centroids; 0: all of them.")
    calibrate: bool = Field(
        True,
        description="Calibrate the rule, and the classifier's log-odds beside it; false: the rule alone, as it is.",
    )


class Evaluation(Section):
    """Test metrics, their intervals, and the baselines."""

    bootstrap: int = Field(
        1000, ge=100, description="Bootstrap samples for each interval, of the test images, or of people where known."
    )
    bce: bool = Field(True, description="Train the BCE baseline: same trunk, same number of images seen.")
    pca: bool = Field(True, description="The rule over principal components of pixels, as a baseline.")
    least_spread: float = Field(0.1, ge=0, lt=1, description="A smaller spread is a collapse and stops the run.")
    least_balanced_accuracy: float = Field(0, ge=0, le=1, description="Quality gate on the mean; below it: exit 5.")


class Promotion(Section):
    """Retraining: when a challenger takes the champion's place, what it starts from, and which drift is a warning."""

    least_gain: float = Field(
        0,
        ge=-100,
        le=100,
        description="Points of mean balanced accuracy on the frozen test images that the lower end of the gain's 95 % "
        "interval is to be above.",
    )
    most_loss: float = Field(5, ge=0, le=100, description="Points of balanced accuracy that an attribute may lose.")
    warm_start: bool = Field(
        False, description="Start from the champion's network, whose features take the place of the prior's."
    )
    drift: float = Field(
        0.2, gt=0, description="Population stability index of labels or clusters above which drift is a warning."
    )


class Engines(Section):
    """How and where a run computes; no result depends on it beyond the machine's own arithmetic."""

    device: str = Field("auto", description="'auto', 'cpu', 'cuda' or 'cuda:N'.")
    threads: int = Field(0, ge=0, description="CPU threads of training; 0: the cores.")
    parallel: int = Field(
        0, ge=0, description="Experiments of a comparison at a time; 0: one a GPU, or one a core where there is none."
    )
    processes: int = Field(1, ge=1, description="Processes that train one network, on each node: one a GPU.")
    nodes: int = Field(1, ge=1, description="Machines that train one network; the others run `lmle join`.")
    rendezvous: str | None = Field(
        None, pattern=r"^\S+:\d+$", description="This machine's name and a free port, host:port, where nodes meet."
    )
    checkpoint: int = Field(200, ge=1, description="Training iterations between checkpoints.")
    dask_address: str | None = Field(None, description="A Dask scheduler; null: LMLE_DASK_ADDRESS, else a local one.")
    dask_workers: int = Field(0, ge=0, description="Processes of the local cluster; 0: the cores.")
    dask_memory: str = Field("4GiB", description="Memory limit of a local worker; torch alone takes 0.8 GiB.")
    tracking_uri: str | None = Field(None, description="MLflow; null: MLFLOW_TRACKING_URI, else the workspace's own.")
    experiment: str = Field("lmle", min_length=1, description="MLflow experiment.")
    model: str = Field(
        "lmle", pattern=r"^[^\s/:'][^/:']*$", description="Name in MLflow's model registry; without ' / and :."
    )
    storage: str | None = Field(
        None, description="URL of a storage that several machines' workspaces share; null: LMLE_STORAGE, else none."
    )
    workspace: Path | None = Field(None, description="Where artefacts go; null: LMLE_WORKSPACE, else ./workspace.")

    @model_validator(mode="after")
    def _nodes_meet(self) -> Self:
        if (self.nodes > 1) != (self.rendezvous is not None):
            raise ValueError(
                f"nodes and rendezvous go together, found {self.nodes} and {self.rendezvous}: for several nodes name "
                "this machine and a free port as host:port"
            )
        if self.nodes * self.processes > 1 and self.device.startswith("cuda:"):
            raise ValueError(f"device {self.device!r} is one GPU, and each process takes its own: use 'cuda' or 'auto'")
        return self
