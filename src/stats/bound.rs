//! Bounds, and what measurements say of the claim that all of them are kept.

use crate::stats::distance::Distance;
use crate::stats::measurement::Measurement;

/// An end of what is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The truth is at least this.
    AtLeast(f64),
    /// The truth is at most this.
    AtMost(f64),
}

/// What is held against a bound.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// A metric, or a weighted sum of metrics.
    Value(Measurement),
    /// A distance between distributions.
    Distance(Distance),
}

/// A measurement and the bound that its truth must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// The measurement.
    pub measured: Measured,
    /// The bound.
    pub bound: Bound,
    /// What the measurement would be of a candidate equal to the baseline; without a baseline, of one as good as
    /// measured.
    pub equal: f64,
}

/// What tests say of the claim that the truths keep all bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The claim is shown, with a chance of at most the level if it is wrong.
    pub inside: bool,
    /// The p-value of the claim: small when it is clearly broken.
    pub p_value: f64,
    /// About how many more rows would decide it at the level, where that can be said.
    pub needs_rows: Option<u64>,
}

/// Tests of one claim: that all bounds are kept.
///
/// It is shown when each bound is shown to be kept, each at the whole level. If the claim is wrong, some truth is
/// beyond its bound, and that bound's own test shows otherwise with a chance of at most the level: an
/// intersection-union test (Berger, Technometrics 24 (1982) 295-300), which for the two ends of one difference is the
/// pair of one-sided tests of Schuirmann (Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680).
///
/// It is broken when some bound is. The hypothesis to reject is composite: all `k` bounds are kept. Then each p-value
/// is at most `u` with a chance of at most `u`, and the smallest of them with at most `k u` (Bonferroni). So `k` times
/// the smallest is a p-value, however the tests depend on each other. For the two ends of a difference it is exact
/// where the ends meet, and at most twice too large where they are far apart.
#[must_use]
pub fn outcome(tests: &[Test], level: f64) -> Outcome {
    let smallest = tests.iter().map(Test::p_value).fold(1.0, f64::min);
    Outcome {
        inside: tests.iter().all(|test| test.is_inside(level)),
        p_value: (tests.len() as f64 * smallest).min(1.0),
        needs_rows: tests.iter().map(|test| test.needs_rows(level)).try_fold(0, |most, rows| Some(most.max(rows?))),
    }
}

/// About how many more rows would show that the claim is broken, where the estimates say that it is: as many as bring
/// the smallest p-value, times the number of tests, down to `level`.
#[must_use]
pub fn rows_to_break(tests: &[Test], level: f64) -> Option<u64> {
    let worst = tests.iter().min_by(|left, right| left.p_value().total_cmp(&right.p_value()))?;
    if worst.p_value() < 0.5 { worst.needs_rows(level / tests.len() as f64) } else { None }
}

impl Bound {
    /// Where it lies.
    #[must_use]
    pub fn limit(self) -> f64 {
        let (Self::AtLeast(limit) | Self::AtMost(limit)) = self;
        limit
    }
}

impl Measured {
    /// See [`Measurement::interval`] and [`Distance::interval`].
    #[must_use]
    pub fn interval(&self, alpha_per_side: f64) -> (f64, f64) {
        match self {
            Self::Value(value) => value.interval(alpha_per_side),
            Self::Distance(distance) => distance.interval(alpha_per_side),
        }
    }
}

impl Test {
    /// The one-sided interval lies inside the bound.
    fn is_inside(&self, level: f64) -> bool {
        let (low, high) = self.measured.interval(level);
        match self.bound {
            Bound::AtLeast(limit) => low >= limit,
            Bound::AtMost(limit) => high <= limit,
        }
    }

    /// The one-sided p-value of the bound being kept.
    fn p_value(&self) -> f64 {
        match (&self.measured, self.bound) {
            (Measured::Value(value), Bound::AtLeast(limit)) => value.p_below(limit),
            (Measured::Value(value), Bound::AtMost(limit)) => value.p_above(limit),
            (Measured::Distance(distance), Bound::AtLeast(limit)) => distance.p_below(limit),
            (Measured::Distance(distance), Bound::AtMost(limit)) => distance.p_above(limit),
        }
    }

    fn needs_rows(&self, level: f64) -> Option<u64> {
        match &self.measured {
            Measured::Value(value) => value.needs_rows(self.bound.limit(), level),
            Measured::Distance(distance) => distance.needs_rows(self.bound.limit(), level),
        }
    }
}

impl From<Measurement> for Measured {
    fn from(value: Measurement) -> Self {
        Self::Value(value)
    }
}

