"""Writes the table of expected values that `tests/it/statistics_ratio.rs` compares with.

A ratio of sums and its standard error by the definition as a function of the rows' weights. Where the denominators are
positive, that must agree with the weighted least squares of `numerator / denominator` on a constant in statsmodels.
"""

import json
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from complex_step import derivatives, standard_error


def ratio(above, below, weights):
    return (above * weights).sum() / (below * weights).sum()


def by_statsmodels(above, below, weights, clusters):
    used = weights > 0
    fit = sm.WLS((above / below)[used], np.ones(used.sum()), weights=(weights * below)[used])
    if clusters is None:
        error = fit.fit(cov_type="HC0").bse[0] * np.sqrt(len(above) / (len(above) - 1))
    else:
        here, all_of_them = len(np.unique(clusters[used])), len(np.unique(clusters))
        cluster = fit.fit(cov_type="cluster", cov_kwds={"groups": clusters[used]}, use_t=True).bse[0]
        error = cluster * np.sqrt((here - 1) / here * all_of_them / (all_of_them - 1))
    return float(fit.fit().params[0]), float(error)


def samples():
    rng = np.random.default_rng(31)
    decisions = (rng.random((2, 60)) < 0.4) * 1.0
    margins = np.round(rng.normal(2, 5, 60), 2)
    yield "profit per row", decisions * margins, np.ones((2, 60))
    yield "profit per decision", decisions * margins, decisions
    amounts = rng.gamma(2.0, 100.0, 50)
    yield "share of amounts", amounts * (rng.random((2, 50)) < 0.8), np.array([amounts, amounts])
    yield "mixed signs", rng.normal(1, 1, (2, 40)), rng.normal(3, 2, (2, 40))
    yield "large and tiny", 1e9 * rng.gamma(2.0, 1.0, (2, 30)), 1e-9 * rng.gamma(2.0, 1.0, (2, 30))
    yield "constant", np.full((2, 10), 0.3), np.full((2, 10), 0.1)
    yield "no denominator", np.ones((2, 10)), np.zeros((2, 10))
    yield "two rows", np.array([[1.0, 2.0], [0.0, 1.0]]), np.ones((2, 2))


def measured(above, below, weights, clusters):
    masses = np.ones(above.shape[1]) if weights is None else weights
    for contrast in ([1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [-1.02, 1.0]):
        models = [model for model in (0, 1) if contrast[model]]
        row = dict(metric=METRIC, contrast=contrast)
        if any((below[model] * masses).sum() == 0 for model in models):
            yield row | dict(reason="zero_denominator")
            continue
        values = [ratio(above[model], below[model], masses) for model in models]
        effects = [masses * derivatives(lambda w: ratio(above[model], below[model], w), masses) for model in models]
        error = standard_error(sum(contrast[model] * effect for model, effect in zip(models, effects)), clusters)
        if len(models) == 1 and (below[models[0]] > 0).all() and error > 1e-12:
            value, theirs = by_statsmodels(above[models[0]], below[models[0]], masses, clusters)
            assert abs(value - values[0]) <= 1e-12 * abs(value) and abs(theirs - error) <= 1e-9 * error, (theirs, error)
        parts = [contrast[model] * value for model, value in zip(models, values)]
        if error <= 1e-13 * max(map(abs, parts)):
            error = 0.0
        yield row | dict(value=float(sum(parts)), error=error, scale=float(max(map(abs, parts))))


METRIC = {"ratio": {"name": "ratio", "numerator": "a", "denominator": "b", "better": "higher"}}


def rows():
    rng = np.random.default_rng(32)
    for name, above, below in samples():
        count = above.shape[1]
        for weights in (None, np.round(rng.gamma(1.5, 1.0, count), 3) * (rng.random(count) < 0.9) + (np.arange(count) < 2)):
            for clusters in (None, np.arange(count) % max(2, count // 5)):
                yield dict(
                    name=name, above=above.tolist(), below=below.tolist(),
                    weights=None if weights is None else weights.tolist(),
                    clusters=None if clusters is None else clusters.tolist(),
                    measured=list(measured(above, below, weights, clusters)))


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows())
    (Path(__file__).parent / "ratio.json").write_text(f"[\n{lines}\n]\n")
