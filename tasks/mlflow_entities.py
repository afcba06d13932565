"""What MLflow stores beside metrics: parameters, the data set's card, and a table that its UI shows."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

TABLE = "attributes.json"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as parameters: `section.key` to text; a string as it is, anything else as JSON."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def dataset_input(data: Mapping[str, Any]) -> Any:
    """The data set by its metadata alone, from summary.json's entry `data`."""
    entities = import_module("mlflow.entities")
    profile = {
        "images": data["images"],
        **{f"images_{split}": count for split, count in data["split"].items()},
        "quarantined": data["quarantined"],
        "attributes": len(data["attributes"]),
    }
    dataset = entities.Dataset(
        name="images",
        digest=str(data["digest"])[:36],
        source_type="code",
        source=json.dumps({"tags": {"lmle.data": str(data["digest"])}}),
        profile=json.dumps(profile),
    )
    context = entities.InputTag("mlflow.data.context", "training, validation and test")
    return entities.DatasetInput(dataset, [context])


def attribute_table(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Each attribute's scores in the layout of MLflow's tables; columns that hold lists are left out."""
    first = next(iter(attributes.values()))
    columns = [key for key, value in first.items() if not isinstance(value, list)]
    rows = [[name, *(values[column] for column in columns)] for name, values in attributes.items()]
    return {"columns": ["attribute", *columns], "data": rows}


def table_tags() -> dict[str, str]:
    """The tag by which MLflow's UI finds the table."""
    return {"mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}])}
