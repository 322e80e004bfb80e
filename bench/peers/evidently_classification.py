"""Evidently's classification preset: the candidate beside the baseline, over all rows; it knows no slices."""

import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.presets import ClassificationPreset

from common import FILES, say

METRICS = {"Accuracy": "accuracy", "F1Score": "f1", "RocAuc": "roc_auc", "LogLoss": "log_loss"}


def scored(model: str) -> Dataset:
    """The rows with a decision at 0.5 and the score of one model."""
    rows = pd.read_parquet(FILES[0], columns=["label", model]).rename(columns={model: "score"})
    task = BinaryClassification(target="label", prediction_probas="score", pos_label=1)
    return Dataset.from_pandas(rows, data_definition=DataDefinition(classification=[task]))


found = Report([ClassificationPreset(probas_threshold=0.5)]).run(scored("candidate"), scored("baseline")).dict()
named = {metric["config"]["type"].rsplit(":")[-1]: metric["value"] for metric in found["metrics"]}
say({f"candidate/{metric}/all": named[name] for name, metric in METRICS.items()})
