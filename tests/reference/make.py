"""Writes the tables of expected values that `tests/it/statistics.rs` compares with.

Everything comes from an implementation that shares nothing with ours: scikit-learn, statsmodels, SciPy, or the definition
written out naively here, row by row. Run it with the packages of `requirements.txt`; the tables are the same every time.
"""

import json
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import optimize, special, stats
from sklearn import metrics
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower, normal_power_het
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

FOLDER = Path(__file__).parent
ALPHA = 0.05
THRESHOLD = 0.5


def write(name, rows):
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    (FOLDER / f"{name}.json").write_text(f"[\n{lines}\n]\n")


# Proportions


def score_p(successes, trials, limit):
    def p(alternative):
        return proportions_ztest(successes, trials, value=limit, alternative=alternative, prop_var=limit)[1]

    return float(p("smaller")), float(p("larger"))


def wilson(successes, trials):
    low, high = proportion_confint(successes, trials, alpha=2 * ALPHA, method="wilson")
    return float(low), float(high)


def wilson_rows():
    for successes, trials in [(0, 5), (1, 7), (3, 10), (45, 50), (50, 50), (812, 1000), (999_990, 1_000_000)]:
        low, high = wilson(successes, trials)
        for limit in (0.1, 0.5, 0.8, 0.95):
            below, above = score_p(successes, trials, limit)
            yield dict(successes=successes, trials=trials, low=low, high=high, limit=limit, below=below, above=above)


def tango_statistic(trials, gained, lost, difference):
    """Tango (1998), with the constrained maximum likelihood found by a search and not by his formula."""
    lowest, highest = max(0.0, -difference), (1 - difference) / 2
    excess = gained - lost - trials * difference

    def slope(share):
        same = trials - gained - lost
        return (
            gained * share * (1 - 2 * share - difference)
            + lost * (share + difference) * (1 - 2 * share - difference)
            - 2 * same * share * (share + difference)
        )

    # This is the slope of a concave likelihood, times what is positive between the ends: one sign change at most.
    start = lowest + 1e-13
    share = optimize.brentq(slope, start, highest, xtol=1e-17, rtol=1e-15) if slope(start) > 0 else lowest
    variance = trials * (2 * share + difference - difference**2)
    return excess / np.sqrt(variance)


def tango(trials, gained, lost, alpha=ALPHA):
    z, value = stats.norm.isf(alpha), (gained - lost) / trials

    def solve(target, low, high):
        return optimize.brentq(lambda d: tango_statistic(trials, gained, lost, d) - target, low, high, xtol=1e-15, rtol=1e-14)

    return solve(z, -1 + 1e-9, value - 1e-12), solve(-z, value + 1e-12, 1 - 1e-9)


def tango_rows():
    # The first is Bentur et al. (2009) as in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013)
    # 91, table 6, whose 95 % interval by Tango is -0.517 to -0.026.
    low, high = tango(21, 1, 7, 0.025)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026), (low, high)
    for trials, gained, lost in [(21, 1, 7), (160, 40, 20), (50, 12, 2), (50, 0, 0), (44, 1, 0), (30, 0, 9), (5000, 101, 87)]:
        low, high = tango(trials, gained, lost)
        for limit in (-0.2, -0.01, 0.02, 0.3):
            statistic = tango_statistic(trials, gained, lost, limit)
            yield dict(trials=trials, gained=gained, lost=lost, low=low, high=high, limit=limit,
                       below=float(stats.norm.cdf(statistic)), above=float(stats.norm.sf(statistic)))


# Samples: labels, scores and clusters, and what each metric is on them


def binary(rng, name, rows, models, digits, rate=0.4, skill=1.2):
    labels = (rng.random(rows) < rate).astype(int)
    shared = rng.normal(size=rows)
    scores = []
    for model in range(models):
        logit = skill * (labels - 0.5) * (1 + 0.2 * model) + 0.8 * shared + 0.6 * rng.normal(size=rows)
        scores.append(np.round(1 / (1 + np.exp(-logit)), digits))
    return sample(rng, name, "binary", labels, scores)


def regression(rng, name, rows, models, offset):
    labels = np.round(offset + 3 * rng.normal(size=rows), 2)
    scores = [np.round(labels + rng.normal(size=rows) + 0.1 * model, 2) for model in range(models)]
    return sample(rng, name, "regression", labels, scores)


