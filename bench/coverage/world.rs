//! Worlds whose truth is known: how labels and the scores of two models come about.
//!
//! The latent score of a model is normal around its skill; both models share a part of the noise, and each has an effect
//! of its own on every cluster. What a metric of one model is in truth depends on nothing but the distribution of that
//! model's score by label, so [`World::population`] lays that out as a grid of quantiles and needs no luck.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use modelgate::stats::distribution::{Reference, normal_quantile};
use modelgate::stats::random::{normal, uniform};
use modelgate::summaries::{Columns, Task, Threshold};
use modelgate::summary::Summary;

/// Rows of a population. Its metrics are off by less than a hundredth of the error of a thousand rows.
const POPULATION: u64 = 20_000;

/// How labels and scores come about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// How a latent score becomes a score.
    pub(crate) link: Link,
    /// How far apart the latent scores of the classes are, by model; of a regression, the bias.
    pub(crate) skill: [f64; 2],
    /// The standard deviation of the noise that both models have in common.
    pub(crate) shared: f64,
    /// That of each model's own noise.
    pub(crate) own: f64,
    /// That of each model's effect on a cluster.
    pub(crate) cluster: f64,
    /// The number of rows of a cluster.
    pub(crate) cluster_rows: u64,
}

/// How a latent score becomes a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    /// Through the logistic function, with this share of label 1; a score that reaches it decides for 1.
    Logistic {
        /// The share of label 1.
        prevalence: f64,
    },
    /// Added to a label that is 0: errors are normal.
    Normal,
    /// Added likewise, errors having the double exponential distribution of the same variance.
    Laplace,
}

/// Labelled rows with the scores of two models.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// The labels.
    pub(crate) labels: Vec<f64>,
    /// The scores, by model.
    pub(crate) scores: [Vec<f64>; 2],
    /// The clusters.
    pub(crate) clusters: Vec<u64>,
}

impl World {
    /// So many rows, as functions of the seed.
    pub(crate) fn draw(&self, seed: u64, rows: u64) -> Rows {
        let mut drawn = Rows::default();
        for row in 0..rows {
            let cluster = row / self.cluster_rows;
            let label = self.label(uniform(seed, 0, row));
            let common = self.shared * normal(seed, 1, row);
            for model in 0..2 {
                let noise = self.own * normal(seed, 2 + model as u64, row);
                let effect = if self.cluster > 0.0 { normal(seed, 4 + model as u64, cluster) } else { 0.0 };
                let latent = self.location(label, model) + common + noise + self.cluster * effect;
                drawn.scores[model].push(self.score(label, model, latent));
            }
            drawn.labels.push(label);
            drawn.clusters.push(cluster);
        }
        drawn
    }

    /// Rows whose scores are, by label and model, equally spaced quantiles of their distribution.
    pub(crate) fn population(&self) -> Rows {
        let mut rows = Rows::default();
        for (label, count) in self.classes() {
            for rank in 0..count {
                let noise = self.deviation() * normal_quantile((rank as f64 + 0.5) / count as f64);
                for model in 0..2 {
                    rows.scores[model].push(self.score(label, model, self.location(label, model) + noise));
                }
                rows.labels.push(label);
            }
        }
        rows
    }

    /// What scores mean.
    pub(crate) fn task(&self) -> Task {
        match self.link {
            Link::Logistic { prevalence } => Task::Binary { threshold: Threshold::From(vec![prevalence; 2]) },
            Link::Normal | Link::Laplace => Task::Regression,
        }
    }

    fn classes(&self) -> Vec<(f64, u64)> {
        match self.link {
            Link::Logistic { prevalence } => {
                let positives = (prevalence * POPULATION as f64).round() as u64;
                vec![(0.0, POPULATION - positives), (1.0, positives)]
            }
            Link::Normal | Link::Laplace => vec![(0.0, POPULATION)],
        }
    }

    fn label(&self, chance: f64) -> f64 {
        match self.link {
            Link::Logistic { prevalence } => f64::from(u8::from(chance < prevalence)),
            Link::Normal | Link::Laplace => 0.0,
        }
    }

    fn location(&self, label: f64, model: usize) -> f64 {
        match self.link {
            Link::Logistic { .. } => self.skill[model] * (label - 0.5),
            Link::Normal | Link::Laplace => self.skill[model],
        }
    }

    fn deviation(&self) -> f64 {
        (self.shared.powi(2) + self.own.powi(2) + self.cluster.powi(2)).sqrt()
    }

    /// For a binary label the probability that the latent score speaks of, so that both models are calibrated.
    fn score(&self, label: f64, model: usize, latent: f64) -> f64 {
        match self.link {
            Link::Logistic { prevalence } => {
                let slope = self.skill[model] / self.deviation().powi(2);
                let odds = (prevalence / (1.0 - prevalence)) * (slope * latent).exp();
                odds / (1.0 + odds)
            }
            Link::Normal => label + latent,
            Link::Laplace => {
                let standard = (latent - self.skill[model]) / self.deviation();
                let tail = 2.0 * Reference::Normal.at_most(-standard.abs());
                label + self.skill[model] + self.deviation() / 2.0_f64.sqrt() * tail.ln().abs().copysign(standard)
            }
        }
    }
}

impl Rows {
    /// What the columns hold, clustered or as if there were no clusters.
    pub(crate) fn columns(&self, task: Task, clustered: bool) -> Columns {
        Columns { task, scores: self.scores.len(), clustered, weighted: false, grouped: false }
    }

    /// A summary of the rows.
    ///
    /// # Panics
    /// When the summary refuses its columns.
    pub(crate) fn summary<S: Summary<Params = Columns>>(&self, columns: &Columns) -> S {
        let floats = |values: &Vec<f64>| Arc::new(Float64Array::from(values.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().map(floats));
        arrays.extend(columns.clustered.then(|| Arc::new(UInt64Array::from(self.clusters.clone())) as ArrayRef));
        let mut summary = S::default();
        summary.update(columns, &arrays).expect("the summary takes its columns");
        summary
    }
}
