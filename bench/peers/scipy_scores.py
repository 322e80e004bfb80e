"""How far two models' scores are apart, by scipy: the distance of the distributions, the share of changed decisions."""

import pyarrow.parquet as pq
from scipy.stats import ks_2samp

from common import FILES, MODELS, say

table = pq.read_table(FILES[0], columns=MODELS)
baseline, candidate = (table[model].to_numpy() for model in MODELS)
flips = ((baseline >= 0.5) != (candidate >= 0.5)).mean()
say({"difference/distance/all": ks_2samp(baseline, candidate, method="asymp").statistic, "difference/flips/all": flips})
