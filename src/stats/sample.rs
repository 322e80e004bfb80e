//! Scored rows as plain columns, one entry per distinct row.

use crate::stats::undefined::Undefined;

/// The multiset of rows that the statistics of order are computed from. All columns have the same length.
///
/// Floating-point results depend on the order of the entries in their last bits, so callers keep it canonical.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sample {
    /// The cluster of each entry, if rows are clustered.
    pub clusters: Option<Vec<u64>>,
    /// What a row of each entry weighs, at least 0; 1 each if there are none.
    pub weights: Option<Vec<f64>>,
    /// The group of each entry, if rows are ranked within groups.
    pub groups: Option<Vec<u64>>,
    /// The label of each entry; 1 is positive in a binary task, the index of the class in a multiclass task.
    pub labels: Vec<f64>,
    /// For each model, its score of each entry; in a multiclass task for each model and, within it, for each class.
    pub scores: Vec<Vec<f64>>,
    /// How many rows each entry stands for, at least 1.
    pub counts: Vec<u64>,
    /// Which rows a model decides for 1, in a binary task.
    pub threshold: Threshold,
    /// The classes, in a multiclass task.
    pub classes: Vec<String>,
}

/// Which rows a model decides for 1.
#[derive(Clone, PartialEq, Debug)]
pub enum Threshold {
    /// Those whose score is at least this; one for each model.
    From(Vec<f64>),
    /// This share of the rows, those with its highest scores; rows of equal score at the cut all count.
    TopShare(f64),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::From(Vec::new())
    }
}

impl Sample {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What each entry weighs: its rows, each by its weight.
    #[must_use]
    pub fn masses(&self) -> Vec<f64> {
        let counts = self.counts.iter().map(|&count| count as f64);
        match &self.weights {
            None => counts.collect(),
            Some(weights) => counts.zip(weights).map(|(count, weight)| count * weight).collect(),
        }
    }

    /// Whether each entry has label 1.
    #[must_use]
    pub fn positive(&self) -> Vec<bool> {
        self.labels.iter().map(|&label| label == 1.0).collect()
    }

    /// Rows with label 1 and rows with another.
    #[must_use]
    pub fn classes(&self) -> (u64, u64) {
        let positives = self.labels.iter().zip(&self.counts).filter(|(label, _)| **label == 1.0);
        let positives = positives.map(|(_, count)| count).sum::<u64>();
        (positives, self.rows() - positives)
    }

    /// The scores of a model.
    ///
    /// # Errors
    /// When there is no row, or no such model.
    pub fn model(&self, model: usize) -> Result<&[f64], Undefined> {
        if self.counts.is_empty() {
            return Err(Undefined::NoRows);
        }
        self.scores.get(model).map(Vec::as_slice).ok_or(Undefined::NotMeasured)
    }

    /// The entries by ascending score, entries of equal scores together.
    #[must_use]
    pub fn ascending(scores: &[f64]) -> Vec<usize> {
        let mut order = (0..scores.len()).collect::<Vec<_>>();
        order.sort_by(|&left, &right| scores[left].total_cmp(&scores[right]));
        order
    }

    /// The entries of each cluster, in the order of the clusters' keys; all in one without clusters.
    #[must_use]
    pub fn by_cluster(&self) -> Vec<Vec<usize>> {
        let Some(clusters) = &self.clusters else { return vec![(0..self.counts.len()).collect()] };
        let mut order = (0..clusters.len()).collect::<Vec<_>>();
        order.sort_by_key(|&entry| clusters[entry]);
        order.chunk_by(|&left, &right| clusters[left] == clusters[right]).map(<[usize]>::to_vec).collect()
    }
}
