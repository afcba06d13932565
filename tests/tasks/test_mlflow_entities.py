"""Parameters and tables in the layouts that MLflow shows."""

from typing import Any

from tasks.mlflow_entities import attribute_table, flatten


def test_flatten_names_sections_and_writes_values_as_json() -> None:
    values = {"seed": 0, "loss": {"kind": "hinge", "margins": [0.1, 0.2], "weights": None, "squared": False}}
    assert flatten(values) == {
        "seed": "0", "loss.kind": "hinge", "loss.margins": "[0.1, 0.2]", "loss.weights": "null",
        "loss.squared": "false",
    }  # fmt: skip


def test_the_table_has_a_row_an_attribute_and_no_lists() -> None:
    scores: dict[str, dict[str, Any]] = {
        "Bald": {"support": [9, 1], "tpr": 1.0, "balanced_accuracy": 0.9},
        "Male": {"support": [5, 5], "tpr": None, "balanced_accuracy": None},
    }
    assert attribute_table(scores) == {
        "columns": ["attribute", "tpr", "balanced_accuracy"],
        "data": [["Bald", 1.0, 0.9], ["Male", None, None]],
    }
