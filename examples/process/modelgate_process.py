"""Lets a Python model answer modelgate: `serve(score)` reads batches of rows, calls `score` with each, and writes what it gives.

It needs pyarrow and nothing else. What the model prints goes to the log of the run: standard output belongs to the answers.
"""

import os
import sys

import pyarrow as pa


def serve(score):
    """Answers until there are no more rows.

    `score` takes a pyarrow.RecordBatch, a column for each of `columns.features`, and gives a number for each row: a list, a
    NumPy array, or an Arrow array. For a multiclass model it gives a tuple of them, one for each class in the order of
    `model.classes`, or a NumPy array with a column for each class.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)
    sys.stdout.flush()
    writer = None
    with pa.ipc.open_stream(sys.stdin.buffer) as rows:
        for batch in rows:
            scores = columns(score(batch))
            if writer is None:
                writer = pa.ipc.new_stream(answers, scores.schema)
            writer.write_batch(scores)
            answers.flush()


def columns(scores):
    """The scores as a record batch, a column for each output of the model."""
    if getattr(scores, "ndim", 1) == 2:
        scores = tuple(scores.T)
    outputs = scores if isinstance(scores, tuple) else (scores,)
    arrays = [output if isinstance(output, pa.Array) else pa.array(output, type=pa.float64()) for output in outputs]
    return pa.RecordBatch.from_arrays(arrays, names=[f"score_{number}" for number in range(len(arrays))])
