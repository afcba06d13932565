"""The model as MLflow loads it ("models from code"): image files in, a label and a margin of each attribute out.

MLflow runs this file when it loads the model, with the copy of `lmle_core` that was logged beside it.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd


class ImageClassifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Classifies by the run's network and centroids; artifact `run` is a folder with `model/` and `index/`."""

    def load_context(self, context: Any) -> None:
        """Load network and centroids."""
        from lmle_core.classifier import Classifier  # the logged copy; on the path once loading starts

        self.classifier = Classifier.load(Path(context.artifacts["run"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify images.

        Args:
            context: not used.
            model_input: column `image`: the bytes of a JPEG or PNG file in each row.
            params: not used.

        Returns:
            For each attribute a column of its name (class, int32) and one `<name>_margin` (best score minus second,
            float32).

        Raises:
            ValueError: naming the position of an image that cannot be decoded.
        """
        found = self.classifier.classify([bytes(image) for image in model_input["image"]])
        columns: dict[str, np.ndarray] = {}
        for a, attribute in enumerate(self.classifier.attributes):
            columns[attribute] = found.labels[:, a].astype(np.int32)
            columns[f"{attribute}_margin"] = found.margins[:, a].astype(np.float32)
        return pd.DataFrame(columns, index=model_input.index)


mlflow.models.set_model(ImageClassifier())
