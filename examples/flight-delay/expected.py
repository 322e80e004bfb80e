"""What scikit-learn and scipy say about the models: the numbers that modelgate has to reach."""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

from flights import FEATURES

THRESHOLD = 0.5
LONG_HAUL = "distance > 1500"

warnings.simplefilter("ignore", UndefinedMetricWarning)


def expect(train: pd.DataFrame, test: pd.DataFrame, history: pd.DataFrame) -> dict:
    """All expectations. `test` and `history` carry the scores of each model in a column of its name."""
    others = ["candidate", "leaky", "swapped"]
    return {
        "threshold": THRESHOLD,
        "metrics": {model: by_slice(test, model) for model in ["baseline", *others]},
        "against_baseline": {model: compare(test["delayed"], test["baseline"], test[model]) for model in others},
        "backtest": backtest(history),
        "leakage": leakage(train, test),
    }


def by_slice(rows: pd.DataFrame, model: str) -> dict:
    """Metrics over all rows and over each slice."""
    parts = {"all": rows, LONG_HAUL: rows.query(LONG_HAUL)}
    for column in ("carrier", "origin"):
        parts |= {f"{column}={value}": part for value, part in rows.groupby(column)}
    return {name: measure(part["delayed"], part[model]) for name, part in parts.items()}


def measure(label: pd.Series, score: pd.Series) -> dict:
    """The metrics of one model on some rows, `None` where one is undefined."""
    decision = score >= THRESHOLD
    undefined = {"zero_division": np.nan}
    values = {
        "accuracy": metrics.accuracy_score(label, decision),
        "precision": metrics.precision_score(label, decision, **undefined),
        "recall": metrics.recall_score(label, decision, **undefined),
        "f1": metrics.f1_score(label, decision, **undefined),
        "roc_auc": metrics.roc_auc_score(label, score),
        "log_loss": metrics.log_loss(label, score, labels=[0, 1]),
        "brier": metrics.brier_score_loss(label, score),
        "rmse": metrics.root_mean_squared_error(label, score),
        "mae": metrics.mean_absolute_error(label, score),
    }
    counts = {"rows": len(label), "positives": int(label.sum())}
    return counts | {name: number(value) for name, value in values.items()}


def number(value: float) -> float | None:
    """JSON has no name for what is undefined but `null`."""
    return None if np.isnan(value) else float(value)


def compare(label: pd.Series, baseline: pd.Series, model: pd.Series) -> dict:
    """Changed decisions, and the distance between both distributions of scores."""
    right_before = (baseline >= THRESHOLD) == label
    right_now = (model >= THRESHOLD) == label
    return {
        "flips": float((right_before != right_now).mean()),
        "corrected": int((~right_before & right_now).sum()),
        "broken": int((right_before & ~right_now).sum()),
        "ks": float(ks_2samp(baseline, model).statistic),
    }


def backtest(history: pd.DataFrame) -> dict:
    """The ranking per month of departure, over the flights that had landed when the month was over."""
    month = history["scheduled_at"].dt.to_period("M")
    known = history["landed_at"] <= (month + 1).dt.start_time
    months = {str(name): rank(rows, known[rows.index]) for name, rows in history.groupby(month)}
    return {"months": months, "pooled": rank(history, known)}


def rank(rows: pd.DataFrame, known: pd.Series) -> dict:
    """The area under the ROC curve of both honest models on the rows whose label is known."""
    used = rows[known]
    areas = {model: metrics.roc_auc_score(used["delayed"], used[model]) for model in ("baseline", "candidate")}
    return {"rows": len(used), "left_out": len(rows) - len(used), "roc_auc": areas}


def leakage(train: pd.DataFrame, test: pd.DataFrame) -> dict:
    """Planes and complete feature rows that occur on both sides of the split."""
    shared = test["tail_number"].isin(train["tail_number"].dropna())
    seen = pd.MultiIndex.from_frame(train[FEATURES])
    return {
        "rows_with_shared_tail_number": int(shared.sum()),
        "shared_tail_numbers": int(test.loc[shared, "tail_number"].nunique()),
        "rows_with_features_in_train": int(pd.MultiIndex.from_frame(test[FEATURES]).isin(seen).sum()),
    }
