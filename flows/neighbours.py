"""`lmle neighbours`: the training images that a run finds alike an image, as a table and a picture."""

from pathlib import Path

import numpy as np

from flows.exits import UsageError
from flows.runs import artefact_of, find_model_run
from flows.tables import print_rows
from lmle_core.classifier import Classifier
from lmle_core.figures import neighbour_grid, save
from lmle_core.neighbours import nearest
from lmle_core.spelling import did_you_mean
from lmle_core.store import ImageStore


def show_neighbours(workspace: Path, model: str, image: Path, attribute: str | None, k: int, out: Path | None) -> None:
    """Print the nearest training images, and draw them.

    Args:
        workspace: of the run.
        model: a run's name or path, or an address of MLflow's.
        image: a file.
        attribute: in whose embedding; None: the model's first.
        k: how many.
        out: a PNG file; None: no picture.

    Raises:
        UsageError: for a wrong name or file, and where the run's embeddings or images are gone.
    """
    if out is not None and (out.suffix.lower() != ".png" or not out.absolute().parent.is_dir()):
        raise UsageError(f"--out {out}: expected the name of a .png file in a folder that is there")
    run = find_model_run(workspace, model)
    store = ImageStore.open(artefact_of(run, "store", workspace))
    features = artefact_of(run, "features", workspace)
    classifier = Classifier.load(run.path)
    number = _position(classifier.attributes, attribute)
    pixels = np.empty((1, *classifier.shape), np.uint8)
    try:
        classifier.decode(image.read_bytes(), pixels[0])
    except (OSError, ValueError) as error:
        raise UsageError(f"{image}: {getattr(error, 'strerror', None) or error}") from None
    embeddings, logits = classifier.encoder.with_logits(pixels)
    labels, margins = classifier.index.classify(embeddings, logits)
    name, label, margin = classifier.attributes[number], int(labels[0, number]), float(margins[0, number])
    found = nearest(embeddings[0, number], name, store, features, k)
    same = int((found.labels == label).sum())
    print(
        f"{image.name}: {name} {label}, margin {margin:.3f}; {same} of {len(found.rows)} neighbours are labelled so\n"
    )
    columns = zip(found.filenames, found.distances.tolist(), found.labels.tolist(), strict=True)
    print_rows(("file", "distance", "label"), [(file, f"{far:.4f}", str(each)) for file, far, each in columns])
    if out is not None:
        shown = store.gather(found.rows)
        answer = f"found {label}, margin {margin:.2f}"
        save(neighbour_grid(name, pixels[0], answer, shown, found.labels.tolist(), found.distances.tolist()), out)
        print(f"\npicture {out}")


def _position(attributes: tuple[str, ...], name: str | None) -> int:
    if name is None:
        return 0
    if name in attributes:
        return attributes.index(name)
    hint = did_you_mean(name, attributes) or f"there are: {', '.join(attributes)}"
    raise UsageError(f"--attribute {name!r}: the model has no such attribute; {hint}")
