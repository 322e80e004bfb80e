"""Writes `shift.json`, which `src/measure/shift/tests.rs` compares with: distances between two samples of other rows.

The Kolmogorov-Smirnov distance and where it is are scipy's, of the places of values in the order of missing, NaN and numbers;
the total variation distance is a count. Standard errors are those of two independent shares.
"""

import json
from collections import Counter
from math import inf, isnan, nan, sqrt
from pathlib import Path

import numpy as np
from scipy import stats

LETTERS = np.array(["a", "b", "c", "d", "ü", ""])


def samples():
    rng = np.random.default_rng(20_131_209)
    normal = lambda rows, mean=0.0: [float(value) for value in rng.normal(mean, 1, rows)]
    rounded = lambda rows, mean=0.0: [round(value, 1) for value in normal(rows, mean)]
    gaps = lambda values, share, what: [what if rng.random() < share else value for value in values]
    yield "continuous", normal(300), normal(200, 0.4)
    yield "of few digits", rounded(150), rounded(1000, -0.3)
    yield "equal", [1.0, 2.0, 2.0, 5.5], [1.0, 2.0, 2.0, 5.5]
    yield "apart", [1.0, 2.0], [3.0, 4.0, 5.0]
    yield "more are missing", gaps(normal(200), 0.4, None), gaps(normal(200), 0.1, None)
    yield "not finite", gaps(gaps(normal(100), 0.3, nan), 0.2, inf), gaps(gaps(normal(80), 0.2, None), 0.2, -inf)
    yield "all missing", [None] * 30, [None] * 20
    yield "one all missing", [None] * 30, normal(20)
    yield "constant", [7.0] * 30, [7.0] * 20


def texts():
    rng = np.random.default_rng(20_131_210)
    drawn = lambda rows, weights: [str(text) for text in rng.choice(LETTERS, rows, p=np.array(weights) / sum(weights))]
    yield "as they were", drawn(200, [5, 4, 3, 2, 1, 1]), drawn(300, [5, 4, 3, 2, 1, 1])
    yield "a new one", drawn(200, [5, 4, 3, 2, 4, 1]), drawn(300, [5, 4, 3, 2, 0, 1])
    yield "missing", drawn(100, [1, 1, 1, 0, 0, 0]) + [None] * 80, drawn(100, [1, 1, 1, 0, 0, 0]) + [None] * 10
    yield "equal", ["a", "b", None], ["a", "b", None]
    yield "apart", ["a", "b"], ["c", None, None]


def key(value):
    return (0, 0.0) if value is None else (1, 0.0) if isnan(value) else (2, value)


def text_of(value):
    return value if value is None or abs(value) < inf else str(value)


def numbers_row(name, sample, against):
    order = {place: number for number, place in enumerate(sorted({key(value) for value in sample + against}))}
    codes, others = ([order[key(value)] for value in values] for values in (sample, against))
    found = stats.ks_2samp(codes, others)
    shares = [np.array([np.mean(np.array(values) <= code) for code in order.values()]) for values in (codes, others)]
    variance = sum(share * (1 - share) / (len(values) - 1) for share, values in zip(shares, (codes, others)))
    return {
        "name": name,
        "sample": [text_of(value) for value in sample],
        "against": [text_of(value) for value in against],
        "distance": float(found.statistic),
        "shares": [float(share[found.statistic_location]) for share in shares],
        "missing": [values.count(None) / len(values) for values in (sample, against)],
        "error": float(np.sqrt(variance.max())),
    }


def texts_row(name, sample, against):
    counts, others = Counter(sample), Counter(against)
    values = sorted({*counts, *others}, key=lambda value: (value is not None, value))
    shares = [[count[value] / sum(count.values()) for value in values] for count in (counts, others)]
    moved = [abs(share - other) for share, other in zip(*shares)]
    new = [value for value in values if value is not None and value not in others]
    variance = lambda share, rows: share * (1 - share) / rows
    errors = [
        sqrt(variance(share, len(sample)) + variance(other, len(against))) for share, other in zip(*shares)
    ]
    return {
        "name": name,
        "sample": sample,
        "against": against,
        "distance": sum(moved) / 2,
        "most": values[int(np.argmax(np.round(moved, 12)))] if sum(moved) else None,
        "new": [len(new), sum(counts[value] for value in new) / len(sample)],
        "bias": sum(errors) / 2,
    }


if __name__ == "__main__":
    tables = {
        "numbers": [numbers_row(*row) for row in samples()],
        "texts": [texts_row(*row) for row in texts()],
    }
    text = json.dumps(tables, indent=None, ensure_ascii=False, allow_nan=False)
    Path(__file__).with_name("shift.json").write_text(text + "\n")
