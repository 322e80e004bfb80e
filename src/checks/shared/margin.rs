//! Margins: how far a candidate may be from its baseline, as tests of contrasts between the two.

use crate::check::Refusal;
use crate::checks::shared::{Sample, binned, estimate, undecided};
use crate::evidence::{Evidence, Finding, Limits, Subject, allowed};
use crate::plan::Plan;
use crate::spec::limit::Amount;
use crate::spec::problem::{Problem, quoted};
use crate::stats::bound::{Bound, Test};
use crate::stats::measurement::Measurement;
use crate::stats::metric::{Direction, Metric};
use crate::stats::undefined::Undefined;

/// Why a gain beyond `suspicious_gain` is worth a look.
const SUSPICIOUS: &str =
    "so large a gain smells of leakage: look for a feature that tells what the model must find out";

/// How far from the baseline a candidate may be, at one end of the difference or at both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::checks) struct Margin {
    key: &'static str,
    ends: Ends,
    amount: Amount,
}

/// Where the difference, candidate minus baseline, is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Below,
    Above,
    Both,
}

/// A test to be made: the weights of baseline and candidate, the bound on their weighted metric, and what the weighted
/// metric is of a candidate equal to the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Contrast {
    weights: [f64; 2],
    bound: Bound,
    equal: f64,
}

impl Margin {
    /// The one margin of a check: `max_drop` for metrics that should be high, `max_rise` for those that should be low,
    /// `within` for any.
    pub(in crate::checks) fn new(
        plan: &Plan<'_>,
        metric: &Metric,
        max_drop: Option<Amount>,
        max_rise: Option<Amount>,
        within: Option<Amount>,
    ) -> Result<Self, Refusal> {
        let keys =
            [("max_drop", Ends::Below, max_drop), ("max_rise", Ends::Above, max_rise), ("within", Ends::Both, within)];
        let mut margins =
            keys.into_iter().filter_map(|(key, ends, amount)| amount.map(|amount| Self { key, ends, amount }));
        let (fitting, better) = match metric.direction() {
            Direction::Higher => (Some(("max_drop", Ends::Below)), "is better when it is higher"),
            Direction::Lower => (Some(("max_rise", Ends::Above)), "is better when it is lower"),
            Direction::Neither => (None, "is not better in any direction"),
        };
        let key = fitting.map_or("within", |(key, _)| key);
        let Some(margin) = margins.next() else {
            let problem =
                Problem::key(plan.here(), format!("how far may {} be from the baseline?", quoted(&metric.name())));
            return Err(problem.remedy(format!("add `{key}: 0.01` (absolute) or `{key}: 1%` (relative)")).into());
        };
        if margin.ends != Ends::Both && fitting.is_none_or(|(_, ends)| margin.ends != ends) {
            let problem = Problem::key(&plan.at(margin.key), format!("{} {better}", quoted(&metric.name())));
            return Err(problem.remedy(format!("say `{key}`")).into());
        }
        if let Some(second) = margins.next() {
            let problem =
                Problem::key(&plan.at(second.key), format!("one margin is enough, and `{}` is here", margin.key));
            return Err(problem.remedy("make two checks of it, or remove one").into());
        }
        Ok(margin)
    }

    /// The most that a metric may gain before it is suspicious.
    pub(in crate::checks) fn of_gain(
        plan: &Plan<'_>,
        metric: &Metric,
        amount: Option<Amount>,
    ) -> Result<Option<Self>, Refusal> {
        let Some(amount) = amount else { return Ok(None) };
        let key = "suspicious_gain";
        let ends = match metric.direction() {
            Direction::Higher => Ends::Above,
            Direction::Lower => Ends::Below,
            Direction::Neither => {
                let message =
                    format!("{} is not better in any direction, so nothing is a gain", quoted(&metric.name()));
                return Err(Problem::key(&plan.at(key), message).remedy("remove it").into());
            }
        };
        Ok(Some(Self { key, ends, amount }))
    }

    /// The same margin, `factor` times as wide.
    pub(in crate::checks) fn times(self, factor: f64) -> Self {
        let amount = match self.amount {
            Amount::Absolute(amount) => Amount::Absolute(amount * factor),
            Amount::Relative(share) => Amount::Relative(share * factor),
        };
        Self { amount, ..self }
    }

    pub(in crate::checks) fn limits(self) -> Limits {
        allowed(self.key, self.amount)
    }

    /// The tests that the claim consists of, for a baseline of about this value.
    fn contrasts(self, baseline: f64) -> Vec<Contrast> {
        match self.ends {
            Ends::Below => vec![self.contrast(-1.0, baseline)],
            Ends::Above => vec![self.contrast(1.0, baseline)],
            Ends::Both => vec![self.contrast(-1.0, baseline), self.contrast(1.0, baseline)],
        }
    }

    /// The test at the lower end, -1, or the upper, 1.
    ///
    /// A relative margin `r` of a positive baseline is the linear statement `candidate - (1 - r) * baseline >= 0`, so
    /// no ratio is needed. Of a negative baseline, whose share must not turn the margin round, it is `(1 + r)`. Which
    /// of the two is taken hardly matters where the baseline's sign is in doubt, since there the margin is next to
    /// nothing.
    fn contrast(self, end: f64, baseline: f64) -> Contrast {
        let (weight, limit) = match self.amount {
            Amount::Absolute(margin) => (1.0, end * margin),
            Amount::Relative(share) => (1.0 + end * share.copysign(baseline), 0.0),
        };
        let bound = if end < 0.0 { Bound::AtLeast(limit) } else { Bound::AtMost(limit) };
        Contrast { weights: [-weight, 1.0], bound, equal: (1.0 - weight) * baseline }
    }

