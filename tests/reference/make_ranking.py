"""Writes the table of expected values that `tests/it/statistics_ranking.rs` compares with.

What a group's order is worth is scikit-learn's NDCG, or the definition read off a list, averaged over all orders of the
rows of equal score. Means and their standard errors over groups are statsmodels' weighted least squares on a constant.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from sklearn import metrics


def average_precision(relevant, k):
    hits = [sum(relevant[: place + 1]) / (place + 1) for place in range(min(k, len(relevant))) if relevant[place]]
    return sum(hits) / min(k, sum(relevant))


def reciprocal_rank(relevant, _):
    return 1 / (relevant.index(True) + 1)


METRICS = [
    ({"ndcg": {"k": 3}}, None, 3),
    ({"ndcg": {"k": 10}}, None, 10),
    ({"mean_average_precision": {"k": 3}}, average_precision, 3),
    ({"mean_average_precision": {"k": 100}}, average_precision, 100),
    ("mean_reciprocal_rank", reciprocal_rank, 0),
    ({"precision_at_k": {"k": 3}}, lambda relevant, k: sum(relevant[:k]) / k, 3),
    ({"recall_at_k": {"k": 3}}, lambda relevant, k: sum(relevant[:k]) / sum(relevant), 3),
    ({"hit_rate": {"k": 1}}, lambda relevant, k: float(any(relevant[:k])), 1),
    ({"hit_rate": {"k": 3}}, lambda relevant, k: float(any(relevant[:k])), 3),
]


def orders(labels, scores):
    """All orders of the rows from the highest score down."""
    blocks = [[label for label, score in zip(labels, scores) if score == value] for value in sorted(set(scores))[::-1]]
    for permutations in itertools.product(*(list(itertools.permutations(block)) for block in blocks)):
        yield [label for block in permutations for label in block]


def worth(of, k, labels, scores):
    if of is None:
        if len(labels) == 1:  # scikit-learn refuses lists of one, whose order is always the best
            return 1.0
        return metrics.ndcg_score([labels], [scores], k=k)
    return float(np.mean([of([label > 0 for label in order], k) for order in orders(labels, scores)]))


def mean(values, weights, units):
    fit = sm.WLS(values, np.ones(len(values)), weights=weights).fit(cov_type="cluster", cov_kwds={"groups": units})
    return float(fit.params[0]), float(fit.bse[0])


def samples():
    rng = np.random.default_rng(21)

    def grouped(name, sizes, labels, scores):
        groups = np.repeat(np.arange(len(sizes)), sizes)
        rows = len(groups)
        return name, groups, labels(rows), np.array([scores(rows), scores(rows)])

    graded = lambda rows: rng.choice([0.0, 0.0, 1.0, 2.0, 3.5], rows)
    sizes = rng.integers(1, 9, 40)
    yield grouped("distinct scores", sizes, graded, lambda rows: rng.normal(size=rows))
    yield grouped("ties", sizes, graded, lambda rows: rng.integers(0, 3, rows).astype(float))
    yield grouped("constant scores", rng.integers(1, 7, 12), graded, lambda rows: np.full(rows, -2.0))
    yield grouped("one relevant each", np.full(15, 5), lambda rows: (np.arange(rows) % 5 == 2) * 1.0,
                  lambda rows: np.round(rng.normal(size=rows), 1))
    yield grouped("large and tiny labels", np.full(10, 6), lambda rows: rng.choice([0.0, 1e-9, 1e9], rows),
                  lambda rows: rng.normal(size=rows) * 1e12)


def measured(groups, labels, scores, weights, clusters):
    keys = [key for key in np.unique(groups) if (labels[groups == key] > 0).any()]
    group_weights = np.array([1.0 if weights is None else weights[groups == key].mean() for key in keys])
    units = np.array([key if clusters is None else clusters[groups == key][0] for key in keys])
    for metric, of, k in METRICS:
        values = np.array([[worth(of, k, labels[groups == key].tolist(), model[groups == key].tolist()) for key in keys]
                           for model in scores])
        for contrast in ([1.0, 0.0], [1.0, -1.0], [-1.02, 1.0]):
            value, error = mean(np.array(contrast) @ values, group_weights, units)
            if np.ptp(np.array(contrast) @ values) < 1e-12:
                error = 0.0
            yield dict(metric=metric, contrast=contrast, value=value, error=error, scale=1.0)


def rows():
    rng = np.random.default_rng(22)
    for name, groups, labels, scores in samples():
        for weights in (None, np.round(rng.gamma(1.5, 1.0, len(groups)), 3) * (rng.random(len(groups)) < 0.9)):
            for clusters in (None, groups % 7):
                yield dict(
                    name=name, labels=labels.tolist(), scores=scores.tolist(), groups=groups.tolist(),
                    weights=None if weights is None else weights.tolist(),
                    clusters=None if clusters is None else clusters.tolist(),
                    measured=list(measured(groups, labels, scores, weights, clusters)))


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows())
    (Path(__file__).parent / "ranking.json").write_text(f"[\n{lines}\n]\n")
