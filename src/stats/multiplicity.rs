//! Many tests under one error budget: Holm where a wrong rejection has a price, Benjamini and Hochberg where tests
//! explore.

/// A claim as judged among others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Judged {
    /// Whether the claim's hypothesis is rejected.
    pub rejected: bool,
    /// The smallest level of the whole family at which it is rejected.
    pub adjusted: f64,
    /// The level its own p-value was held against: it is rejected exactly when the p-value is at most this.
    pub level: f64,
}

/// Holm's step-down test (Scandinavian Journal of Statistics 6 (1979) 65-70): the chance of any wrong rejection is at
/// most `alpha`, however the tests depend on each other.
///
/// The smallest of `m` p-values is held against `alpha / m`, the next against `alpha / (m - 1)`, until one is above its
/// level; that level then judges all the rest. Equal p-values are judged alike, so the order of the claims changes
/// nothing. A p-value that is not a number counts as 1. The result is in the order of the p-values.
#[must_use]
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<Judged> {
    let p_values = p_values.iter().map(|&p| if p.is_nan() { 1.0 } else { p }).collect::<Vec<_>>();
    let mut order = (0..p_values.len()).collect::<Vec<_>>();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut judged = vec![Judged { rejected: false, adjusted: 1.0, level: alpha }; order.len()];
    let (mut left, mut adjusted, mut stopped_at) = (order.len(), 0.0_f64, None);
    for ties in order.chunk_by(|&left, &right| p_values[left] == p_values[right]) {
        let p = p_values[ties[0]];
        let level = stopped_at.unwrap_or(alpha / left as f64);
        adjusted = adjusted.max(left as f64 * p).min(1.0);
        if p > level {
            stopped_at = Some(level);
        }
        ties.iter().for_each(|&claim| judged[claim] = Judged { rejected: p <= level, adjusted, level });
        left -= ties.len();
    }
    judged
}

/// How tests that are judged together hang together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dependence {
    /// No test's statistic is negatively correlated with another's: one-sided tests of the same loss in regions that
    /// overlap or are disjoint.
    Positive,
    /// Any: a region and the rest, a metric and its opposite.
    Any,
}

/// The step-up test for exploration: of what is rejected, on average at most the share `alpha` is rejected wrongly.
///
/// The tests are those with the smallest p-values of `searched` that were looked at; the others count as 1. With `k`
/// the largest rank whose p-value is at most `k alpha / searched`, all up to that rank are rejected (Benjamini and
/// Hochberg, Journal of the Royal Statistical Society B 57 (1995) 289-300). This holds for independent tests and, by
/// Benjamini and Yekutieli (Annals of Statistics 29 (2001) 1165-1188, theorem 1.2 and section 3.1), for one-sided tests
/// of normal statistics without negative correlations. For any other dependence, their theorem 1.3 divides `alpha` by
/// `1 + 1/2 + ... + 1/searched`. A p-value that is not a number counts as 1. The result is in the order of the
/// p-values.
#[must_use]
pub fn step_up(p_values: &[f64], searched: u64, dependence: Dependence, alpha: f64) -> Vec<Judged> {
    let p_values = p_values.iter().map(|&p| if p.is_nan() { 1.0 } else { p }).collect::<Vec<_>>();
    let searched = searched.max(p_values.len() as u64);
    let price = match dependence {
        Dependence::Positive => 1.0,
        Dependence::Any => (1..=searched).map(|rank| 1.0 / rank as f64).sum(),
    };
    let family = searched as f64 * price;
    let mut order = (0..p_values.len()).collect::<Vec<_>>();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let rejected = (1..=order.len()).rev().find(|&rank| p_values[order[rank - 1]] <= rank as f64 * alpha / family);
    let level = rejected.unwrap_or(1) as f64 * alpha / family;
    let mut judged = vec![Judged { rejected: false, adjusted: 1.0, level }; order.len()];
    let mut adjusted = 1.0_f64;
    for (index, &claim) in order.iter().enumerate().rev() {
        adjusted = adjusted.min(family * p_values[claim] / (index + 1) as f64);
        judged[claim] = Judged { rejected: index < rejected.unwrap_or(0), adjusted, level };
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_judge() {
        assert!(holm(&[], 0.05).is_empty());
        assert!(step_up(&[], 1000, Dependence::Any, 0.05).is_empty());
    }

    #[test]
    fn the_first_acceptance_judges_the_rest() {
        let judged = holm(&[0.04, 0.001, 0.03], 0.05);
        assert_eq!(judged.map_rejected(), [false, true, false]);
        assert_eq!(judged[0].level, 0.025);
        assert_eq!(judged[0].adjusted, 0.06);
    }

    #[test]
    fn ties_and_numbers_that_are_none() {
        let judged = holm(&[0.01, f64::NAN, 0.01, 1.0], 0.05);
        assert_eq!(judged.map_rejected(), [true, false, true, false]);
        assert_eq!(judged[0], judged[2]);
        assert_eq!(judged[1], judged[3]);
    }

    /// 0.03 is above its own 2 x 0.05 / 4, and falls with 0.035, which is below 3 x 0.05 / 4.
    #[test]
    fn a_later_rejection_takes_the_earlier_with_it() {
        let judged = step_up(&[0.035, 0.9, 0.001, 0.03], 4, Dependence::Positive, 0.05);
        assert_eq!(judged.map_rejected(), [true, false, true, true]);
        assert!(judged.iter().all(|judged| judged.level == 3.0 * 0.05 / 4.0));
        assert_eq!(judged[3].adjusted, judged[0].adjusted);
    }

    #[test]
    fn what_was_looked_at_and_left_out_counts() {
        let alone = step_up(&[0.001], 1, Dependence::Positive, 0.05);
        let among = step_up(&[0.001], 100, Dependence::Positive, 0.05);
        assert!(alone[0].rejected && !among[0].rejected);
        assert_eq!((among[0].level, among[0].adjusted), (0.0005, 0.1));
        let wary = step_up(&[0.001, f64::NAN], 2, Dependence::Any, 0.05);
        assert_eq!(wary[0].adjusted, 0.003);
        assert_eq!((wary[1].rejected, wary[1].adjusted), (false, 1.0));
    }

    trait Rejections {
        fn map_rejected(&self) -> Vec<bool>;
    }

    impl Rejections for Vec<Judged> {
        fn map_rejected(&self) -> Vec<bool> {
            self.iter().map(|judged| judged.rejected).collect()
        }
    }
}
