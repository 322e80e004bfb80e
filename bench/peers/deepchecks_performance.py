"""Deepchecks' performance of two models, over all rows: the baseline in the place of training data."""

import numpy as np
import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import TrainTestPerformance

from common import FILES, FLOATS, MODELS, say

# What Deepchecks calls them; that which is better when it is smaller it gives with the other sign.
METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "roc_auc": "roc_auc",
    "neg_log_loss": "log_loss",
    "neg_brier_score": "brier",
}

rows = pd.read_parquet(FILES[0], columns=[*FLOATS[:1], "label", *MODELS])
dataset = Dataset(rows[[*FLOATS[:1], "label"]], label="label", cat_features=[])
probabilities = {model: np.stack([1 - rows[model], rows[model]], axis=1) for model in MODELS}
decisions = {model: (rows[model] >= 0.5).astype(int).to_numpy() for model in MODELS}
found = TrainTestPerformance(scorers=list(METRICS), n_samples=len(rows)).run(
    dataset,
    dataset,
    y_pred_train=decisions["baseline"],
    y_pred_test=decisions["candidate"],
    y_proba_train=probabilities["baseline"],
    y_proba_test=probabilities["candidate"],
    with_display=False,
)
models = {"Train": "baseline", "Test": "candidate"}
values = found.value[["Dataset", "Metric", "Value"]].itertuples(index=False)
say({f"{models[part]}/{METRICS[metric]}/all": abs(value) for part, metric, value in values})