def sample(rng, name, task, labels, scores):
    clusters = rng.integers(0, max(3, len(labels) // 6), size=len(labels))
    return dict(name=name, task=task, labels=labels, scores=np.array(scores, float), clusters=clusters)


def samples():
    rng = np.random.default_rng(20261123)
    yield binary(rng, "two models", 150, 2, 3)
    yield binary(rng, "ties", 120, 2, 1)
    yield binary(rng, "four models", 90, 4, 2)
    yield binary(rng, "few positives", 80, 2, 2, rate=0.08)
    extremes = binary(rng, "probabilities of zero and one", 40, 2, 0)
    yield extremes
    constant = binary(rng, "constant scores", 30, 2, 2)
    constant["scores"][:] = 0.7
    yield constant
    negative = binary(rng, "one class", 25, 2, 2)
    negative["labels"][:] = 0
    negative["scores"] *= 0.6
    yield negative
    yield regression(rng, "errors", 100, 2, 10.0)
    yield regression(rng, "errors far from zero", 60, 4, 1e6)


def decisions(task_scores):
    return (task_scores >= THRESHOLD).astype(int)


def ratio_parts(metric, labels, decided):
    hits = labels * decided
    return {
        "accuracy": ((labels == decided).astype(float), np.ones(len(labels))),
        "precision": (hits, decided),
        "recall": (hits, labels),
        "f1": (2 * hits, labels + decided),
    }[metric]


def by_sklearn(metric, labels, scores):
    decided = decisions(scores)
    return {
        "accuracy": lambda: metrics.accuracy_score(labels, decided),
        "precision": lambda: metrics.precision_score(labels, decided),
        "recall": lambda: metrics.recall_score(labels, decided),
        "f1": lambda: metrics.f1_score(labels, decided),
        "roc_auc": lambda: metrics.roc_auc_score(labels, scores),
        "log_loss": lambda: metrics.log_loss(labels, scores, labels=[0, 1]),
        "brier": lambda: metrics.brier_score_loss(labels, scores),
        "rmse": lambda: metrics.root_mean_squared_error(labels, scores),
        "mae": lambda: metrics.mean_absolute_error(labels, scores),
    }[metric]()


def influence(metric, labels, scores):
    """What each row adds to the metric, to first order, or the reason why there is no metric."""
    if metric in ("accuracy", "precision", "recall", "f1"):
        above, below = ratio_parts(metric, labels, decisions(scores))
        if below.sum() == 0:
            return {"precision": "no_predicted_positives", "recall": "no_positives", "f1": "nothing_positive"}[metric]
        return (above - above.sum() / below.sum() * below) / below.mean()
    clipped = np.clip(scores, np.finfo(float).eps, 1 - np.finfo(float).eps)
    loss = {
        "log_loss": lambda: -np.where(labels == 1, np.log(clipped), np.log1p(-clipped)),
        "brier": lambda: (scores - labels) ** 2,
        "mae": lambda: np.abs(scores - labels),
        "rmse": lambda: (scores - labels) ** 2 / (2 * np.sqrt(np.mean((scores - labels) ** 2))),
    }[metric]()
    return loss - loss.mean()


def mean_error(values, clusters):
    """The standard error of a mean; statsmodels' small-sample factor for one coefficient is G / (G - 1)."""
    if clusters is None:
        return float(np.std(values, ddof=1) / np.sqrt(len(values)))
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    return float(fit.bse[0])


def kernel(positive, negative):
    return 1.0 if positive > negative else 0.5 if positive == negative else 0.0


def placements(labels, scores):
    positives, negatives = scores[labels == 1], scores[labels == 0]
    table = np.array([[kernel(x, y) for y in negatives] for x in positives])
    return table.mean(axis=1), table.mean(axis=0)


def auc(labels, scores, clusters, weights):
    """DeLong (1988) and Obuchowski (1997) by their definitions: the kernel on all pairs."""
    if labels.min() == labels.max():
        return "one_class"
    parts = [placements(labels, model) for model in scores]
    areas = np.array([part[0].mean() for part in parts])
    v10, v01 = np.array([part[0] for part in parts]), np.array([part[1] for part in parts])
    m, n = v10.shape[1], v01.shape[1]
    if clusters is None:
        covariance = np.cov(v10) / m + np.cov(v01) / n
        # Satterthwaite (1946) for one model; a contrast is taken as normal.
        parts = [(float(weights @ cov @ weights), size) for cov, size in ((np.cov(v10) / m, m), (np.cov(v01) / n, n))]
        uncertain = sum(part**2 / (size - 1) for part, size in parts)
        one = np.count_nonzero(weights) == 1
        degrees = sum(part for part, _ in parts) ** 2 / uncertain if one and uncertain > 0 else None
        return areas @ weights, weights @ covariance @ weights, degrees
    keys = np.unique(clusters)
    c1, c0 = clusters[labels == 1], clusters[labels == 0]
    s1 = np.array([(v10[:, c1 == key] - areas[:, None]).sum(axis=1) for key in keys]).T
    s0 = np.array([(v01[:, c0 == key] - areas[:, None]).sum(axis=1) for key in keys]).T
    i1, i0, i = len(np.unique(c1)), len(np.unique(c0)), len(keys)
    s10, s01, s11 = i1 / (i1 - 1) * s1 @ s1.T / m, i0 / (i0 - 1) * s0 @ s0.T / n, i / (i - 1) * s1 @ s0.T
    covariance = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    return areas @ weights, weights @ covariance @ weights, min(i1, i0) - 1


def studentised(value, error, degrees, limit, bounds):
    """On the scale on which the range of a single model's metric has no end."""
    law = stats.norm if degrees is None else stats.t(degrees)
    onto, back, slope = {
        (0.0, 1.0): (special.logit, special.expit, 1 / (value * (1 - value))),
        (0.0, np.inf): (np.log, np.exp, 1 / value),
        (-np.inf, np.inf): (float, float, 1.0),
    }[bounds]
    half = law.isf(ALPHA) * error * slope
    statistic = (onto(value) - onto(limit)) / (error * slope)
    return dict(low=float(back(onto(value) - half)), high=float(back(onto(value) + half)),
                below=float(law.cdf(statistic)), above=float(law.sf(statistic)), error=error)


def measured(metric, sample, weights, clustered):
    labels, scores = sample["labels"], sample["scores"]
    clusters = sample["clusters"] if clustered else None
    row = dict(metric=metric, weights=list(weights), clustered=clustered)
    weighted = [model for model, weight in enumerate(weights) if weight]
    single = weighted[0] if list(weights).count(0) == len(weights) - 1 else None
    infinite = metric in ("log_loss", "rmse", "mae")
    bounds = (0.0, np.inf if infinite else 1.0) if single is not None else (-np.inf, np.inf)
    if metric == "roc_auc":
        found = auc(labels, scores, clusters, weights)
        if isinstance(found, str):
            return row | dict(reason=found)
        value, variance, degrees = found
        error = float(np.sqrt(max(variance, 0)))
    else:
        effects = [influence(metric, labels, scores[model]) for model in weighted]
        reasons = [effect for effect in effects if isinstance(effect, str)]
        if reasons:
            return row | dict(reason=reasons[0])
        effect = sum(weights[model] * effect for model, effect in zip(weighted, effects))
        value, error = None, mean_error(effect, clusters)
        degrees = None if clusters is None else len(np.unique(clusters)) - 1
    exact = sum(weights[model] * by_sklearn(metric, labels, scores[model]) for model in weighted)
    assert value is None or abs(value - exact) < 1e-12
    value = float(exact)
    limit = round(value - 0.04, 2) if single is None else max(round(value - 0.04, 2), 0.01)
    row |= dict(value=value, limit=limit)
    if sum(weights) == 0 and np.ptp([scores[model] for model in weighted], axis=0).max() == 0:
        return row | dict(error=0.0)  # equal scores on every row: there is nothing to vary
    if not clustered and metric in ("accuracy", "precision", "recall", "f1"):
        if single is not None:
            return row | single_share(metric, labels, decisions(scores[single]), limit)
        if metric in ("accuracy", "recall") and sorted(w for w in weights if w) == [-1, 1]:
            return row | paired_shares(metric, labels, decisions(scores), weights, limit)
    if error <= 1e-13 * max(1.0, abs(value)):
        return row | dict(error=0.0)
    return row | studentised(value, error, degrees, limit, bounds)


def exact(successes, trials, limit):
    """Clopper and Pearson's interval, and the p-values of the exact binomial test."""
    low, high = proportion_confint(successes, trials, alpha=2 * ALPHA, method="beta")
    p = [stats.binomtest(int(successes), int(trials), limit, alternative=side).pvalue for side in ("less", "greater")]
    return dict(method="clopper-pearson", low=float(low), high=float(high), below=float(p[0]), above=float(p[1]))


def single_share(metric, labels, decided, limit):
    above, below = ratio_parts(metric, labels, decided)
    if metric != "f1":
        return exact(above.sum(), below.sum(), limit)
    hits = int((labels * decided).sum())
    union = int(((labels + decided) > 0).sum())
    found = exact(hits, union, limit / (2 - limit))
    return found | {end: 2 * found[end] / (1 + found[end]) for end in ("low", "high")}


def paired_shares(metric, labels, decided, weights, limit):
    first, second = int(np.argmax(weights)), int(np.argmin(weights))
    trial = np.ones(len(labels), bool) if metric == "accuracy" else labels == 1
    right = (decided == labels)[:, trial]
    gained, lost = int((right[first] & ~right[second]).sum()), int((right[second] & ~right[first]).sum())
    low, high = tango(int(trial.sum()), gained, lost)
    statistic = tango_statistic(int(trial.sum()), gained, lost, limit)
    return dict(method="tango", low=low, high=high, below=float(stats.norm.cdf(statistic)), above=float(stats.norm.sf(statistic)))


def weightings(models):
    pad = [0.0] * (models - 2)
    yield np.array([1.0, 0.0, *pad])
    yield np.array([0.0, 1.0, *pad])
    yield np.array([1.0, -1.0, *pad])
    yield np.array([1.0, -1.02, *pad])
    if models == 4:
        yield np.array([1.0, -1.0, -1.0, 1.0])


def sample_rows():
    for sample in samples():
        names = {
            "binary": ["accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"],
            "regression": ["rmse", "mae"],
        }[sample["task"]]
        rows = [
            measured(metric, sample, weights, clustered)
            for metric in names
            for weights in weightings(len(sample["scores"]))
            for clustered in (False, True)
        ]
        rows = [{key: value for key, value in row.items() if value not in (np.inf, -np.inf)} for row in rows]
        distance = stats.ks_2samp(sample["scores"][0], sample["scores"][1]).statistic
        yield dict(name=sample["name"], task=sample["task"], labels=sample["labels"].tolist(),
                   scores=sample["scores"].tolist(), clusters=sample["clusters"].tolist(),
                   distance=float(distance), measured=rows)


# The rest


def holm_rows():
    rng = np.random.default_rng(7)
    families = [[0.01], [0.04, 0.03, 0.02, 0.01], [0.012, 0.012, 0.012], [0.2, 0.0, 1.0, 0.004, 0.004, 0.03],
                np.round(rng.random(20) ** 4, 4).tolist()]
    for p_values in families:
        rejected, adjusted, _, _ = multipletests(p_values, alpha=ALPHA, method="holm")
        yield dict(p_values=p_values, rejected=rejected.tolist(), adjusted=adjusted.tolist())


def discovery_rows():
    """Of a search, the smallest p-values are reported; statsmodels is told of the others as 1."""
    rng = np.random.default_rng(8)
    families = [([0.01], 1), ([0.035, 0.9, 0.001, 0.03], 4), ([0.012, 0.012, 0.012], 3),
                ([0.2, 0.0, 1.0, 0.004, 0.004, 0.03], 6), (np.round(rng.random(40) ** 4, 4).tolist(), 40),
                (np.round(rng.random(25) ** 8, 6).tolist(), 400)]
    for p_values, searched in families:
        for method in ("fdr_bh", "fdr_by"):
            told = p_values + [1.0] * (searched - len(p_values))
            rejected, adjusted, _, _ = multipletests(told, alpha=ALPHA, method=method)
            reported = slice(len(p_values))
            yield dict(method=method, searched=searched, p_values=p_values, rejected=rejected[reported].tolist(),
                       adjusted=adjusted[reported].tolist())


# Power


def tango_error(trials, gained, lost, difference):
    """The standard error that Tango's statistic divides by, found from the statistic itself."""
    return ((gained - lost) / trials - difference) / tango_statistic(trials, gained, lost, difference)


def reach(power, room):
    """How far from the limit a truth is found with a chance of 80 %, or nothing if none is within the room there is."""
    if power(room) < 0.8:
        return None
    return optimize.brentq(lambda excess: power(excess) - 0.8, 1e-12, room, xtol=1e-15, rtol=1e-14)


def same(value):
    return value


def power_row(law, worse, limit, equal, fail, passed, room, power, metric=same, share=same):
    at = share(limit)
    excess = reach(lambda excess: power(excess, at + worse * excess, fail), room(at))
    found = None if excess is None else float(metric(at + worse * excess))
    kept = worse * (at - share(equal))
    return dict(law=law, worse=worse, limit=limit, equal=equal, fail=fail, passed=passed, found=found,
                passes=float(power(kept, share(equal), passed)))


def of_normal(error):
    return lambda excess, truth, alpha: normal_power_het(excess, 1, alpha, error, error, "larger")


def of_student(error, degrees):
    return lambda excess, truth, alpha: TTestPower().power(excess / error, 1, alpha, df=degrees, alternative="larger")


def of_share(trials, limit):
    def power(excess, truth, alpha):
        null, alternative = np.sqrt(limit * (1 - limit)), np.sqrt(max(truth * (1 - truth), 1e-300))
        return normal_power_het(excess, trials, alpha, null, alternative, "larger")

    return power


def of_difference(trials, gained, lost, limit):
    def power(excess, truth, alpha):
        differ = max((gained + lost) / trials, abs(truth))
        expected = trials * (differ + truth) / 2, trials * (differ - truth) / 2
        null = tango_error(trials, *expected, limit) * np.sqrt(trials)
        return normal_power_het(excess, trials, alpha, null, np.sqrt(differ - truth**2), "larger")

    return power


def exact_share_power(trials, limit, truth, alpha):
    """The binomial chance that the score test rejects "at least limit"."""
    seen = np.arange(trials + 1)
    rejects = (seen - trials * limit) / np.sqrt(trials * limit * (1 - limit)) <= -stats.norm.isf(alpha)
    return stats.binom.pmf(seen, trials, truth)[rejects].sum()


def drawn_difference_power(rng, trials, differ, limit, truth, alpha, draws=1000):
    """The share of seeded draws in which Tango's test rejects "at least limit"."""
    cells = rng.multinomial(trials, [(differ + truth) / 2, (differ - truth) / 2, 1 - differ], size=draws)
    statistics = [tango_statistic(trials, gained, lost, limit) for gained, lost, _ in cells]
    return np.mean(np.array(statistics) <= -stats.norm.isf(alpha))


def power_rows():
    rng = np.random.default_rng(9)
    for fail in (0.05, 0.05 / 60):
        for worse in (-1.0, 1.0):
            for error, margin, equal in [(0.004, 0.01, 0.0), (0.02, 0.01, 0.0), (0.3, 0.0, 0.5)]:
                limit = worse * margin
                row = power_row("normal", worse, limit, -worse * equal, fail, 0.05, lambda at: 1e3, of_normal(error))
                yield dict(error=error) | row
                for degrees in (2.0, 19.0, 303.0, 5000.0):
                    # SciPy's noncentral t is not a number far out.
                    room = lambda at: error * (2 * stats.t(degrees).isf(fail) + 20)
                    yield dict(error=error, degrees=degrees) | power_row(
                        "student", worse, limit, -worse * equal, fail, 0.05, room, of_student(error, degrees))
            for trials, limit, equal in [(50, 0.7, 0.75), (3000, 0.7, 0.72), (200, 0.02, 0.01), (40, 0.1, 0.5)]:
                room = lambda at: at if worse < 0 else 1 - at
                row = power_row("share", worse, limit, equal, fail, 0.05, room, of_share(trials, limit))
                if trials == 3000 and worse < 0:
                    assert abs(exact_share_power(trials, limit, row["found"], fail) - 0.8) < 0.01, row
                yield dict(trials=trials) | row
                jaccard = lambda metric: metric / (2 - metric)
                power = of_share(trials, jaccard(limit))
                row = power_row("f1", worse, limit, equal, fail, 0.05, room, power, lambda j: 2 * j / (1 + j), jaccard)
                yield dict(trials=trials) | row
            for trials, gained, lost, margin in [(500, 20, 30, 0.02), (5000, 101, 87, 0.01), (100, 8, 3, 0.05)]:
                limit = worse * margin
                row = power_row("difference", worse, limit, 0.0, fail, 0.05, lambda at: 1 - margin - 1e-9,
                                of_difference(trials, gained, lost, limit))
                if trials == 5000 and worse < 0:
                    drawn = drawn_difference_power(rng, trials, (gained + lost) / trials, limit, row["found"], fail)
                    assert abs(drawn - 0.8) < 0.03, (row, drawn)
                yield dict(trials=trials, gained=gained, lost=lost) | row


def quantile_rows():
    for degrees in (None, 1, 2, 5, 29, 1000.0):
        law = stats.norm if degrees is None else stats.t(degrees)
        for alpha in (1e-9, 1e-4, 0.0125, 0.05, 0.3, 0.5, 0.9):
            yield dict(degrees=degrees, alpha=alpha, critical=float(law.isf(alpha)))
        for x in (-8.0, -2.5, -0.3, 0.0, 1.7, 4.0):
            yield dict(degrees=degrees, x=x, at_most=float(law.cdf(x)))


if __name__ == "__main__":
    write("wilson", wilson_rows())
    write("tango", tango_rows())
    write("samples", sample_rows())
    write("holm", holm_rows())
    write("discovery", discovery_rows())
    write("power", power_rows())
    write("quantiles", quantile_rows())
