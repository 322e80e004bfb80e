"""The five metrics of both models in DuckDB's SQL, ROC AUC from the mean ranks, without intervals."""

import duckdb

from common import FILES, MODELS, SLICES, say

METRICS = ("accuracy", "f1", "log_loss", "brier", "roc_auc")
# Rows up to and with the last equal score, and rows before the first: their mean is the mean rank.
RANKED = """
    SELECT {slice} AS slice, label, {model} AS score,
        (rank() OVER scores + count(*) OVER scores) / 2.0 AS mean_rank
    FROM read_parquet('{file}') WINDOW scores AS (PARTITION BY {slice} ORDER BY {model} RANGE UNBOUNDED PRECEDING)
"""
MEASURED = """
    SELECT slice,
        avg(CAST((score >= 0.5) = (label = 1) AS INTEGER)),
        2.0 * count(*) FILTER (score >= 0.5 AND label = 1) / (count(*) FILTER (score >= 0.5) + sum(label)),
        -avg(CASE label WHEN 1 THEN ln(score) ELSE ln(1 - score) END),
        avg((score - label) * (score - label)),
        (sum(mean_rank) FILTER (label = 1) - sum(label) * (sum(label) + 1) / 2.0)
            / (sum(label) * CAST(count(*) - sum(label) AS DOUBLE))
    FROM ({ranked}) GROUP BY slice
"""
numbers = {}
for model in MODELS:
    for column in [None, *SLICES]:
        ranked = RANKED.format(slice=column or "'all'", model=model, file=FILES[0])
        for value, *found in duckdb.sql(MEASURED.format(ranked=ranked)).fetchall():
            name = f"{column}={value}" if column else "all"
            numbers |= {f"{model}/{metric}/{name}": number for metric, number in zip(METRICS, found)}
say(numbers)
