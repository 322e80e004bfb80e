//! What a sample can show: the power of the tests of a claim, from the noise that was seen.
//!
//! All of it is an approximation before the fact: the noise of another candidate is taken to be that of the one
//! measured, and estimates to be normal around the truth. The laws are those that judge. Where the noise under the
//! bound, which decides, is not the noise under the truth, which is drawn (score tests), both are used; where rows are
//! clustered, Student's t is noncentral.

use statrs::distribution::{ChiSquared, Continuous};

use crate::stats::bisection::bisect;
use crate::stats::bound::{Bound, Measured, Test};
use crate::stats::distance::Distance;
use crate::stats::distribution::Reference;
use crate::stats::measurement::{Law, Measurement, Scale};
use crate::stats::proportion::PairedDifference;

/// The chance with which a truth beyond the bound is to be found.
pub const POWER: f64 = 0.8;

/// What a test can show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// The truth nearest to the bound that is found to break it with a chance of [`POWER`]; none where no truth is.
    pub found: Option<f64>,
    /// The measured value of a candidate equal to the baseline.
    pub equal: f64,
    /// The chance that such a candidate passes.
    pub passes: f64,
}

/// What the tests of a claim that all bounds are kept can show, if a fail is decided at `fail_level` and a pass at
/// `pass_level`: the truth that is hardest to find, and a chance of passing all that is no larger than the real one,
/// which for the two ends of one difference it equals. None without tests, or where no noise was seen, so that nothing
/// is known of it.
#[must_use]
pub fn of_claim(tests: &[Test], fail_level: f64, pass_level: f64) -> Option<Power> {
    let share = fail_level / tests.len() as f64;
    let powers = tests.iter().map(|test| test.power(share, pass_level)).collect::<Option<Vec<_>>>()?;
    let missed = powers.iter().map(|power| 1.0 - power.passes).sum::<f64>();
    let distance = |power: &Power| power.found.map_or(f64::INFINITY, |found| (found - power.equal).abs());
    let hardest = powers.into_iter().max_by(|left, right| distance(left).total_cmp(&distance(right)))?;
    Some(Power { passes: (1.0 - missed).max(0.0), ..hardest })
}

impl Test {
    fn power(&self, fail_level: f64, pass_level: f64) -> Option<Power> {
        match &self.measured {
            Measured::Distance(distance) => distance.power(self.bound.limit(), fail_level, pass_level),
            Measured::Value(value) => Trial::new(value, self.bound)?.power(self.equal, fail_level, pass_level),
        }
    }
}

/// A measurement that is yet to be made, with a bound, both on the scale on which the noise is known.
struct Trial {
    noise: Noise,
    reference: Reference,
    /// How the metric depends on the share that is seen, if it is one.
    scale: Option<Scale>,
    /// 1 where more is worse, -1 where less is.
    worse: f64,
    limit: f64,
    /// The farthest truth in the direction of `worse`.
    worst: f64,
}

/// Where the noise of an estimate comes from.
enum Noise {
    Constant(f64),
    Share { trials: f64 },
    Difference(PairedDifference),
}

impl Trial {
    fn new(value: &Measurement, bound: Bound) -> Option<Self> {
        let (noise, scale, range) = match value.law {
            Law::Point | Law::Unvaried { .. } => return None,
            Law::Studentised { error, .. } | Law::Biased { error, .. } | Law::Binned { error, .. } => {
                (Noise::Constant(error), None, value.range)
            }
            Law::Replicates(_) => (Noise::Constant(value.standard_error()), None, value.range),
            Law::Share(share, scale) => (Noise::Share { trials: share.trials }, Some(scale), (0.0, 1.0)),
            Law::Difference(difference) => (Noise::Difference(difference), None, (-1.0, 1.0)),
        };
        let (worse, worst) = match bound {
            Bound::AtLeast(_) => (-1.0, range.0),
            Bound::AtMost(_) => (1.0, range.1),
        };
        let limit = scale.map_or(bound.limit(), |scale| scale.share(bound.limit()));
        Some(Self { noise, reference: value.reference(), scale, worse, limit, worst })
    }

    fn power(&self, equal: f64, fail_level: f64, pass_level: f64) -> Option<Power> {
        let [fails, passes] = [fail_level, pass_level].map(|level| self.reference.critical(level));
        let spread = Spread::new(self.reference);
        let is_hidden = |excess: f64| {
            let truth = self.limit + self.worse * excess;
            self.exceeds(&spread, excess, truth, fails) < POWER
        };
        let farthest = self.farthest(fails);
        let found = (farthest > 0.0 && !is_hidden(farthest)).then(|| {
            let truth = self.limit + self.worse * bisect(0.0, farthest, is_hidden);
            self.scale.map_or(truth, |scale| scale.metric(truth))
        });
        let truth = self.scale.map_or(equal, |scale| scale.share(equal));
        let passes = self.exceeds(&spread, self.worse * (self.limit - truth), truth, passes);
        Some(Power { found, equal, passes })
    }

