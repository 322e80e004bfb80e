//! The losses of a row, whose means over the rows are metrics, or nearly so.

use crate::summaries::rows::Task;

/// How many terms each task has: log-loss and Brier, or absolute and squared error.
pub const TERMS: usize = 2;

/// A loss per row, whose mean over the rows is a metric, or nearly one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    /// `-ln` of the probability given to the label, with probabilities clipped to `[EPSILON, 1 - EPSILON]`, which is
    /// what scikit-learn does for 64-bit floats.
    LogLoss,
    /// The squared distance between the probability and the label.
    Brier,
    /// The absolute error of a regression.
    AbsoluteError,
    /// The squared error of a regression.
    SquaredError,
}

impl Term {
    /// Whether the term is of the binary task, and its index among the terms of its task.
    #[must_use]
    pub fn place(self) -> (bool, usize) {
        match self {
            Self::LogLoss => (true, 0),
            Self::Brier => (true, 1),
            Self::AbsoluteError => (false, 0),
            Self::SquaredError => (false, 1),
        }
    }
}

/// The term with index `term` among those of the task.
#[must_use]
pub fn loss(task: &Task, term: usize, label: f64, score: f64) -> f64 {
    match (task, term) {
        (Task::Binary { .. }, 0) => log_loss(label, score),
        (Task::Regression, 0) => (score - label).abs(),
        _ => (score - label) * (score - label),
    }
}

fn log_loss(label: f64, score: f64) -> f64 {
    let clipped = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    if label == 1.0 { -clipped.ln() } else { -(-clipped).ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_costs_what_scikit_learn_says() {
        let (right, wrong) = (log_loss(1.0, 1.0), log_loss(0.0, 1.0));
        assert_eq!((right, log_loss(0.0, 0.0)), (-(1.0 - f64::EPSILON).ln(), -(-f64::EPSILON).ln_1p()));
        assert!((wrong - 36.04365338911715).abs() < 1e-12 && (log_loss(1.0, 0.0) - 36.04365338911715).abs() < 1e-12);
    }
}
