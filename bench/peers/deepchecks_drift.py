"""Deepchecks' feature drift on the thirty features, on all rows: by default it takes 100,000."""

import pandas as pd
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import FeatureDrift

from common import FILES, FLOATS, TEXTS, say

rows, reference = (
    Dataset(pd.read_parquet(file, columns=[*FLOATS, *TEXTS]), cat_features=TEXTS) for file in FILES
)
found = FeatureDrift(n_samples=max(len(rows), len(reference))).run(reference, rows, with_display=False).value
say({f"drift/{value['Method']}/{column}": value["Drift score"] for column, value in found.items()})
