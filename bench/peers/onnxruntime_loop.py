"""ONNX Runtime called in a loop, both models, a batch on each core: `onnxruntime_loop.py FILE BASELINE CANDIDATE`."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pyarrow.parquet as pq

from common import FILES, FLOATS, MODELS, say

# The rows of a batch. Larger ones are not faster.
BATCH = 8_192

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
sessions = [onnxruntime.InferenceSession(file, options) for file in FILES[1:]]


def right(batch) -> list[int]:
    """How many decisions of each model are right."""
    features = np.stack([batch[name].to_numpy() for name in FLOATS], axis=1).astype(np.float32)
    label = batch["label"].to_numpy()
    scores = [session.run(["probabilities"], {"X": features})[0][:, 1] for session in sessions]
    return [int(((score >= 0.5) == (label == 1)).sum()) for score in scores]


file = pq.ParquetFile(FILES[0])
with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    counts = sum(map(np.array, pool.map(right, file.iter_batches(BATCH, columns=[*FLOATS, "label"]))))
say({f"{model}/accuracy/all": count / file.metadata.num_rows for model, count in zip(MODELS, counts)})
