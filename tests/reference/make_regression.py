"""Writes the table of expected values that `tests/it/statistics_regression.rs` compares with.

Values are scikit-learn's, or NumPy's weighted quantiles. The standard errors come from the definitions, written out here
as functions of the rows' weights, which must agree with scikit-learn.
"""

import json
from pathlib import Path

import numpy as np
from complex_step import derivatives, standard_error
from sklearn import metrics

EPSILON = np.finfo(float).eps


def mean(values, weights):
    return (values * weights).sum() / weights.sum()


def explained(labels, errors, weights):
    return 1 - mean(errors**2, weights) / mean((labels - mean(labels, weights)) ** 2, weights)


def pinball(quantile, above):
    return np.where(above >= 0, quantile * above, (quantile - 1) * above)


def poisson(labels, scores):
    surprise = np.array([0.0 if y == 0 else y * np.log(y / p) for y, p in zip(labels, scores)])
    return 2 * (surprise + scores - labels)


def half(labels, scores):
    return (np.abs(scores) + np.abs(labels)) / 2


# The smooth metrics: as functions of labels, scores and weights, and by scikit-learn where it has them.
SMOOTH = [
    ("mae", lambda y, p, w: mean(np.abs(p - y), w), metrics.mean_absolute_error),
    ("mse", lambda y, p, w: mean((p - y) ** 2, w), metrics.mean_squared_error),
    ("rmse", lambda y, p, w: np.sqrt(mean((p - y) ** 2, w)), metrics.root_mean_squared_error),
    ("rmsle", lambda y, p, w: np.sqrt(mean((np.log1p(p) - np.log1p(y)) ** 2, w)), metrics.root_mean_squared_log_error),
    ("mape", lambda y, p, w: mean(np.abs(p - y) / np.maximum(np.abs(y), EPSILON), w),
     metrics.mean_absolute_percentage_error),
    ("smape", lambda y, p, w: mean(np.array([abs(b - a) / h if h else 0.0 for a, b, h in zip(y, p, half(y, p))]), w), None),
    ("r2", lambda y, p, w: explained(y, p - y, w), metrics.r2_score),
    ("explained_variance", lambda y, p, w: explained(y, p - y - mean(p - y, w), w), metrics.explained_variance_score),
    ("mean_error", lambda y, p, w: mean(p - y, w), None),
    ({"pinball_loss": {"quantile": 0.2}}, lambda y, p, w: mean(pinball(0.2, y - p), w),
     lambda y, p, sample_weight: metrics.mean_pinball_loss(y, p, sample_weight=sample_weight, alpha=0.2)),
    ("poisson_deviance", lambda y, p, w: mean(poisson(y, p), w), metrics.mean_poisson_deviance),
    ("gamma_deviance", lambda y, p, w: mean(2 * (np.log(p / y) + y / p - 1), w), metrics.mean_gamma_deviance),
]


def quantile(values, weights, share):
    return float(np.quantile(values, share, weights=weights, method="inverted_cdf"))


def largest(values, weights):
    return float(values[weights > 0].max())


# The metrics of order, whose intervals are the bootstrap's.
ORDERED = [
    ("median_absolute_error", lambda y, p, w: metrics.median_absolute_error(y, p, sample_weight=w)),
    ("max_error", lambda y, p, w: largest(np.abs(p - y), w)),
    ({"residual_quantile": {"quantile": 0.5}}, lambda y, p, w: quantile(p - y, w, 0.5)),
    ({"residual_quantile": {"quantile": 0.9}}, lambda y, p, w: quantile(p - y, w, 0.9)),
]


def reason(metric, labels, scores, weights):
    """Why a metric is not defined for a model."""
    outside = {
        "rmsle": (labels <= -1) | (scores <= -1),
        "poisson_deviance": (labels < 0) | (scores <= 0),
        "gamma_deviance": (labels <= 0) | (scores <= 0),
    }
    if metric in outside and outside[metric].any():
        return "outside_domain"
    if metric in ("r2", "explained_variance") and len(set(labels[weights > 0])) == 1:
        return "constant_labels"
    return None


