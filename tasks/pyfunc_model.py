"""The model as MLflow loads it ("models from code"): image files in, a label and a margin of each attribute out.

MLflow runs this file when it loads the model, with the copy of `lmle_core` that was logged beside it.
"""

import os
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import mlflow
import numpy as np
import pandas as pd

COLUMNS = ("image", "path")
LARGE = 4_000_000
"""Pixels; larger images are decoded one at a time, so that many requests at once do not fill the memory."""
SHOWN = 10


class ImageClassifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Classifies by the run's network and centroids; artifact `run` is a folder with `model/` and `index/`."""

    def load_context(self, context: Any) -> None:
        """Load network and centroids.

        Raises:
            ValueError: if LMLE_SERVE_ROOT is set and no folder.
        """
        from lmle_core.classifier import Classifier  # the logged copy; on the path once loading starts
        from lmle_core.payload import ROOT_VARIABLE, served_root

        self.root = served_root(os.environ.get(ROOT_VARIABLE))
        self.classifier = Classifier.load(Path(context.artifacts["run"]))
        self.large = Lock()

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify images.

        Args:
            context: not used.
            model_input: one of two columns. `image`: a JPEG, PNG, WebP or BMP file in each row, in base64 or as bytes;
                `path`: that of such a file below the folder LMLE_SERVE_ROOT.
            params: not used.

        Returns:
            For each attribute a column of its name (class, int32) and one `<name>_margin` (best score minus second,
            float32).

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, which a server answers with status 400, naming each bad row.
        """
        from lmle_core.payload import MOST_ROWS

        column = _column(model_input)
        if len(model_input) > MOST_ROWS:
            raise _refused(f"expected at most {MOST_ROWS} rows, found {len(model_input)}: send them in parts")
        pixels = np.empty((len(model_input), *self.classifier.shape), np.uint8)
        wrong = {}
        for row, value in enumerate(model_input[column]):
            try:
                self._decode(column, value, pixels[row])
            except ValueError as error:
                wrong[row] = str(error)
        if wrong:
            listed = "; ".join(f"row {row}: {reason}" for row, reason in list(wrong.items())[:SHOWN])
            raise _refused(f"{len(wrong)} of {len(model_input)} images refused: {listed}")
        found = self.classifier.classify_pixels(pixels)
        columns: dict[str, np.ndarray] = {}
        for a, attribute in enumerate(self.classifier.attributes):
            columns[attribute] = found.labels[:, a].astype(np.int32)
            columns[f"{attribute}_margin"] = found.margins[:, a].astype(np.float32)
        return pd.DataFrame(columns, index=model_input.index)

    def _decode(self, column: str, value: object, out: np.ndarray) -> None:
        from lmle_core.payload import check_image, file_bytes, sent_bytes

        data = sent_bytes(value) if column == "image" else file_bytes(value, self.root)
        with self.large if check_image(data) > LARGE else nullcontext():
            self.classifier.decode(data, out)


def _column(model_input: pd.DataFrame) -> str:
    found = [column for column in COLUMNS if column in model_input]
    if len(found) != 1:
        raise _refused(
            f"expected rows with one of the columns {' and '.join(COLUMNS)}, found {' and '.join(found) or 'neither'}"
        )
    return found[0]


def _refused(message: str) -> Exception:
    return mlflow.exceptions.MlflowException.invalid_parameter_value(message)


mlflow.models.set_model(ImageClassifier())