    /// The chance that the estimate is beyond the limit by more than its test demands, if the truth is so by `excess`.
    fn exceeds(&self, spread: &Spread, excess: f64, truth: f64, critical: f64) -> f64 {
        let (at_limit, at_truth) = self.errors(truth);
        match at_truth {
            0.0 => f64::from(u8::from(excess >= critical * at_limit)),
            _ => spread.mean(|scale| Reference::Normal.at_most((excess - critical * at_limit * scale) / at_truth)),
        }
    }

    /// The standard error as the test at the limit takes it, and what it is at the truth.
    fn errors(&self, truth: f64) -> (f64, f64) {
        match &self.noise {
            Noise::Constant(error) => (*error, *error),
            Noise::Share { trials } => {
                let error = |share: f64| (share * (1.0 - share) / trials).max(0.0).sqrt();
                (error(self.limit), error(truth))
            }
            Noise::Difference(seen) => {
                let PairedDifference { trials, gained, lost } = *seen;
                // As many rows on which the models differ as were seen, or as few as the difference needs.
                let differ = ((gained + lost) / trials).max(truth.abs());
                let part = |sign: f64| trials * (differ + sign * truth) / 2.0;
                let expected = PairedDifference { trials, gained: part(1.0), lost: part(-1.0) };
                (expected.error_at(self.limit), ((differ - truth * truth) / trials).max(0.0).sqrt())
            }
        }
    }

    /// How far beyond the limit a truth can be, or so far that any noise is dwarfed.
    fn farthest(&self, critical: f64) -> f64 {
        let room = self.worse * (self.worst - self.limit);
        match self.noise {
            Noise::Constant(error) => room.min((2.0 * critical.abs() + 20.0) * error),
            Noise::Share { .. } | Noise::Difference(_) => room,
        }
    }
}

/// How an estimated standard error is spread around the true one: as the root of a chi-square over its degrees of
/// freedom where the reference is Student's, and not at all where it is normal. Nodes and weights of an integral.
struct Spread(Vec<(f64, f64)>);

/// The five points of Gauss and Legendre on [-1, 1], and their weights.
const GAUSS: [(f64, f64); 5] = [
    (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    (-0.538_469_310_105_683, 0.478_628_670_499_366_5),
    (0.0, 0.568_888_888_888_888_9),
    (0.538_469_310_105_683, 0.478_628_670_499_366_5),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
];

impl Spread {
    fn new(reference: Reference) -> Self {
        const PANELS: usize = 200;
        let Reference::Student(degrees) = reference else { return Self(vec![(1.0, 1.0)]) };
        let Ok(chi_squared) = ChiSquared::new(degrees) else { return Self(vec![(1.0, 1.0)]) };
        // The density itself overflows for some hundred degrees. Twelve standard deviations to each side hold all but
        // 1e-15 of it.
        let reach = 12.0 / (2.0 * degrees).sqrt();
        let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
        let half = (high - low) / (2 * PANELS) as f64;
        let node = |panel: usize, (point, weight): (f64, f64)| {
            let scale = low + half * ((2 * panel + 1) as f64 + point);
            (scale, half * weight * chi_squared.ln_pdf(degrees * scale * scale).exp() * 2.0 * degrees * scale)
        };
        Self((0..PANELS).flat_map(|panel| GAUSS.map(|gauss| node(panel, gauss))).collect())
    }

    fn mean(&self, value: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|(scale, weight)| weight * value(*scale)).sum::<f64>().clamp(0.0, 1.0)
    }
}

