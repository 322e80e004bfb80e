"""The five metrics of both models in scikit-learn, without intervals."""

import numpy as np
import pyarrow.parquet as pq
from sklearn import metrics

from common import FILES, MODELS, SCORED, SLICES, say


def measured(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    decision = score >= 0.5
    return {
        "accuracy": metrics.accuracy_score(label, decision),
        "f1": metrics.f1_score(label, decision),
        "log_loss": metrics.log_loss(label, score),
        "brier": metrics.brier_score_loss(label, score),
        "roc_auc": metrics.roc_auc_score(label, score),
    }


table = pq.read_table(FILES[0], columns=[*SCORED, *SLICES], read_dictionary=SLICES)
label = table["label"].to_numpy()
slices = {"all": np.arange(len(label))}
for column in SLICES:
    texts = table[column].combine_chunks()
    places = texts.indices.to_numpy()
    ordered = np.split(np.argsort(places, kind="stable"), np.cumsum(np.bincount(places))[:-1])
    slices |= {f"{column}={value}": rows for value, rows in zip(texts.dictionary.to_pylist(), ordered)}
numbers = {}
for model in MODELS:
    score = table[model].to_numpy()
    for name, rows in slices.items():
        found = measured(label[rows], score[rows])
        numbers |= {f"{model}/{metric}/{name}": value for metric, value in found.items()}
say(numbers)
