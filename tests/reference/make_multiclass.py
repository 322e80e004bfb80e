"""Writes the table of expected values that `tests/it/statistics_multiclass.rs` compares with.

Values come from scikit-learn; from the definition, pair by pair, where it takes no weights. Standard errors come from central
differences of these values by the weight of each row: the influence of a row is the mass of all rows times the derivative.
Run it with the packages of `requirements.txt`; the table is the same every time.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics

FOLDER = Path(__file__).parent
STEP = 1e-4
SHARES = {"accuracy", "micro_precision", "micro_recall", "micro_f1", "weighted_recall", "top_k_accuracy", "class_recall", "class_precision"}


def metric_values(classes):
    """Each metric with its parameters, as a function of labels, scores (a row for each row), decisions and weights."""
    labels = range(len(classes))

    def decided(function, **more):
        return lambda y, s, d, w: function(y, d, sample_weight=w, **more)

    def prf(function, average):
        return decided(function, labels=labels, average=average, zero_division=0)

    def of_class(function, index):
        return lambda y, s, d, w: function(y, d, labels=[index], average=None, zero_division=0, sample_weight=w)[0]

    scores = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    yield "accuracy", decided(metrics.accuracy_score)
    yield "balanced_accuracy", decided(metrics.balanced_accuracy_score)
    yield "matthews_correlation", decided(metrics.matthews_corrcoef)
    yield "log_loss", lambda y, s, d, w: metrics.log_loss(y, s, labels=labels, sample_weight=w)
    yield "brier", lambda y, s, d, w: metrics.brier_score_loss(y, s, labels=labels, sample_weight=w, scale_by_half=False)
    for average in ("macro", "micro", "weighted"):
        for name, function in scores.items():
            yield f"{average}_{name}", prf(function, average)
    for name, function in scores.items():
        for index, text in enumerate(classes):
            yield {f"class_{name}": {"class": text}}, of_class(function, index)
    for weights in ("none", "linear", "quadratic"):
        kind = None if weights == "none" else weights
        yield {"cohen_kappa": {"weights": weights}}, decided(metrics.cohen_kappa_score, labels=labels, weights=kind)
    if len(classes) > 2:
        yield {"top_k_accuracy": {"k": 2}}, lambda y, s, d, w: metrics.top_k_accuracy_score(y, s, k=2, labels=labels, sample_weight=w)
        yield "roc_auc_one_vs_rest", lambda y, s, d, w: metrics.roc_auc_score(y, s, multi_class="ovr", labels=labels, sample_weight=w)
    yield "roc_auc_one_vs_one", lambda y, s, d, w: hand_and_till(y, s, w, len(classes))


def hand_and_till(y, s, w, classes):
    """Hand and Till (2001), equation 7, pair of rows by pair of rows."""

    def chance(a, b):
        first, second = s[y == a, a], s[y == b, a]
        above = (first[:, None] > second) + 0.5 * (first[:, None] == second)
        pairs = w[y == a][:, None] * w[y == b]
        return (above * pairs).sum() / pairs.sum()

    return np.mean([(chance(a, b) + chance(b, a)) / 2 for a in range(classes) for b in range(a)])


def undefined(name, y, d, classes):
    """Why a metric is not defined, in our words."""
    name, parameters = next(iter(name.items())) if isinstance(name, dict) else (name, {})
    index = classes.index(parameters["class"]) if "class" in parameters else None
    absent = any((y == label).sum() == 0 for label in range(len(classes)))
    if name in ("balanced_accuracy", "roc_auc_one_vs_rest", "roc_auc_one_vs_one") and absent:
        return "no_row_of_class"
    if name == "class_recall" and not (y == index).any():
        return "no_row_of_class"
    if name == "class_precision" and not (d == index).any():
        return "no_decision_for_class"
    if name == "class_f1" and not ((y == index) | (d == index)).any():
        return "nothing_of_class"
    if name == "matthews_correlation" and (len(set(y)) == 1 or len(set(d)) == 1):
        return "one_class_only"
    if name == "cohen_kappa" and len(set(y) | set(d)) == 1:
        return "one_class_only"
    return None


def influences(value, y, s, d, w):
    found = np.zeros(len(y))
    for row in range(len(y)):
        ends = []
        for step in (STEP, -STEP):
            moved = w.copy()
            moved[row] += step
            ends.append(value(y, s, d, moved))
        found[row] = w.sum() * (ends[0] - ends[1]) / (2 * STEP)
    return found


def error(of_row, w, clusters):
    """The root of n / (n - 1) times the sum of the squared summed influences of each unit, over the mass."""
    units = np.arange(len(w)) if clusters is None else np.array(clusters)
    sums = np.array([(w * of_row)[units == unit].sum() for unit in np.unique(units)])
    count = len(sums)
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / w.sum())


def measured(sample):
    classes, y, weights, clusters = sample["classes"], np.array(sample["labels"]), np.array(sample["weights"]), sample["clusters"]
    models = [np.array(model).T for model in sample["scores"]]
    decisions = [model.argmax(axis=1) for model in models]
    for name, value in metric_values(classes):
        reason = next(filter(None, (undefined(name, y, d, classes) for d in decisions)), None)
        plain = name if isinstance(name, str) else next(iter(name))
        for weighted in (False, True):
            w = weights if weighted else np.ones(len(y))
            if reason:
                yield dict(metric=name, contrast=[1, -1], weighted=weighted, clustered=False, reason=reason)
                continue
            values = [float(value(y, s, d, w)) for s, d in zip(models, decisions)]
            smooth = sample["errors"] and [influences(value, y, s, d, w) for s, d in zip(models, decisions)]
            for contrast in ([1, 0], [0, 1], [1, -1]):
                total = float(np.dot(contrast, values))
                for clustered in (False, True):
                    row = dict(metric=name, contrast=contrast, weighted=weighted, clustered=clustered, value=total)
                    if smooth and (weighted or clustered or plain not in SHARES):
                        row["error"] = error(np.dot(contrast, smooth), w, clusters if clustered else None)
                    yield row


def sample(name, classes, rows, seed, digits=None, absent=(), skill=1.5, errors=True):
    random = np.random.default_rng(seed)
    k = len(classes)
    chances = np.array([0.0 if index in absent else 1.0 + index for index in range(k)])
    y = random.choice(k, rows, p=chances / chances.sum())
    models = []
    for _ in range(2):
        raw = random.normal(size=(rows, k)) + skill * np.eye(k)[y]
        if digits is None:
            models.append(np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True))
        else:  # counts of tenths that sum to ten, so that scores tie and sum to 1
            chances = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
            models.append(np.array([random.multinomial(digits, row) for row in chances]) / digits)
    return dict(
        name=name,
        classes=classes,
        labels=y.tolist(),
        scores=[model.T.tolist() for model in models],
        weights=random.uniform(0.2, 3.0, rows).round(2).tolist(),
        clusters=(np.arange(rows) // 4).tolist(),
        errors=errors,
    )


def certain():
    """Models that are sure, rightly and wrongly: the logarithms are of clipped zeros."""
    y = [0, 1, 2, 0, 1, 2, 2, 1]
    sure = np.eye(3)[y]
    wrong = np.eye(3)[[0, 1, 2, 1, 1, 2, 0, 1]]
    return dict(name="certain", classes=["a", "b", "c"], labels=y, scores=[sure.T.tolist(), wrong.T.tolist()],
                weights=[1.0, 2.0, 0.5, 1e6, 1e-6, 1.0, 3.0, 1.0], clusters=[0, 0, 1, 1, 2, 2, 3, 3], errors=False)


def constant():
    """Scores that say nothing: every row ties, and the first class is decided for."""
    y = [0, 1, 2, 0, 1, 2, 1, 1, 1]
    third = [[1 / 3] * 9] * 3
    return dict(name="constant", classes=["a", "b", "c"], labels=y, scores=[third, third],
                weights=[1.0] * 9, clusters=[0, 0, 0, 1, 1, 1, 2, 2, 2], errors=False)


def main():
    warnings.filterwarnings("ignore")
    samples = [
        sample("smooth", ["red", "green", "blue"], 80, 1),
        sample("ties", ["a", "b", "c", "d"], 60, 2, digits=5),
        sample("two classes", ["no", "yes"], 60, 3),
        sample("an absent class", ["a", "b", "c", "d"], 60, 4, digits=6, absent=[2]),
        sample("one label", ["a", "b", "c"], 30, 5, absent=[0, 2], errors=False),
        sample("many rows", ["a", "b", "c", "d", "e"], 2000, 6, digits=8, errors=False),
        certain(),
        constant(),
    ]
    for each in samples:
        each["measured"] = list(measured(each))
        del each["errors"]
    lines = ",\n".join(json.dumps(each, allow_nan=False) for each in samples)
    (FOLDER / "multiclass.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
