"""DuckDB's `GROUPING SETS` with six plain averages: what one would write without intervals and without ROC AUC."""

import duckdb

from common import FILES, MODELS, SLICES, say

AVERAGES = {
    "mean": "{model}",
    "accuracy": "CAST((({model} >= 0.5) = (label = 1)) AS INTEGER)",
    "brier": "({model} - label) * ({model} - label)",
}
names = [(model, metric) for model in MODELS for metric in AVERAGES]
averages = ", ".join(f"avg({AVERAGES[metric].format(model=model)})" for model, metric in names)
rows = duckdb.sql(f"""
    SELECT {", ".join(SLICES)}, {averages} FROM read_parquet('{FILES[0]}')
    GROUP BY GROUPING SETS ((), {", ".join(f"({column})" for column in SLICES)})
""").fetchall()
numbers = {}
for row in rows:
    values = [f"{column}={value}" for column, value in zip(SLICES, row) if value is not None]
    found = zip(names, row[len(SLICES) :])
    numbers |= {f"{model}/{metric}/{values[0] if values else 'all'}": value for (model, metric), value in found}
say(numbers)
