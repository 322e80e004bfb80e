"""A model that modelgate runs as a program: a logistic regression whose weights are in a JSON file.

    candidate:
      process: [python3, score.py, "{weights}"]
      files: { weights: weights.json }
"""

import json
import math
import sys

import pyarrow.compute as pc
from modelgate_process import serve

with open(sys.argv[1], encoding="utf-8") as file:
    weights = json.load(file)


def score(rows):
    total = weights["intercept"]
    for name, weight in weights["features"].items():
        total = pc.add(total, pc.multiply(pc.fill_null(rows[name], 0), weight))
    return [1 / (1 + math.exp(-value)) for value in total.to_pylist()]


print("weights of", ", ".join(weights["features"]))
serve(score)
