//! The normal and Student's t distribution as intervals and tests use them.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::stats::bisection::bisect;

/// The distribution of a studentised estimate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Reference {
    /// The standard normal.
    Normal,
    /// Student's t with these degrees of freedom, at least 1.
    Student(f64),
}

impl Reference {
    /// The chance of at most `x`.
    #[must_use]
    pub fn at_most(self, x: f64) -> f64 {
        match self.student() {
            Some(student) if x.is_finite() => student.cdf(x),
            _ => Normal::standard().cdf(x),
        }
    }

    /// The point above which lies the chance `alpha`, for `alpha` in `(0, 1)`; others are moved to the nearest such.
    #[must_use]
    pub fn critical(self, alpha: f64) -> f64 {
        let alpha = alpha.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
        match self {
            Self::Normal => -Normal::standard().inverse_cdf(alpha),
            Self::Student(_) if alpha > 0.5 => -self.critical(1.0 - alpha),
            Self::Student(_) => self.critical_above_zero(alpha),
        }
    }

    /// Our own search, because the quantile function of the library is off by orders of magnitude far out, while its
    /// distribution function is not.
    fn critical_above_zero(self, alpha: f64) -> f64 {
        let exceeds = |x: f64| self.at_most(-x) > alpha;
        let mut high = 1.0;
        while exceeds(high) && high < f64::MAX.sqrt() {
            high *= 2.0;
        }
        bisect(0.0, high, exceeds)
    }

    fn student(self) -> Option<StudentsT> {
        match self {
            Self::Normal => None,
            Self::Student(degrees) => StudentsT::new(0.0, 1.0, degrees).ok(),
        }
    }
}

/// The standard normal quantile of `p` in `(0, 1)`.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    -Reference::Normal.critical(p)
}
