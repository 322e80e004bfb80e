//! Scored rows whose scores are known by their cells only, and what the cells hide.
//!
//! Each model's scores are in cells of their own, fine ones. What depends on several scores of one row is known from joint
//! cells, which are coarser.

use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The rows. Instead of a score stands the number of its cell, in the order of the scores.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Binned {
    /// The rows by the cells of all models.
    pub joint: Sample,
    /// The rows by the cells of one model, for each model.
    pub models: Vec<Own>,
    /// For each model the first that gave every row the same score, which may be itself.
    pub twins: Vec<usize>,
}

/// The rows by the cells of one model.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Own {
    /// The rows.
    pub sample: Sample,
    /// Whether each cell is one score.
    pub exact: bool,
}

impl Binned {
    /// A model's own cells.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn own(&self, model: usize) -> Result<&Own, Undefined> {
        self.models.get(model).ok_or(Undefined::NotMeasured)
    }

    /// The weights with those of models that give equal scores put together, so that a model's difference to itself is 0.
    #[must_use]
    pub fn without_twins(&self, weights: &[f64]) -> Vec<f64> {
        let mut together = vec![0.0; weights.len()];
        for (model, weight) in weights.iter().enumerate() {
            together[self.twins.get(model).copied().unwrap_or(model)] += weight;
        }
        together
    }
}
