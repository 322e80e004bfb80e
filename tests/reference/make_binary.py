"""Writes `binary.json`, the expected values that `tests/it/statistics_binary.rs` compares with.

Values come from scikit-learn with sample weights, or where it has no such metric from the definition written out row by
row; the calibration slope from SciPy's trust-region minimiser, checked against statsmodels. Standard errors
come from no formula: each row's influence is the change of the value when its weight is changed a little, which asks the
same value functions again. Run it with the packages of `requirements.txt`.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import optimize, special
from sklearn import metrics

FOLDER = Path(__file__).parent
EPSILON = np.finfo(float).eps
warnings.simplefilter("error")


# Decisions


def top_share(scores, weights, share):
    """The highest score that this share of the weight reaches: try them all."""
    for cut in sorted(set(scores), reverse=True):
        if weights[scores >= cut].sum() >= share * weights.sum() * (1 - 1e-12):
            return cut
    raise AssertionError("all rows together are every share")


def decide(threshold, model, scores, weights):
    cut = threshold["from"][model] if "from" in threshold else top_share(scores, weights, threshold["top_share"])
    return (scores >= cut).astype(int)


def cost(labels, decided, weights, prices):
    total = 0.0
    for label, decision, weight in zip(labels, decided, weights):
        name = ("true" if label == decision else "false") + ("_positive" if decision else "_negative")
        total += weight * prices.get(name, 0.0)
    return total / weights.sum()


DECISIONS = {
    "accuracy": lambda y, d, w, _: metrics.accuracy_score(y, d, sample_weight=w),
    "balanced_accuracy": lambda y, d, w, _: metrics.balanced_accuracy_score(y, d, sample_weight=w),
    "precision": lambda y, d, w, _: metrics.precision_score(y, d, sample_weight=w),
    "recall": lambda y, d, w, _: metrics.recall_score(y, d, sample_weight=w),
    "specificity": lambda y, d, w, _: metrics.recall_score(y, d, pos_label=0, sample_weight=w),
    "negative_predictive_value": lambda y, d, w, _: metrics.precision_score(y, d, pos_label=0, sample_weight=w),
    "f1": lambda y, d, w, _: metrics.f1_score(y, d, sample_weight=w),
    "f_beta": lambda y, d, w, p: metrics.fbeta_score(y, d, beta=p["beta"], sample_weight=w),
    "matthews_correlation": lambda y, d, w, _: metrics.matthews_corrcoef(y, d, sample_weight=w),
    "informedness": lambda y, d, w, _: metrics.balanced_accuracy_score(y, d, sample_weight=w, adjusted=True),
    "threat_score": lambda y, d, w, _: metrics.jaccard_score(y, d, sample_weight=w),
    "positive_rate": lambda y, d, w, _: np.average(d, weights=w),
    "prevalence": lambda y, d, w, _: np.average(y, weights=w),
    "cost": cost,
}


def undefined_decision(name, labels, decided, weights):
    """The reason why a metric is a division by zero."""
    positives, negatives = weights[labels == 1].sum() > 0, weights[labels == 0].sum() > 0
    ones, zeros = weights[decided == 1].sum() > 0, weights[decided == 0].sum() > 0
    if name in ("f1", "f_beta", "threat_score"):
        return None if positives or ones else "nothing_positive"
    needs = {
        "precision": ["ones"], "negative_predictive_value": ["zeros"], "recall": ["positives"],
        "specificity": ["negatives"], "balanced_accuracy": ["positives", "negatives"],
        "informedness": ["positives", "negatives"], "matthews_correlation": ["positives", "negatives", "ones", "zeros"],
    }
    found = dict(positives=(positives, "no_positives"), negatives=(negatives, "no_negatives"),
                 ones=(ones, "no_predicted_positives"), zeros=(zeros, "no_predicted_negatives"))
    return next((found[need][1] for need in needs.get(name, []) if not found[need][0]), None)


# Probabilities


def logit(scores):
    clipped = np.clip(scores, EPSILON, 1 - EPSILON)
    return np.log(clipped) - np.log1p(-clipped)


def calibration_slope(labels, scores, weights):
    x = logit(scores)

    share = weights / weights.sum()

    def loss(line):
        return (share * np.logaddexp(0, np.where(labels == 1, -1, 1) * (line[0] + line[1] * x))).sum()

    def gradient(line):
        rest = share * (special.expit(line[0] + line[1] * x) - labels)
        return np.array([rest.sum(), (rest * x).sum()])

    def hessian(line):
        parts = share * special.expit(line[0] + line[1] * x) * special.expit(-line[0] - line[1] * x)
        return np.array([[parts.sum(), (parts * x).sum()], [(parts * x).sum(), (parts * x * x).sum()]])

    line = optimize.minimize(loss, [0.0, 0.0], jac=gradient, hess=hessian, method="trust-exact").x
    for _ in range(20):
        line = line - np.linalg.solve(hessian(line), gradient(line))
    assert np.abs(gradient(line)).max() < 1e-12, (line, gradient(line))
    return line[1]


def agrees_with_statsmodels(labels, scores, weights):
    if scores.min() < 0.001 or scores.max() > 0.999:
        return  # Its iterations stop early where the curve is flat.
    x = sm.add_constant(logit(scores))
    by_glm = sm.GLM(labels, x, family=sm.families.Binomial(), freq_weights=weights / weights.mean()).fit(tol=1e-12).params[1]
    assert np.isclose(by_glm, calibration_slope(labels, scores, weights), rtol=1e-7), by_glm


def calibration_intercept(labels, scores, weights):
    x = logit(scores)

    def equation(level):
        return (weights * np.where(labels == 1, special.expit(-level - x), -special.expit(level + x))).sum()

    return optimize.brentq(equation, -120, 120, xtol=1e-15, rtol=8.9e-16)


def expected_calibration_error(labels, scores, weights, bins):
    total = 0.0
    for number in range(bins):
        inside = (scores <= (number + 1) / bins) & ((scores > number / bins) | (number == 0))
        total += abs((weights * (scores - labels))[inside].sum())
    return total / weights.sum()


PROBABILITIES = {
    "log_loss": lambda y, s, w, _: metrics.log_loss(y, s, labels=[0, 1], sample_weight=w),
    "brier": lambda y, s, w, _: metrics.brier_score_loss(y, s, labels=[0, 1], pos_label=1, sample_weight=w),
    "brier_skill": lambda y, s, w, _: metrics.d2_brier_score(y, s, sample_weight=w),
    "calibration_ratio": lambda y, s, w, _: (w * s).sum() / (w * y).sum(),
    "calibration_slope": lambda y, s, w, _: calibration_slope(y, s, w),
    "calibration_intercept": lambda y, s, w, _: calibration_intercept(y, s, w),
    "expected_calibration_error": lambda y, s, w, p: expected_calibration_error(y, s, w, p["bins"]),
}


def undefined_probability(name, labels, scores, weights):
    labels, scores = labels[weights > 0], scores[weights > 0]
    if name in ("calibration_ratio", "brier_skill", "calibration_slope", "calibration_intercept") and not labels.any():
        return "no_positives"
    if name in ("brier_skill", "calibration_slope", "calibration_intercept") and labels.all():
        return "no_negatives"
    if name == "calibration_slope":
        ones, zeros = scores[labels == 1], scores[labels == 0]
        if scores.min() == scores.max():
            return "constant_scores"
        if zeros.max() <= ones.min() or ones.max() <= zeros.min():
            return "separated"
    return None


# Samples


def sample(rng, name, rows, *, digits=3, rate=0.4, top=None, errors=False):
    labels = (rng.random(rows) < rate).astype(int)
    shared = rng.normal(size=rows)
    scores = []
    for model in range(2):
        logits = 1.2 * (labels - 0.5) * (1 + 0.2 * model) + 0.8 * shared + 0.6 * rng.normal(size=rows)
        scores.append(np.round(special.expit(logits), digits))
    threshold = dict(top_share=top) if top else {"from": [0.5, 0.4]}
    return dict(name=name, labels=labels, scores=np.array(scores), threshold=threshold, errors=errors,
                weights=np.round(0.05 + rng.gamma(2.0, 0.7, size=rows), 2),
                clusters=rng.integers(0, max(3, rows // 6), size=rows))


def samples():
    rng = np.random.default_rng(20261124)
    yield sample(rng, "thresholds of their own", 90, errors=True)
    yield sample(rng, "ties", 110, digits=1, errors=True)
    yield sample(rng, "few positives", 90, rate=0.1, digits=2, errors=True)
    yield sample(rng, "probabilities of zero and one", 40, digits=0)
    yield sample(rng, "a fifth of the rows", 130, top=0.2)
    yield sample(rng, "a fifth of the rows, with ties", 120, digits=1, top=0.2)
    scaled = sample(rng, "tiny weights", 60)
    scaled["weights"] *= 1e-9
    yield scaled
    large = sample(rng, "large weights", 60)
    large["weights"] *= 1e12
    yield large
    zero = sample(rng, "positives without weight", 40)
    zero["weights"][zero["labels"] == 1] = 0
    yield zero
    constant = sample(rng, "constant scores", 30)
    constant["scores"][:] = 0.7
    yield constant
    low = sample(rng, "scores below the thresholds", 30)
    low["scores"] *= 0.1
    yield low
    for label in (0, 1):
        single = sample(rng, f"all labels {label}", 25)
        single["labels"][:] = label
        yield single
    parted = sample(rng, "separated labels", 30, digits=2)
    parted["scores"] = np.round(0.2 + 0.5 * parted["labels"] + 0.2 * parted["scores"], 3)
    yield parted


METRICS = [
    *(name for name in DECISIONS if name not in ("f_beta", "cost")),
    {"f_beta": {"beta": 2}}, {"f_beta": {"beta": 0.5}},
    {"cost": {"false_positive": 1.0, "false_negative": 5.0, "true_positive": -2.5}},
    *(name for name in PROBABILITIES if name != "expected_calibration_error"),
    {"expected_calibration_error": {"bins": 10}}, {"expected_calibration_error": {"bins": 1}},
]


def value(name, parameters, sample, model, weights, decided):
    labels, scores = sample["labels"], sample["scores"][model]
    if name in DECISIONS:
        return DECISIONS[name](labels, decided, weights, parameters)
    return PROBABILITIES[name](labels, scores, weights, parameters)


def influences(name, parameters, sample, model, weights, decided):
    """What each row does to the value, in units of the weight of all: central differences of fourth order by its weight.
    Rows that the metric cannot tell apart do the same."""
    step = 1e-4 * weights.mean()
    seen = {}

    def moved(row, by):
        changed = weights.copy()
        changed[row] += by
        return value(name, parameters, sample, model, changed, decided)

    def influence(row):
        near, far = (moved(row, by) - moved(row, -by) for by in (step, 2 * step))
        return (8 * near - far) / (12 * step) * weights.sum()

    told = decided if name in DECISIONS else sample["scores"][model]
    keys = list(zip(sample["labels"].tolist(), told.tolist()))
    for row, key in enumerate(keys):
        if key not in seen:
            seen[key] = influence(row)
    return np.array([seen[key] for key in keys])


def error(effect, weights, clusters):
    total = weights * effect
    if clusters is not None:
        total = np.bincount(clusters, weights=total)
        total = total[np.unique(clusters)]
    units = len(total)
    return float(np.sqrt(units / (units - 1) * (total**2).sum()) / weights.sum())


def measured(sample, metric):
    name, parameters = (metric, {}) if isinstance(metric, str) else next(iter(metric.items()))
    models = range(len(sample["scores"]))
    for weighted in (False, True):
        weights = sample["weights"] if weighted else np.ones(len(sample["labels"]))
        decided = [decide(sample["threshold"], model, sample["scores"][model], weights) for model in models]
        reasons = [
            undefined_decision(name, sample["labels"], decided[model], weights) if name in DECISIONS
            else undefined_probability(name, sample["labels"], sample["scores"][model], weights)
            for model in models
        ]
        row = dict(metric=metric, weighted=weighted)
        if name == "calibration_intercept" and np.isin(sample["scores"], [0, 1]).all():
            continue  # Where the curve is flat to sixteen digits no root of it has nine.
        if any(reasons):
            yield row | dict(reasons=reasons)
            continue
        values = [float(value(name, parameters, sample, model, weights, decided[model])) for model in models]
        row |= dict(values=values)
        if name == "calibration_slope":
            for model in models:
                agrees_with_statsmodels(sample["labels"], sample["scores"][model], weights)
        if sample["errors"]:
            effects = [influences(name, parameters, sample, model, weights, decided[model]) for model in models]
            effects.append(effects[0] - effects[1])
            row |= dict(errors=[error(effect, weights, None) for effect in effects],
                        clustered_errors=[error(effect, weights, sample["clusters"]) for effect in effects])
        yield row


def rows():
    for sample in samples():
        yield dict(
            name=sample["name"], threshold=sample["threshold"], labels=sample["labels"].tolist(),
            scores=sample["scores"].tolist(), weights=sample["weights"].tolist(), clusters=sample["clusters"].tolist(),
            measured=[row for metric in METRICS for row in measured(sample, metric)],
        )


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows())
    (FOLDER / "binary.json").write_text(f"[\n{lines}\n]\n")
