"""The four models: how they are trained, exported to ONNX and scored."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flights import FEATURES, TEXT_FEATURES

LEAKING_FEATURES = [*FEATURES, "dep_delay"]
SWAPPED = ("dep_hour", "weekday")
OPSETS = {"": 17, "ai.onnx.ml": 3}
BATCH_ROWS = 8192

update_registered_converter(
    LGBMClassifier,
    "LightGbmLGBMClassifier",
    calculate_linear_classifier_output_shapes,
    convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)


def train_all(train: pd.DataFrame) -> dict[str, tuple[Pipeline, list[str]]]:
    """The three trained models, each with the columns that it reads."""
    models = {
        "baseline": (logistic_regression(FEATURES), FEATURES),
        "candidate": (boosted_trees(FEATURES), FEATURES),
        "leaky": (boosted_trees(LEAKING_FEATURES), LEAKING_FEATURES),
    }
    for pipeline, features in models.values():
        pipeline.fit(train[features], train["delayed"])
    return models


def logistic_regression(features: list[str]) -> Pipeline:
    """A logistic regression on standardised numbers and one-hot texts."""
    return make_pipeline(columns(features, StandardScaler()), LogisticRegression(C=0.1, max_iter=500))


def boosted_trees(features: list[str]) -> Pipeline:
    """Gradient boosted trees; size and regularisation were chosen on May and June, trained on January to April."""
    trees = LGBMClassifier(
        n_estimators=150,
        num_leaves=15,
        learning_rate=0.05,
        min_child_samples=1000,
        reg_lambda=10.0,
        colsample_bytree=0.5,
        random_state=2013,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
    return make_pipeline(columns(features, "passthrough"), trees)


def columns(features: list[str], numbers: StandardScaler | str) -> ColumnTransformer:
    """One-hot texts beside numbers."""
    one_hot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    numeric = [name for name in features if name not in TEXT_FEATURES]
    return ColumnTransformer([("texts", one_hot, TEXT_FEATURES), ("numbers", numbers, numeric)])


def export(pipeline: Pipeline, features: list[str], name: str) -> onnx.ModelProto:
    """One graph with one input of shape `[rows, 1]` per column and the outputs `label` and `probabilities`."""
    inputs = [(feature, input_type(feature)) for feature in features]
    options = {id(pipeline): {"zipmap": False}}
    model = to_onnx(pipeline, initial_types=inputs, options=options, target_opset=OPSETS, name=name)
    if isinstance(pipeline[-1], LGBMClassifier):
        round_thresholds_down(model, pipeline[-1])
    sort_opsets(model)
    return model


def sort_opsets(model: onnx.ModelProto) -> None:
    """The converter lists them in the order of a hash, which varies between runs."""
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)


def round_thresholds_down(model: onnx.ModelProto, trees: LGBMClassifier) -> None:
    """Corrects the thresholds that the converter rounded up from float64 to float32.

    A float32 value is at most a threshold exactly if it is at most the next float32 below that threshold. Rounded up,
    the threshold may meet the value, and the row takes the wrong branch.
    """
    splits = trees.booster_.trees_to_dataframe().dropna(subset="threshold")
    column = splits["split_feature"].map(trees.booster_.feature_name().index)
    exact = splits["threshold"].to_numpy(np.float64)
    stored = exact.astype(np.float32)
    rounded_up = set(zip(column[stored > exact], stored[stored > exact], strict=True))
    ensemble = next(node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    attributes = {attribute.name: attribute for attribute in ensemble.attribute}
    values = attributes["nodes_values"].floats
    for i, split in enumerate(zip(attributes["nodes_featureids"].ints, values, strict=True)):
        if split in rounded_up:
            values[i] = np.nextafter(np.float32(values[i]), np.float32(-np.inf))


def input_type(feature: str) -> FloatTensorType | StringTensorType:
    """Texts stay texts, all numbers are float32."""
    return (StringTensorType if feature in TEXT_FEATURES else FloatTensorType)([None, 1])


def swap_inputs(model: onnx.ModelProto, pair: tuple[str, str]) -> onnx.ModelProto:
    """The same graph with two inputs mixed up: each is fed with the column of the other."""
    swapped = onnx.ModelProto()
    swapped.CopyFrom(model)
    swapped.graph.name = "swapped"
    other = dict(zip(pair, reversed(pair), strict=True))
    for node in swapped.graph.node:
        node.input[:] = [other.get(name, name) for name in node.input]
    return swapped


def score(model: Path, rows: pd.DataFrame) -> np.ndarray:
    """Probabilities of the positive class, float32, through ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = {put.name: tensor(rows[put.name], put.type) for put in session.get_inputs()}
    batches = [slice(start, start + BATCH_ROWS) for start in range(0, len(rows), BATCH_ROWS)]
    parts = [session.run(["probabilities"], {name: put[batch] for name, put in inputs.items()}) for batch in batches]
    return np.concatenate([probabilities[:, 1] for (probabilities,) in parts])


def tensor(column: pd.Series, kind: str) -> np.ndarray:
    """A column as a tensor of shape `[rows, 1]`."""
    return column.to_numpy(object if kind == "tensor(string)" else np.float32).reshape(-1, 1)