impl Distance {
    /// The distance that is found is that at one threshold, whose noise is at most the largest of all; a candidate
    /// whose scores have the baseline's distribution is measured at the largest of the noise itself.
    fn power(&self, limit: f64, fail_level: f64, pass_level: f64) -> Option<Power> {
        let error = self.band.error()?;
        let reach = self.bias + self.band.half_width(fail_level);
        let found = limit + reach + Reference::Normal.critical(1.0 - POWER) * error;
        let room = limit - self.bias - self.band.half_width(2.0 * pass_level);
        let passes = if room > 0.0 { 1.0 - self.band.exceeds(room) } else { 0.0 };
        Some(Power { found: (found <= 1.0).then_some(found), equal: 0.0, passes: passes.max(0.0) })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::stats::band::Band;
    use crate::stats::measurement::Method;
    use crate::stats::proportion::Proportion;

    #[derive(Debug, Deserialize)]
    struct Row {
        law: String,
        worse: f64,
        limit: f64,
        equal: f64,
        fail: f64,
        passed: f64,
        found: Option<f64>,
        passes: f64,
        error: Option<f64>,
        degrees: Option<f64>,
        trials: Option<f64>,
        gained: Option<f64>,
        lost: Option<f64>,
    }

    fn measured(law: Law) -> Measurement {
        let range = (f64::NEG_INFINITY, f64::INFINITY);
        Measurement { value: 0.0, rows: 100, clusters: None, method: Method::Delta, law, range }
    }

    fn test(law: Law, bound: Bound, equal: f64) -> Test {
        Test { measured: measured(law).into(), bound, equal }
    }

    impl Row {
        fn law(&self) -> Law {
            let share = || Proportion { successes: 0.0, trials: self.trials.unwrap() };
            match self.law.as_str() {
                "normal" => Law::Studentised { error: self.error.unwrap(), reference: Reference::Normal },
                "student" => {
                    let reference = Reference::Student(self.degrees.unwrap());
                    Law::Studentised { error: self.error.unwrap(), reference }
                }
                "share" => Law::Share(share(), Scale::Identity),
                "f1" => Law::Share(share(), Scale::F1),
                _ => {
                    let (trials, gained, lost) = (self.trials.unwrap(), self.gained.unwrap(), self.lost.unwrap());
                    Law::Difference(PairedDifference { trials, gained, lost })
                }
            }
        }
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
    }

    #[test]
    fn power_is_that_of_statsmodels() {
        let rows: Vec<Row> = serde_json::from_str(include_str!("../../tests/reference/power.json")).unwrap();
        for row in rows {
            let bound = if row.worse < 0.0 { Bound::AtLeast(row.limit) } else { Bound::AtMost(row.limit) };
            let power = of_claim(&[test(row.law(), bound, row.equal)], row.fail, row.passed).unwrap();
            assert!(near(power.passes, row.passes), "{row:?}: {power:?}");
            match (power.found, row.found) {
                (Some(found), Some(expected)) => assert!(near(found, expected), "{row:?}: {power:?}"),
                (found, expected) => assert_eq!(found, expected, "{row:?}"),
            }
        }
    }

    #[test]
    fn two_ends_are_passed_together() {
        let law = Law::Studentised { error: 0.004, reference: Reference::Normal };
        let ends = [Bound::AtLeast(-0.01), Bound::AtMost(0.01)].map(|bound| test(law.clone(), bound, 0.0));
        let both = of_claim(&ends, 0.02, 0.05).unwrap();
        let z = Reference::Normal.critical(0.05);
        assert!(near(both.passes, 2.0 * Reference::Normal.at_most(0.01 / 0.004 - z) - 1.0));
        // Each end is found at half the level.
        let one = of_claim(&ends[..1], 0.01, 0.05).unwrap();
        assert!(near(both.found.unwrap().abs(), one.found.unwrap().abs()));
    }

    #[test]
    fn without_noise_nothing_is_known() {
        for law in [Law::Point, Law::Unvaried { trials: 100.0, step: 1.0 }] {
            assert_eq!(of_claim(&[test(law, Bound::AtLeast(0.0), 0.0)], 0.05, 0.05), None);
        }
        assert_eq!(of_claim(&[], 0.05, 0.05), None);
        let measured = distance(Band::Point).into();
        assert_eq!(of_claim(&[Test { measured, bound: Bound::AtMost(0.1), equal: 0.0 }], 0.05, 0.05), None);
    }

    fn distance(band: Band) -> Distance {
        Distance {
            value: 0.0,
            at: 0.0,
            rows: 100,
            clusters: None,
            binning_error: None,
            against: None,
            on_grid: 0.0,
            bias: 0.0,
            band,
        }
    }

    /// At one threshold the largest deviation is the absolute value of one normal number, of which all is known.
    #[test]
    fn a_band_of_one_threshold_has_the_power_of_a_normal_number() {
        let error = 0.01;
        let band = Band::new(&[vec![error * error]], 1000, Reference::Normal, 7);
        let measured = Measured::from(distance(band));
        let of = |limit| {
            of_claim(&[Test { measured: measured.clone(), bound: Bound::AtMost(limit), equal: 0.0 }], 0.05, 0.05)
        };
        let [z, two_sided, reached] = [0.05, 0.025, 0.2].map(|alpha| Reference::Normal.critical(alpha));
        let power = of(0.05).unwrap();
        assert!((power.found.unwrap() - (0.05 + (two_sided + reached) * error)).abs() < 0.1 * error, "{power:?}");
        let room = 0.03 - z * error;
        let expected = 1.0 - 2.0 * Reference::Normal.at_most(-room / error);
        assert!((of(0.03).unwrap().passes - expected).abs() < 0.02, "{:?}, {expected}", of(0.03));
        assert_eq!((of(0.99).unwrap().found, of(0.001).unwrap().passes), (None, 0.0));
    }
}
