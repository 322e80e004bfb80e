"""Writes the data of the benchmarks, a row group at a time: `data.py FILE ROWS` and `data.py --reference FILE ROWS`.

A file of few rows is the beginning of one of many: each row group has a seed of its own.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20_131_209
ROWS_OF_A_GROUP = 131_072
FLOATS = [f"float_{number:02}" for number in range(20)]
# Columns of text and how many values each has. The first five are what the performance suite slices by: 82 values.
TEXTS = {
    "region": 4,
    "channel": 5,
    "carrier": 16,
    "hour": 24,
    "segment": 33,
    "plan": 10,
    "product": 100,
    "store": 300,
    "campaign": 1_000,
    "postcode": 5_000,
}
# The label depends on the first floats, and the candidate knows a little more of that than the baseline.
WEIGHTS = np.array([0.8, -0.6, 0.5, 0.4, -0.3])
NOISE = {"baseline": 0.6, "candidate": 0.5}
# What is different in the reference: these floats are shifted, by standard deviations, and these texts are more even.
SHIFTED = {"float_03": 0.05, "float_07": 0.1, "float_11": 0.3}
EVEN = {"plan", "product"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("file", type=Path)
    parser.add_argument("rows", type=int)
    asked = parser.parse_args()
    unfinished = asked.file.with_suffix(".unfinished")
    with pq.ParquetWriter(unfinished, SCHEMA, compression="snappy", store_schema=False) as writer:
        for group, first in enumerate(range(0, asked.rows, ROWS_OF_A_GROUP)):
            rows = min(ROWS_OF_A_GROUP, asked.rows - first)
            writer.write_table(table(group, rows, asked.reference), row_group_size=ROWS_OF_A_GROUP)
    unfinished.rename(asked.file)


def table(group: int, rows: int, reference: bool) -> pa.Table:
    """A row group. Random numbers are drawn for a whole one, so that fewer rows are the first of it."""
    random = np.random.default_rng([SEED, int(reference), group])
    columns = {name: floats(random, number) for number, name in enumerate(FLOATS)}
    if reference:
        columns |= {name: columns[name] + shift * columns[name].std() for name, shift in SHIFTED.items()}
    skill = WEIGHTS @ np.stack([standard(columns[name]) for name in FLOATS[: len(WEIGHTS)]])
    for name, values in TEXTS.items():
        columns[name] = texts(random, name, values, even=reference and name in EVEN)
    columns["label"] = (random.random(ROWS_OF_A_GROUP) < sigmoid(skill - 0.8)).astype(np.int8)
    for model, noise in NOISE.items():
        columns[model] = sigmoid(skill - 0.8 + noise * random.standard_normal(ROWS_OF_A_GROUP))
    return pa.table(columns, schema=SCHEMA).slice(0, rows)


def floats(random: np.random.Generator, number: int) -> np.ndarray:
    """Three kinds in turn: any number, a positive one with a long tail, one of few digits."""
    values = random.standard_normal(ROWS_OF_A_GROUP)
    return [values, np.exp(values), np.round(10 * values, 1)][number % 3]


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def texts(random: np.random.Generator, name: str, values: int, even: bool) -> pa.DictionaryArray:
    """The first of the values is the most frequent, unless they are to be more even."""
    weight = 1.0 / (np.arange(values) + (4 * values if even else 10 + values / 10))
    places = random.choice(values, ROWS_OF_A_GROUP, p=weight / weight.sum()).astype(np.int32)
    return pa.DictionaryArray.from_arrays(places, [f"{name} {value:04}" for value in range(values)])


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-values))


SCHEMA = pa.schema(
    [(name, pa.float64()) for name in FLOATS]
    + [(name, pa.dictionary(pa.int32(), pa.string())) for name in TEXTS]
    + [("label", pa.int8()), ("baseline", pa.float64()), ("candidate", pa.float64())]
)

if __name__ == "__main__":
    main()