    /// The tests of the contrasts; of an absolute margin each contrast is the difference.
    fn tests(
        self,
        metric: &Metric,
        sample: &Sample,
        baseline: f64,
        difference: &Measurement,
    ) -> Result<Vec<Test>, Undefined> {
        let test = |Contrast { weights, bound, equal }| {
            let measured = match self.amount {
                Amount::Absolute(_) => difference.clone(),
                Amount::Relative(_) => sample.measure(metric, &weights)?,
            };
            Ok(Test { measured: measured.into(), bound, equal })
        };
        self.contrasts(baseline).into_iter().map(test).collect()
    }
}

/// The evidence of a candidate against its baseline on the same rows: the baseline is model 0, the candidate model 1.
pub(in crate::checks) fn compare(
    metric: &Metric,
    sample: &Sample,
    margin: Margin,
    level: f64,
    subject: Subject,
) -> Evidence {
    let compared = || -> Result<Evidence, Undefined> {
        let difference = sample.measure(metric, &[-1.0, 1.0])?;
        let baseline = sample.measure(metric, &[1.0, 0.0])?;
        let tests = margin.tests(metric, sample, baseline.value, &difference)?;
        let mut evidence = Evidence::tested(subject.clone(), margin.limits(), tests, level);
        evidence.baseline = Some(estimate(&baseline, level));
        evidence.candidate = Some(estimate(&sample.measure(metric, &[0.0, 1.0])?, level));
        evidence.difference = Some(estimate(&difference, level));
        evidence.rows = difference.rows;
        evidence.method = Some(difference.method.name().to_owned());
        Ok(binned(sample.counted(evidence, difference.clusters), difference.binning_error()))
    };
    compared().unwrap_or_else(|reason| undecided(subject.clone(), margin.limits(), sample.rows(), &reason))
}

/// A claim as the alarm that a gain is suspicious. One that cannot go off was not tested; what is undecided is the
/// promise beside it.
pub(in crate::checks) fn alarm(mut evidence: Evidence) -> Evidence {
    if let Finding::Undecided { reason, .. } | Finding::Fact { holds: false, reason: Some(reason) } = &evidence.finding
    {
        evidence.finding = Finding::NotTested { reason: reason.clone() };
    }
    evidence.advisory(SUSPICIOUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn margin(ends: Ends, amount: Amount) -> Margin {
        Margin { key: "within", ends, amount }
    }

    /// Whether a candidate of this value keeps the margin to a baseline of that value, if both are known exactly.
    fn keeps(margin: Margin, candidate: f64, baseline: f64) -> bool {
        margin.contrasts(baseline).into_iter().all(|Contrast { weights, bound, .. }| {
            let value = weights[0] * baseline + weights[1] * candidate;
            match bound {
                Bound::AtLeast(limit) => value >= limit,
                Bound::AtMost(limit) => value <= limit,
            }
        })
    }

    #[test]
    fn ends_and_amounts() {
        let cases = [
            (Ends::Below, Amount::Absolute(0.1), 0.5, [(0.39, false), (0.41, true), (0.9, true)]),
            (Ends::Above, Amount::Absolute(0.1), 0.5, [(0.1, true), (0.59, true), (0.61, false)]),
            (Ends::Both, Amount::Absolute(0.1), 0.5, [(0.39, false), (0.5, true), (0.61, false)]),
            (Ends::Below, Amount::Relative(0.1), 2.0, [(1.79, false), (1.81, true), (9.0, true)]),
            (Ends::Both, Amount::Relative(0.1), 2.0, [(1.79, false), (2.19, true), (2.21, false)]),
            // A share of a negative baseline is a margin as well, and not its opposite.
            (Ends::Below, Amount::Relative(0.1), -2.0, [(-2.21, false), (-2.19, true), (0.0, true)]),
            (Ends::Both, Amount::Relative(0.1), -2.0, [(-2.21, false), (-1.81, true), (-1.79, false)]),
            (Ends::Above, Amount::Relative(0.1), -2.0, [(-9.0, true), (-1.81, true), (-1.79, false)]),
            (Ends::Below, Amount::Relative(0.1), 0.0, [(-0.01, false), (0.0, true), (0.01, true)]),
        ];
        for (ends, amount, baseline, candidates) in cases {
            for (candidate, kept) in candidates {
                let margin = margin(ends, amount);
                assert_eq!(keeps(margin, candidate, baseline), kept, "{margin:?}: {candidate} against {baseline}");
            }
        }
    }

    #[test]
    fn an_equal_candidate_is_where_it_says() {
        for amount in [Amount::Absolute(0.1), Amount::Relative(0.1)] {
            for baseline in [-2.0, 0.0, 0.7] {
                for Contrast { weights, equal, .. } in margin(Ends::Both, amount).contrasts(baseline) {
                    assert!((weights[0] * baseline + weights[1] * baseline - equal).abs() < 1e-15);
                }
            }
        }
    }

    #[test]
    fn wider_margins_keep_their_ends() {
        let wide = margin(Ends::Both, Amount::Absolute(0.1)).times(2.0);
        assert_eq!(wide, margin(Ends::Both, Amount::Absolute(0.2)));
        assert_eq!(margin(Ends::Below, Amount::Relative(0.01)).times(3.0).amount, Amount::Relative(0.03));
    }
}
