"""Trains two models on the twenty floats and writes them as ONNX: `onnx_models.py FILE FOLDER`.

A logistic regression is the baseline and a hundred small trees are the candidate, as in many a pull request.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import FLOATS

ROWS = 10_000
MODELS = {
    "baseline": make_pipeline(StandardScaler(), LogisticRegression()),
    "candidate": GradientBoostingClassifier(n_estimators=100, max_depth=4, random_state=0),
}

table = pq.ParquetFile(sys.argv[1]).read_row_group(0, columns=[*FLOATS, "label"]).slice(0, ROWS)
features = np.stack([table[name].to_numpy() for name in FLOATS], axis=1).astype(np.float32)
for name, model in MODELS.items():
    model.fit(features, table["label"].to_numpy())
    written = to_onnx(model, features[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    (Path(sys.argv[2]) / f"{name}.onnx").write_bytes(written.SerializeToString())
