"""Lays out models for MLServer below FOLDER, fitted to rows, and what they give for these: mlserver_models.py FOLDER ROWS.csv.

`numbers` is a logistic regression of two columns, `mixed` a pipeline that also takes texts, and `declared` the first one again,
with its inputs and outputs in its metadata. Beside them are their scores, one on a line.
"""

import json
import pathlib
import sys

import joblib
import pandas
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

folder, rows = pathlib.Path(sys.argv[1]), pandas.read_csv(sys.argv[2], float_precision="round_trip")
numbers = ["distance", "dep_hour"]
regression = LogisticRegression(max_iter=1000).fit(rows[numbers].to_numpy(), rows["label"])
columns = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(rows[[*numbers, "carrier"]], rows["label"])
declared = {
    "inputs": [{"name": "rows", "datatype": "FP64", "shape": [-1, 2]}],
    "outputs": [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}],
}
for name, model, more in [("numbers", regression, {}), ("mixed", pipeline, {}), ("declared", regression, declared)]:
    (folder / name).mkdir()
    joblib.dump(model, folder / name / "model.joblib")
    parameters = {"uri": "./model.joblib", "version": "7"}
    settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters, **more}
    (folder / name / "model-settings.json").write_text(json.dumps(settings))
for name, scores in [
    ("numbers", regression.predict_proba(rows[numbers].to_numpy())),
    ("mixed", pipeline.predict_proba(rows[[*numbers, "carrier"]])),
]:
    (folder / f"{name}.txt").write_text("\n".join(repr(float(score)) for score in scores[:, 1]))
