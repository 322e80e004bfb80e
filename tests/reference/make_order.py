"""Writes `order.json`, which `tests/it/statistics_order.rs` compares with: shares, and metrics of order with weights.

Shares are SciPy's and statsmodels'. Metrics are scikit-learn's, or their definition written out row by row. The errors of
areas are from the kernel on all pairs, those of average precision from scikit-learn with one weight disturbed at a time.
Run it with the packages of `requirements.txt`; the tables are the same every time.
"""

import json
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import metrics
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

ALPHA = 0.05


def share_rows():
    for successes, trials in [(0, 5), (1, 7), (7, 7), (3, 10), (45, 50), (812, 1000), (2, 1_000_000), (999, 200_000)]:
        low, high = proportion_confint(successes, trials, alpha=2 * ALPHA, method="beta")
        for limit in (1e-6, 0.005, 0.3, 0.8, 0.95):
            below, above = (stats.binomtest(successes, trials, limit, alternative=side).pvalue for side in ("less", "greater"))
            yield dict(successes=successes, trials=trials, low=float(low), high=float(high), limit=limit,
                       below=float(below), above=float(above))


def difference_rows():
    # Newcombe (1998), table II, contrast (a), method 10: the 95 % interval of 56/70 - 48/80 is 0.0524 to 0.3339.
    low, high = newcombe(56, 70, 48, 80, 0.025)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339), (low, high)
    for counts in [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (0, 8, 0, 30), (812, 1000, 790, 990)]:
        low, high = newcombe(*counts, ALPHA)
        yield dict(counts=counts, low=low, high=high)


def newcombe(x1, n1, x2, n2, alpha):
    low, high = confint_proportions_2indep(x1, n1, x2, n2, method="newcomb", compare="diff", alpha=2 * alpha)
    return float(low), float(high)


# Metrics


