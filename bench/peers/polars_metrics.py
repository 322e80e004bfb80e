"""The five metrics of both models in Polars, without intervals."""

import polars as pl

from common import FILES, MODELS, SLICES, say

METRICS = ("accuracy", "f1", "log_loss", "brier", "roc_auc")


def measured(model: str) -> list[pl.Expr]:
    score, label = pl.col(model), pl.col("label").cast(pl.Float64)
    decision, positives = score >= 0.5, label.sum()
    likelihood = pl.when(label == 1).then(score.log()).otherwise((1 - score).log())
    ranks_of_positives = (score.rank("average") * label).sum()
    metrics = {
        "accuracy": (decision == (label == 1)).mean(),
        "f1": 2 * (decision * label).sum() / (decision.sum() + positives),
        "log_loss": -likelihood.mean(),
        "brier": ((score - label) ** 2).mean(),
        "roc_auc": (ranks_of_positives - positives * (positives + 1) / 2) / (positives * (pl.len() - positives)),
    }
    return [metric.alias(f"{model}/{name}") for name, metric in metrics.items()]


rows = pl.scan_parquet(FILES[0])
metrics = [metric for model in MODELS for metric in measured(model)]
queries = [rows.select(pl.lit("all").alias("slice"), *metrics)]
for column in SLICES:
    name = pl.concat_str(pl.lit(f"{column}="), column).alias("slice")
    queries.append(rows.group_by(column).agg(metrics).select(name, pl.exclude(column)))
numbers = {}
for frame in pl.collect_all(queries):
    for row in frame.iter_rows(named=True):
        name = row.pop("slice")
        numbers |= {f"{metric}/{name}": value for metric, value in row.items()}
say(numbers)
