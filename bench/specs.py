"""Writes the specs that modelgate is measured with. They are JSON, which is YAML."""

import json
from pathlib import Path

FLOATS = [f"float_{number:02}" for number in range(20)]
SLICES = ["region", "channel", "carrier", "hour", "segment"]
TEXTS = [*SLICES, "plan", "product", "store", "campaign", "postcode"]
METRICS = {"accuracy": "max_drop", "f1": "max_drop", "roc_auc": "max_drop", "log_loss": "max_rise", "brier": "max_rise"}


def performance(by: list[str]) -> dict:
    """Five metrics of both models with paired intervals, over all rows and each slice."""
    checks = [{"performance.regression": {"metric": m, key: 0.01, "slices": "all"}} for m, key in METRICS.items()]
    return {"slices": [{"by": column} for column in by], "checks": checks}


def claims(count: int) -> dict:
    """So many claims about all rows, the metrics in turn, no two with the same limit."""
    kinds = list(METRICS.items())
    turns = [(*kinds[number % len(kinds)], 0.01 + number / 10_000) for number in range(count)]
    return {"checks": [{"performance.regression": {"metric": m, key: limit}} for m, key, limit in turns]}


def scores() -> dict:
    """The distribution of the scores of both models."""
    return {"checks": [{"drift.prediction": {"against": "baseline"}}]}


def features(data: Path, reference: Path) -> dict:
    """The distribution of thirty features in the data and in a reference."""
    return {
        "columns": {"label": "label", "features": [*FLOATS, *TEXTS]},
        "data": {"test": data.name, "train": reference.name},
        "checks": [{"drift.feature": {}}],
    }


def scoring() -> dict:
    """One number of each of two ONNX models beside the data."""
    return {
        "candidate": {"onnx": "candidate.onnx"},
        "baseline": {"onnx": "baseline.onnx"},
        "checks": [{"performance.regression": {"metric": "accuracy", "max_drop": 0.02}}],
    }


def write(path: Path, data: Path, suite: dict) -> Path:
    """A spec beside its data."""
    spec = {
        "version": 1,
        "model": {"name": "bench", "task": "binary"},
        "candidate": {"column": "candidate"},
        "baseline": {"column": "baseline"},
        "columns": {"label": "label", "features": FLOATS},
        "data": {"test": data.name},
        "suites": {"bench": {"checks": ["*"]}},
        **suite,
    }
    path.write_text(json.dumps(spec, indent=2) + "\n")
    return path
