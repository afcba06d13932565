"""The words of `docs/scaling.md` around the numbers of `benchmarks.scaling_model`."""

INTRODUCTION = """# Scaling

<!-- generated from records by `python -m benchmarks.scaling_model` -->

What a run costs with more images and more GPUs, and where it breaks first. The costs of a core are measured, on the
processors that the records name; no run of this size was made, and what a GPU and a cluster do is assumed where no
record says it."""

CHECKED = """The model takes exact mining for quadratic in the images, the start of k-means, beyond the reading, for
constant, since its sample is bounded, and everything else for linear: what the smaller size predicts is held against
the larger one. The first rows are elapsed seconds, once each, of the records behind
[benchmarks](../benchmarks/README.md); those of one thread are processor seconds, the median with the lowest and the
highest, on a machine that did much other work at the time, which costs processor seconds too. A core's cost of
ingestion, features and training is that of their records at their own size."""

UNMEASURED = """One worker process against two, and what a task costs the scheduler: not measured yet;
`python -m benchmarks.scaling workers`."""

SPREAD = """The same work over one worker process and over two. As far as two take no more processor seconds than one,
only the scheduler's part is lost by spreading. Elapsed seconds are those of a machine that did other work too."""

DIVIDED = """A round of training at the default settings of its record's revision, in one process and in two that share
each batch and exchange outputs and gradients ([several processes](distributed.md)), by gloo on one machine; elapsed
seconds, each training in fresh processes. What two lose against one of two threads is the price of the exchange, and of
the loss that each of them computes whole."""

ASSUMED = """A GPU is taken to do a stage's operations as much faster than a core as it does more float32 operations in
a second. A small network reaches less, bfloat16 more. A record of a stage on a GPU (`python -m benchmarks --scale
full`) replaces the assumption for features and training."""

TIMES = """The default settings: six-layer trunk, two rounds. A stage takes as long as what it needs most of:
operations, storage, memory to GPU, the scheduler. Network and storage are taken to grow with the GPUs; everything but
training and the start of k-means spreads over the workers. Training is taken on one GPU, and what it would take on all
of them without any loss is aside, not in the sum: [several processes](distributed.md) lie in between, since they divide
a batch of 256 images, and exchange outputs and gradients in each step. The start of k-means reads all embeddings in the
process that runs the flow, and does not become faster with more workers. Mining is in `table` mode alone, and aside.
Choosing and calibrating the index, and scoring, look at validation and test images once more, and are left out, as is
the network between the machines, which no record measures."""

LIMITS = {
    "labels and clusters in training, int64": (
        "Nothing yet: as int8 and int32 on the device they would be a third. Until then, fewer attributes a run or a "
        "sample of the images"
    ),
    "clusters of a round, int32, and their copies": (
        "Slots leave the workers once, after the last pass, and not in each"
    ),
    "labels, int8": "Workers that need pixels read none, k-means sends each those of its blocks",
    "quintuplets of `table` mode": "`quintuplets.subset` makes them fewer; `batch` mode, the default, has none",
    "mapped chunks of the image store": (
        "`data.shard` up to 8,192 makes them eight times fewer; or a higher `vm.max_map_count`. Each is an open file, "
        "too: a process raises its limit to the hard one, and is refused beyond it"
    ),
    "calibration of the rule, on a tenth for validation": (
        "Nothing yet: a smaller validation split, since what it fits are A × C + 2 numbers"
    ),
    "resamples of a tenth for test, a rival": "Nothing yet: a smaller test split",
    "file names": "A task carries the number of its shard, and no names",
    "one attribute's embeddings in exact mining": "One attribute at a time; `quintuplets.subset` makes them fewer",
    "images on disk": "Whole chunks, read by path and mapped, never sent",
    "embeddings on disk, float32": (
        "Read and written by path, never sent. float16 would be half, and is not written: near ties of mining would "
        "fall otherwise. Two rounds' are needed at a time; `lmle gc --delete` removes what no run needs"
    ),
    "sums of a k-means pass, through the scheduler": (
        "Workers add blocks up to at most 256 spans: this is the most that a pass sends, at 128 slots"
    ),
    "centroids of the index, exact": (
        "The rule compares with centroids and not with images, so a flat, exact index stays small at any size"
    ),
}
"""What the design does about each thing that grows."""
