//! Many tests under one error budget.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_judge() {
        assert!(holm(&[], 0.05).is_empty());
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

    trait Rejections {
        fn map_rejected(&self) -> Vec<bool>;
    }

    impl Rejections for Vec<Judged> {
        fn map_rejected(&self) -> Vec<bool> {
            self.iter().map(|judged| judged.rejected).collect()
        }
    }
}
