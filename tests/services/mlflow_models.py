"""Fills the registry at MLFLOW_TRACKING_URI by MLflow's own client: mlflow_models.py MODEL.onnx.

The ONNX model becomes version 1 of `delays`, a logistic regression version 1 of `plain`, and as version 2 of `delays` the ONNX
model is where MLflow 2 has put it: below its run. Of `stored` it is said that it lies in a bucket; the folder `saved` here has
what must be there. Prints the run.
"""

import sys

import mlflow
import onnx
from sklearn.linear_model import LogisticRegression

model = sys.argv[1]
client = mlflow.MlflowClient()
mlflow.set_experiment("delays")
with mlflow.start_run() as run:
    loaded = onnx.load(model)
    mlflow.onnx.log_model(loaded, name="model", registered_model_name="delays")
    regression = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.log_model(regression, name="regression", registered_model_name="plain")
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