impl From<Distance> for Measured {
    fn from(distance: Distance) -> Self {
        Self::Distance(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::distribution::Reference;
    use crate::stats::measurement::{Law, Method};

    const LEVEL: f64 = 0.05;

    fn tests(value: f64, law: Law, bounds: &[Bound]) -> Vec<Test> {
        let range = (f64::NEG_INFINITY, f64::INFINITY);
        let measurement = Measurement { value, rows: 1000, clusters: None, method: Method::Delta, law, range };
        let test = |bound: &Bound| Test { measured: measurement.clone().into(), bound: *bound, equal: 0.0 };
        bounds.iter().map(test).collect()
    }

    fn normal(value: f64, bounds: &[Bound]) -> Outcome {
        let law = Law::Studentised { error: 0.01, reference: Reference::Normal };
        outcome(&tests(value, law, bounds), LEVEL)
    }

    /// With an error of 0.01 the interval reaches 0.0164 to each side.
    #[test]
    fn one_end_and_two() {
        let (drop, rise, within) =
            (vec![Bound::AtLeast(-0.02)], vec![Bound::AtMost(0.02)], vec![Bound::AtLeast(-0.02), Bound::AtMost(0.02)]);
        let tail = |standard_errors: f64| Reference::Normal.at_most(-standard_errors);
        let cases = [
            (&drop, 0.0, true, 1.0 - tail(2.0)),
            (&drop, 0.05, true, 1.0 - tail(7.0)),
            (&drop, -0.02, false, 0.5),
            (&drop, -0.05, false, tail(3.0)),
            (&rise, 0.05, false, tail(3.0)),
            (&rise, -0.05, true, 1.0 - tail(7.0)),
            (&within, 0.0, true, 1.0),
            (&within, 0.003, true, 1.0),
            (&within, 0.01, false, 1.0),
            (&within, 0.05, false, 2.0 * tail(3.0)),
            (&within, -0.05, false, 2.0 * tail(3.0)),
        ];
        for (bounds, value, inside, p_value) in cases {
            let found = normal(value, bounds);
            assert_eq!(found.inside, inside, "{bounds:?} of {value}: {found:?}");
            assert!((found.p_value - p_value).abs() < 1e-12, "{bounds:?} of {value}: {found:?}");
        }
    }

    /// Where the ends meet, twice the smaller p-value is the two-sided one, and so exact.
    #[test]
    fn a_margin_of_nothing_is_a_test_of_equality() {
        let found = normal(0.0196, &[Bound::AtLeast(0.0), Bound::AtMost(0.0)]);
        assert!((found.p_value - 2.0 * Reference::Normal.at_most(-1.96)).abs() < 1e-12 && !found.inside);
    }

    #[test]
    fn the_rows_that_are_needed_decide_all_ends() {
        // The interval must shrink from 1.64 errors to one: the upper end of the margin is one error away.
        let needed = normal(0.01, &[Bound::AtLeast(-0.02), Bound::AtMost(0.02)]).needs_rows;
        assert_eq!(needed, normal(0.01, &[Bound::AtMost(0.02)]).needs_rows);
        let critical = Reference::Normal.critical(LEVEL);
        assert_eq!(needed, Some(((critical * critical - 1.0) * 1000.0).ceil() as u64));
        assert_eq!(normal(0.02, &[Bound::AtLeast(-0.02), Bound::AtMost(0.02)]).needs_rows, None);
    }

    #[test]
    fn a_break_needs_the_rows_of_its_own_level() {
        let law = Law::Studentised { error: 0.01, reference: Reference::Normal };
        let rows = |value, bounds: &[Bound], level| rows_to_break(&tests(value, law.clone(), bounds), level);
        let expected = |standard_errors: f64, level: f64| {
            Some((((Reference::Normal.critical(level) / standard_errors).powi(2) - 1.0) * 1000.0).ceil() as u64)
        };
        let within = [Bound::AtLeast(-0.02), Bound::AtMost(0.02)];
        assert_eq!(rows(-0.04, &within[..1], 0.001), expected(2.0, 0.001));
        assert_eq!(rows(-0.04, &within, 0.002), expected(2.0, 0.001));
        assert_eq!(rows(0.04, &within, 0.002), expected(2.0, 0.001));
        assert_eq!(rows(-0.01, &within, 0.001), None);
        assert_eq!(rows_to_break(&[], 0.05), None);
    }

    #[test]
    fn a_point_decides() {
        let cases = [(0.0, true, 1.0), (-0.02, true, 1.0), (-0.021, false, 0.0)];
        for (value, inside, p_value) in cases {
            let found = outcome(&tests(value, Law::Point, &[Bound::AtLeast(-0.02), Bound::AtMost(0.02)]), LEVEL);
            assert_eq!((found.inside, found.p_value), (inside, p_value), "{value}");
        }
    }
}
