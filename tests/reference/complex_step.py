"""Standard errors of metrics from nothing but their values on weighted rows.

A metric is an analytic function of the rows' weights, so its derivative by one weight is the imaginary part of the metric
at a weight with a tiny imaginary part, exact to the last digits (Squire and Trapp 1998). The variance follows from the
derivatives: it is `n / (n - 1) * sum (w dM/dw)^2`, of rows or of the sums over clusters.
"""

import numpy as np

STEP = 1e-40


def derivatives(value, weights):
    def at(row):
        moved = weights.astype(complex)
        moved[row] += 1j * STEP
        return value(moved).imag / STEP

    return np.array([at(row) for row in range(len(weights))])


def standard_error(effects, clusters):
    """Of the rows' derivatives times their weights."""
    if clusters is not None:
        effects = np.array([effects[clusters == key].sum() for key in np.unique(clusters)])
    return float(np.sqrt(len(effects) / (len(effects) - 1) * np.sum(effects**2)))