def sample(rng, name, rows, digits, weights, rate=0.35):
    labels = (rng.random(rows) < rate).astype(int)
    shared = rng.normal(size=rows)
    scores = [np.round(skill * labels + 0.8 * shared + 0.7 * rng.normal(size=rows), digits) for skill in (1.4, 1.0)]
    drawn = {
        "none": np.ones(rows),
        "whole": rng.integers(1, 5, rows).astype(float),
        "any": np.round(rng.gamma(2.0, 1.5, rows) + 0.01, 3),
        "wide": np.round(10.0 ** rng.uniform(-3, 3, rows), 6),
    }[weights]
    clusters = rng.integers(0, max(4, rows // 5), size=rows)
    return dict(name=name, labels=labels, scores=np.array(scores), weights=drawn, weighted=weights != "none", clusters=clusters)


def samples():
    rng = np.random.default_rng(20261124)
    yield sample(rng, "no weights", 120, 3, "none")
    yield sample(rng, "no weights, ties", 90, 0, "none")
    yield sample(rng, "whole weights, ties", 80, 1, "whole")
    yield sample(rng, "weights", 110, 3, "any")
    yield sample(rng, "weights, ties", 100, 0, "any")
    yield sample(rng, "weights from small to large", 70, 2, "wide")
    constant = sample(rng, "constant scores", 40, 2, "any")
    constant["scores"][:] = 0.25
    yield constant
    huge = sample(rng, "scores huge and tiny", 60, 2, "any")
    huge["scores"] = np.array([np.sign(s) * 10.0 ** np.clip(100 * s, -300, 300) for s in huge["scores"]])
    yield huge


def first(labels, scores, sizes, weights, cut):
    """Of each row the part that is among the first: all, none, or at the cut its share of what is left."""
    part = np.empty(len(scores))
    for row, score in enumerate(scores):
        above, tied = sizes[scores > score].sum(), sizes[scores == score].sum()
        part[row] = min(max((cut - above) / tied, 0.0), 1.0)
    return (part * weights * labels).sum(), (part * weights).sum()


def thresholds(labels, scores, weights, score):
    """The best score of any threshold, given TP, FP, P, N; also of one that nothing reaches."""
    positives, negatives = weights[labels == 1].sum(), weights[labels == 0].sum()
    reached = [scores >= threshold for threshold in np.unique(scores)] + [np.zeros(len(scores), bool)]
    parts = [(weights[r & (labels == 1)].sum(), weights[r & (labels == 0)].sum()) for r in reached]
    return max(score(tp, fp, positives, negatives) for tp, fp in parts)


def value(name, parameter, labels, scores, weights):
    positives, total, ones = weights[labels == 1].sum(), weights.sum(), np.ones(len(labels))
    if name in ("lift", "gain", "precision_at_share"):
        hits, all_first = first(labels, scores, weights, weights, parameter * total)
        return {"lift": hits / all_first / (positives / total), "gain": hits / positives,
                "precision_at_share": hits / all_first}[name]
    if name in ("precision_at_k", "recall_at_k"):
        hits, all_first = first(labels, scores, ones, weights, parameter)
        return hits / all_first if name == "precision_at_k" else hits / positives
    if name == "recall_at_precision":
        precision, recall, _ = metrics.precision_recall_curve(labels, scores, sample_weight=weights)
        return recall[precision >= parameter].max()
    if name == "kolmogorov_smirnov":
        false, true, _ = metrics.roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
        return (true - false).max()
    return {
        "roc_auc": lambda: metrics.roc_auc_score(labels, scores, sample_weight=weights),
        "gini": lambda: 2 * metrics.roc_auc_score(labels, scores, sample_weight=weights) - 1,
        "average_precision": lambda: metrics.average_precision_score(labels, scores, sample_weight=weights),
        "sensitivity_at_specificity": lambda: thresholds(
            labels, scores, weights, lambda tp, fp, p, n: tp / p if (n - fp) / n >= parameter else 0.0),
        "best_f1": lambda: thresholds(labels, scores, weights, lambda tp, fp, p, n: 2 * tp / (tp + fp + p)),
        "best_accuracy": lambda: thresholds(labels, scores, weights, lambda tp, fp, p, n: (tp + n - fp) / (p + n)),
    }[name]()


def placements(labels, scores, weights):
    """Of each row the weighted mean of the kernel over the rows of the other class."""
    found = np.empty(len(labels))
    for row in range(len(labels)):
        others = labels != labels[row]
        kernel = [1.0 if scores[row] > s else 0.5 if scores[row] == s else 0.0 for s in scores[others]]
        right = kernel if labels[row] == 1 else 1 - np.array(kernel)
        found[row] = np.average(right, weights=weights[others])
    return found


def area_error(labels, scores, weights, contrast, clusters):
    """DeLong (1988), and Obuchowski (1997), each row counting by its weight."""
    areas = [metrics.roc_auc_score(labels, model, sample_weight=weights) for model in scores]
    residual = weights * sum(c * (placements(labels, model, weights) - area)
                             for c, model, area in zip(contrast, scores, areas))
    keys = np.arange(len(labels)) if clusters is None else clusters
    sums = {label: [residual[(keys == key) & (labels == label)].sum() for key in np.unique(keys)] for label in (0, 1)}
    units = {label: len(np.unique(keys[labels == label])) for label in (0, 1)}
    totals = {label: weights[labels == label].sum() for label in (0, 1)}
    variance = sum(units[label] / (units[label] - 1) * np.square(sums[label]).sum() / totals[label] ** 2 for label in (0, 1))
    all_units = len(np.unique(keys))
    variance += 2 * all_units / (all_units - 1) * np.dot(sums[0], sums[1]) / (totals[0] * totals[1])
    return np.sqrt(max(variance, 0.0))


def precision_error(labels, scores, weights, contrast, clusters):
    """The slope of scikit-learn's average precision in the weight of each row, by central differences."""
    def of(changed):
        return sum(c * metrics.average_precision_score(labels, model, sample_weight=changed)
                   for c, model in zip(contrast, scores))

    effects = np.empty(len(labels))
    for row, weight in enumerate(weights):
        step = 1e-5 * weight
        up, down = weights.copy(), weights.copy()
        up[row] += step
        down[row] -= step
        effects[row] = weight * (of(up) - of(down)) / (2 * step)
    keys = np.arange(len(labels)) if clusters is None else clusters
    sums = np.array([effects[keys == key].sum() for key in np.unique(keys)])
    return np.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum())


METRICS = [("roc_auc", None), ("gini", None), ("average_precision", None), ("kolmogorov_smirnov", None),
           ("lift", 0.1), ("lift", 1.0), ("gain", 0.25), ("precision_at_share", 0.17), ("precision_at_k", 7),
           ("recall_at_k", 25), ("recall_at_precision", 0.6), ("recall_at_precision", 1.0),
           ("sensitivity_at_specificity", 0.9), ("best_f1", None), ("best_accuracy", None)]
PARAMETERS = {"lift": "share", "gain": "share", "precision_at_share": "share", "precision_at_k": "k", "recall_at_k": "k",
              "recall_at_precision": "precision", "sensitivity_at_specificity": "specificity"}


def measured(found):
    labels, scores, weights = found["labels"], found["scores"], found["weights"]
    for name, parameter in METRICS:
        metric = name if parameter is None else {name: {PARAMETERS[name]: parameter}}
        row = dict(metric=metric, values=[float(value(name, parameter, labels, model, weights)) for model in scores])
        error = {"roc_auc": area_error, "gini": area_error, "average_precision": precision_error}.get(name)
        if error is not None and found["name"] != "constant scores":
            row["errors"] = [
                dict(weights=contrast, clustered=clusters is not None,
                     error=float((2 if name == "gini" else 1) * error(labels, scores, weights, contrast, clusters)))
                for contrast in ([1.0, 0.0], [1.0, -1.0])
                for clusters in (None, found["clusters"])
            ]
        yield row


def sample_rows():
    for found in samples():
        yield dict(name=found["name"], labels=found["labels"].tolist(), scores=found["scores"].tolist(),
                   weights=found["weights"].tolist() if found["weighted"] else None,
                   clusters=found["clusters"].tolist(), measured=list(measured(found)))


if __name__ == "__main__":
    tables = dict(shares=list(share_rows()), differences=list(difference_rows()), samples=list(sample_rows()))
    lines = ",\n".join(
        f'"{name}": [\n' + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]" for name, rows in tables.items()
    )
    (Path(__file__).parent / "order.json").write_text("{\n" + lines + "\n}\n")
