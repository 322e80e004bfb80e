"""Fills the registry at MLFLOW_TRACKING_URI by MLflow's own client: mlflow_models.py MODEL.onnx.

The ONNX model becomes version 1 of `delays`, a logistic regression version 1 of `plain`, and as version 2 of `delays` the ONNX
model is where MLflow 2 has put it: below its run. Of `stored` it is said that it lies in a bucket; the folder `saved` here has
what must be there. Version 1 of `served` is a pipeline with texts and missing values, whose rows are written to `served.parquet`,
and what it gives for them to `scores.parquet`. Prints the run.
"""

import sys

import mlflow
import numpy
import onnx
import pandas
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

model = sys.argv[1]
client = mlflow.MlflowClient()


def served():
    """A model that is no ONNX file: its rows and scores are written beside."""
    random = numpy.random.default_rng(7)
    rows = pandas.DataFrame({"id": range(5000), "distance": random.exponential(900, 5000)})
    rows["dep_hour"] = random.integers(0, 24, 5000)
    rows["carrier"] = random.choice(["AA", "B6", "UA"], 5000)
    rows.loc[random.random(5000) < 0.1, "distance"] = numpy.nan
    chance = 1 / (1 + numpy.exp(2 - rows["dep_hour"] / 10 - (rows["carrier"] == "B6")))
    rows["label"] = (random.random(5000) < chance).astype(int)
    columns = make_column_transformer(
        (OneHotEncoder(), ["carrier"]), (SimpleImputer(), ["distance"]), remainder="passthrough"
    )
    features = rows[["distance", "dep_hour", "carrier"]]
    model = make_pipeline(columns, LogisticRegression(max_iter=5000)).fit(features, rows["label"])
    rows.to_parquet("served.parquet")
    rows[["id"]].assign(score=model.predict_proba(features)[:, 1]).to_parquet("scores.parquet")
    return model, features[:5]


mlflow.set_experiment("delays")
with mlflow.start_run() as run:
    loaded = onnx.load(model)
    mlflow.onnx.log_model(loaded, name="model", registered_model_name="delays")
    regression = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.log_model(regression, name="regression", registered_model_name="plain")
    pipeline, example = served()
    mlflow.sklearn.log_model(
        pipeline,
        name="pipeline",
        registered_model_name="served",
        input_example=example,
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
    )
    mlflow.onnx.save_model(loaded, "saved")
    mlflow.log_artifacts("saved", "old")
    mlflow.log_artifact(model, "files/deep")
source = f"{run.info.artifact_uri}/old"
client.create_model_version("delays", source, run.info.run_id)
client.set_registered_model_alias("delays", "champion", "1")
client.create_registered_model("stored")
client.create_model_version("stored", "s3://acme/models/delays")
client.set_registered_model_alias("delays", "old", "2")
print(run.info.run_id)
