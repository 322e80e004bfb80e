"""Writes the specs that modelgate is measured with. They are JSON, which is YAML."""

import json
from pathlib import Path

SLICES = ["region", "channel", "carrier", "hour", "segment"]
METRICS = {"accuracy": "max_drop", "f1": "max_drop", "roc_auc": "max_drop", "log_loss": "max_rise", "brier": "max_rise"}


def performance(by: list[str]) -> tuple[list, list]:
    """Five metrics of both models with paired intervals, over all rows and each slice."""
    checks = [{"performance.regression": {"metric": m, key: 0.01, "slices": "all"}} for m, key in METRICS.items()]
    return checks, by


def claims(count: int) -> tuple[list, list]:
    """So many claims about all rows, the metrics in turn, no two with the same limit."""
    kinds = list(METRICS.items())
    turns = [(*kinds[number % len(kinds)], 0.01 + number / 10_000) for number in range(count)]
    return [{"performance.regression": {"metric": m, key: limit}} for m, key, limit in turns], []


def drift() -> tuple[list, list]:
    """What there is of drift: the distribution of the scores."""
    return [{"drift.prediction": {"against": "baseline"}}], []


def write(path: Path, data: Path, suite: tuple[list, list]) -> Path:
    """A spec beside its data."""
    checks, by = suite
    spec = {
        "version": 1,
        "model": {"name": "bench", "task": "binary"},
        "candidate": {"column": "candidate"},
        "baseline": {"column": "baseline"},
        "columns": {"label": "label", "features": ["float_00"]},
        "data": {"test": data.name},
        "slices": [{"by": column} for column in by],
        "suites": {"bench": {"checks": ["*"]}},
        "checks": checks,
    }
    path.write_text(json.dumps(spec, indent=2) + "\n")
    return path
