//! Dual numbers: a value with its gradient, so that a formula written once gives both (forward-mode differentiation; see
//! Griewank and Walther, Evaluating Derivatives, 2008, chapter 3).

use std::ops::{Add, Div, Mul, Sub};

/// How many variables a gradient is by: the four cells of a decision table.
pub const VARIABLES: usize = 4;

/// A function of the variables, by its value and gradient at one point.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dual {
    /// The value.
    pub value: f64,
    /// The derivative by each variable.
    pub gradient: [f64; VARIABLES],
}

impl Dual {
    /// Variable `index` itself.
    #[must_use]
    pub fn variable(index: usize, value: f64) -> Self {
        let mut gradient = [0.0; VARIABLES];
        gradient[index] = 1.0;
        Self { value, gradient }
    }

    /// The square root, of a value above 0.
    #[must_use]
    pub fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        Self { value: root, gradient: self.gradient.map(|slope| slope / (2.0 * root)) }
    }

    fn with(self, other: Self, value: f64, slope: impl Fn(f64, f64) -> f64) -> Self {
        Self { value, gradient: std::array::from_fn(|index| slope(self.gradient[index], other.gradient[index])) }
    }
}

impl Add for Dual {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, self.value + other.value, |x, y| x + y)
    }
}

impl Sub for Dual {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, self.value - other.value, |x, y| x - y)
    }
}

impl Sub<f64> for Dual {
    type Output = Self;

    fn sub(self, constant: f64) -> Self {
        Self { value: self.value - constant, ..self }
    }
}

impl Mul for Dual {
    type Output = Self;

    #[expect(clippy::suspicious_arithmetic_impl, reason = "the rules of differentiation mix operators")]
    fn mul(self, other: Self) -> Self {
        self.with(other, self.value * other.value, |x, y| x * other.value + self.value * y)
    }
}

impl Mul<Dual> for f64 {
    type Output = Dual;

    fn mul(self, other: Dual) -> Dual {
        Dual { value: self * other.value, gradient: other.gradient.map(|slope| self * slope) }
    }
}

impl Div for Dual {
    type Output = Self;

    /// The quotient by a value that is not 0.
    #[expect(clippy::suspicious_arithmetic_impl, reason = "the rules of differentiation mix operators")]
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        self.with(other, value, |x, y| (x - value * y) / other.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against central differences, at a point where all the operations matter.
    #[test]
    fn gradients_are_those_of_differences() {
        let at = |point: [f64; VARIABLES]| {
            let [x, y, z, w] = std::array::from_fn(|index| Dual::variable(index, point[index]));
            (x * y - 3.0 * z) / (w + x * x).sqrt() - 0.5
        };
        let point = [0.7, 1.9, 0.4, 2.3];
        for index in 0..VARIABLES {
            let moved = |step: f64| {
                let mut point = point;
                point[index] += step;
                at(point).value
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((at(point).gradient[index] - slope).abs() < 1e-9, "{index}: {slope}");
        }
    }
}
