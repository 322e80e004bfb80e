"""Evidently's drift preset on the thirty features: rows against the reference."""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from common import FILES, FLOATS, TEXTS, say

columns = [*FLOATS, *TEXTS]
definition = DataDefinition(numerical_columns=FLOATS, categorical_columns=TEXTS)
rows, reference = (
    Dataset.from_pandas(pd.read_parquet(file, columns=columns), data_definition=definition) for file in FILES
)
found = Report([DataDriftPreset()]).run(rows, reference).dict()
drifts = [metric for metric in found["metrics"] if metric["config"]["type"].endswith("ValueDrift")]
say({f"drift/{metric['config']['method']}/{metric['config']['column']}": metric["value"] for metric in drifts})