def samples():
    rng = np.random.default_rng(11)

    def scored(labels, spread=0.4):
        return np.array([labels * np.exp(spread * rng.normal(size=len(labels))) for _ in range(2)])

    positive = rng.gamma(2.0, 3.0, 60)
    yield "positive labels", positive, scored(positive)
    counts = rng.poisson(1.5, 50).astype(float)
    yield "counts with zeros", counts, np.abs(rng.normal(1.5, 0.6, (2, 50))) + 0.05
    labels = rng.normal(0, 2, 40)
    yield "negative labels", labels, labels + rng.normal(0, 1, (2, 40))
    yield "zeros on both sides", np.array([0.0, 0.0, 1.0, 2.0, 0.0, 3.0]), np.array(
        [[0.0, 0.5, 1.0, 2.5, 0.0, 2.0], [0.0, 0.0, 1.5, 2.0, 1.0, 3.0]])
    yield "constant labels", np.full(20, 0.1), 0.1 + np.abs(rng.normal(0, 0.1, (2, 20)))
    yield "constant scores", rng.gamma(2.0, 1.0, 25), np.array([np.full(25, 2.0), np.full(25, 1.7)])
    rounded = np.round(rng.gamma(2.0, 2.0, 70))
    yield "ties", rounded, np.round(np.abs(rounded + rng.normal(0, 1.5, (2, 70)))) + 1.0
    yield "tiny", 1e-9 * rng.gamma(2.0, 3.0, 30), 1e-9 * rng.gamma(2.0, 3.0, (2, 30))
    large = 1e9 * rng.gamma(2.0, 3.0, 30)
    yield "large", large, scored(large)
    yield "two rows", np.array([1.0, 3.0]), np.array([[1.5, 2.0], [0.5, 3.5]])


def weightings(rng, rows):
    yield None
    yield np.round(rng.gamma(1.5, 1.0, rows), 3) * (rng.random(rows) < 0.85) + (np.arange(rows) < 2)
    yield rng.integers(1, 4, rows).astype(float)


def measured(labels, scores, weights, clusters):
    masses = np.ones(len(labels)) if weights is None else weights
    for contrast in ([1.0, 0.0], [1.0, -1.0], [-1.02, 1.0]):
        models = [model for model in (0, 1) if contrast[model]]
        for metric, value, by_sklearn in SMOOTH:
            row = dict(metric=metric, contrast=contrast)
            reasons = [found for model in models if (found := reason(str(metric), labels, scores[model], masses))]
            if reasons:
                yield row | dict(reason=reasons[0])
                continue
            values, effects = [], []
            for model in models:
                values.append(float(value(labels, scores[model], masses)))
                effects.append(masses * derivatives(lambda w: value(labels, scores[model], w), masses))
                if by_sklearn is not None:
                    theirs = by_sklearn(labels, scores[model], sample_weight=masses)
                    assert abs(values[-1] - theirs) <= 1e-11 * max(abs(theirs), 1e-20), (metric, values, theirs)
            effect = sum(contrast[model] * effect for model, effect in zip(models, effects))
            scale = max(abs(contrast[model] * value) for model, value in zip(models, values))
            # What a difference is made of says how exact it can be.
            if metric in ("r2", "explained_variance"):
                scale = max(scale, 1.0)
            if metric == "mean_error":
                scale = max(abs(scores - labels).max(), scale)
            yield row | dict(value=sum(contrast[model] * value for model, value in zip(models, values)),
                             error=standard_error(effect, clusters), scale=scale)
    # Of so few rows or clusters, too many replicates of the bootstrap have none: with four, the share exp(-4).
    units = len(np.unique((np.arange(len(labels)) if clusters is None else clusters)[masses > 0]))
    for metric, value in ORDERED:
        row = dict(metric=metric, contrast=[1.0, 0.0])
        found = dict(value=float(value(labels, scores[0], masses))) if units > 4 else dict(reason="in_replicates")
        yield row | found


def rows():
    rng = np.random.default_rng(12)
    for name, labels, scores in samples():
        for weights in weightings(rng, len(labels)):
            for clusters in (None, np.arange(len(labels)) % max(2, len(labels) // 5)):
                yield dict(
                    name=name, labels=labels.tolist(), scores=scores.tolist(),
                    weights=None if weights is None else weights.tolist(),
                    clusters=None if clusters is None else clusters.tolist(),
                    measured=list(measured(labels, scores, weights, clusters)))


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows())
    (Path(__file__).parent / "regression.json").write_text(f"[\n{lines}\n]\n")
