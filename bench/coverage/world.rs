//! Worlds whose truth is known: how labels and the scores of two models come about.
//!
//! The latent score of a model is normal around its skill; both models share a part of the noise, and each has an effect
//! of its own on every cluster. What a metric of one model is in truth depends on nothing but the distribution of that
//! model's score by label, so [`World::population`] lays that out as a grid of quantiles and needs no luck. Where a row has
//! more than one number, or ranks among others, the population is many drawn rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, UInt64Array};
use modelgate::stats::distribution::{Reference, normal_quantile};
use modelgate::stats::random::{normal, seed, uniform};
use modelgate::summaries::frequencies::FrequencyParams;
use modelgate::summaries::{Columns, Frequencies, Sums, Task, Threshold, ValueParams, Values};
use modelgate::summary::Summary;

/// Rows of a population. Its metrics are off by less than a hundredth of the error of a thousand rows.
const POPULATION: u64 = 20_000;

/// Rows of a population that is drawn: its metrics have a thirtieth of the error of a thousand rows.
const DRAWN: u64 = 1_000_000;

/// A number that has no divisor in common with the number of rows of a population, so that multiples of it visit each.
const STRIDE: u64 = 7_919;

/// The shares of the classes of a multiclass world.
const CLASSES: [(&str, f64); 3] = [("low", 0.5), ("middle", 0.3), ("high", 0.2)];

/// Rows of a group of a ranking.
const GROUP_ROWS: u64 = 10;

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
    /// How many times too far from the middle the logits are, by model; 1 for a calibrated one.
    pub(crate) confidence: [f64; 2],
    /// Whether rows have weights: between 0.5 and 1.5, and half as much again with label 1.
    pub(crate) weighted: bool,
    /// The share of the rows that are decided for 1, where there is no threshold.
    pub(crate) top_share: Option<f64>,
}

/// How a latent score becomes a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    /// Through the logistic function, with this share of label 1; a score that reaches it decides for 1.
    Logistic {
        /// The share of label 1.
        prevalence: f64,
    },
    /// Added to a normal label: errors are normal.
    Normal,
    /// Added likewise, errors having the double exponential distribution of the same variance.
    Laplace,
    /// As the power of e that a label, itself log-normal, is multiplied with.
    Lognormal,
    /// One for each of three classes, through the softmax function.
    Softmax,
    /// As it is, for rows in groups of ten, of which a fifth have label 1 and a tenth label 2.
    Ranked,
}

/// Labelled rows with the scores of two models.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// The labels.
    pub(crate) labels: Vec<f64>,
    /// The scores, by model, and within it by class.
    pub(crate) scores: Vec<Vec<f64>>,
    /// The clusters.
    pub(crate) clusters: Vec<u64>,
    /// The weights.
    pub(crate) weights: Vec<f64>,
}

impl World {
    /// So many rows, as functions of the seed.
    pub(crate) fn draw(&self, seed: u64, rows: u64) -> Rows {
        let mut drawn = Rows::new(self);
        for row in 0..rows {
            let label = self.label(seed, row);
            let mut scores = Vec::with_capacity(2 * self.outputs());
            for model in 0..2 {
                let latent = |output| self.location(label, model, output) + self.noise(seed, row, model, output);
                let latent = (0..self.outputs()).map(latent).collect::<Vec<_>>();
                scores.extend(self.score(label, model, &latent));
            }
            drawn.push(self, label, scores, 0.5 + uniform(seed, 9, row), row / self.cluster_rows);
        }
        drawn
    }

    /// Rows whose scores are, by label and model, equally spaced quantiles of their distribution; many drawn ones where
    /// more than one number makes a row.
    pub(crate) fn population(&self) -> Rows {
        if self.is_drawn() {
            return self.draw(seed(&[self.name]), DRAWN);
        }
        let mut rows = Rows::new(self);
        for (positive, count) in self.classes() {
            for rank in 0..count {
                let quantile = |rank: u64| normal_quantile((rank as f64 + 0.5) / count as f64);
                let label = positive.unwrap_or_else(|| quantile(rank * STRIDE % count));
                let noise = self.deviation() * quantile(rank);
                let score = |model| self.score(label, model, &[self.location(label, model, 0) + noise]);
                rows.push(self, label, (0..2).flat_map(score).collect(), 1.0, rank);
            }
        }
        rows
    }

    /// Whether a row is more than one number, so that the population is drawn.
    pub(crate) fn is_drawn(&self) -> bool {
        matches!(self.link, Link::Softmax | Link::Ranked | Link::Lognormal)
    }

    /// What scores mean.
    pub(crate) fn task(&self) -> Task {
        match (self.link, self.top_share) {
            (Link::Logistic { .. }, Some(share)) => Task::Binary { threshold: Threshold::TopShare(share) },
            (Link::Logistic { prevalence }, None) => Task::Binary { threshold: Threshold::From(vec![prevalence; 2]) },
            (Link::Normal | Link::Laplace | Link::Lognormal, _) => Task::Regression,
            (Link::Softmax, _) => Task::Multiclass { classes: CLASSES.map(|(name, _)| name.to_owned()).to_vec() },
            (Link::Ranked, _) => Task::Ranking,
        }
    }

    /// What the columns hold, clustered or as if there were no clusters.
    pub(crate) fn columns(&self, clustered: bool) -> Columns {
        let grouped = self.link == Link::Ranked;
        Columns { task: self.task(), scores: 2, clustered, weighted: self.weighted, grouped }
    }

    fn outputs(&self) -> usize {
        if self.link == Link::Softmax { CLASSES.len() } else { 1 }
    }

    /// The labels with how many rows of the population have them; none where it is a number.
    fn classes(&self) -> Vec<(Option<f64>, u64)> {
        let Link::Logistic { prevalence } = self.link else { return vec![(None, POPULATION)] };
        let positives = (prevalence * POPULATION as f64).round() as u64;
        vec![(Some(0.0), POPULATION - positives), (Some(1.0), positives)]
    }

    fn label(&self, seed: u64, row: u64) -> f64 {
        let chance = uniform(seed, 0, row);
        match self.link {
            Link::Logistic { prevalence } => f64::from(u8::from(chance < prevalence)),
            Link::Normal | Link::Laplace => normal_quantile(chance),
            Link::Lognormal => (0.5 * normal_quantile(chance)).exp(),
            Link::Softmax if chance < CLASSES[0].1 => 0.0,
            Link::Softmax if chance < CLASSES[0].1 + CLASSES[1].1 => 1.0,
            Link::Softmax => 2.0,
            Link::Ranked if chance < 0.1 => 2.0,
            Link::Ranked if chance < 0.3 => 1.0,
            Link::Ranked => 0.0,
        }
    }

    fn location(&self, label: f64, model: usize, output: usize) -> f64 {
        match self.link {
            Link::Logistic { .. } => self.skill[model] * (label - 0.5),
            Link::Normal | Link::Laplace | Link::Lognormal => self.skill[model],
            Link::Softmax => self.skill[model] * f64::from(u8::from(label == output as f64)),
            Link::Ranked => self.skill[model] * label,
        }
    }

    fn noise(&self, seed: u64, row: u64, model: usize, output: usize) -> f64 {
        let stream = |first: u64| first + 100 * output as u64;
        let effect = normal(seed, stream(4 + model as u64), row / self.cluster_rows);
        self.shared * normal(seed, stream(1), row)
            + self.own * normal(seed, stream(2 + model as u64), row)
            + if self.cluster > 0.0 { self.cluster * effect } else { 0.0 }
    }

    fn deviation(&self) -> f64 {
        (self.shared.powi(2) + self.own.powi(2) + self.cluster.powi(2)).sqrt()
    }

    /// For classes the probabilities that the latent scores speak of, so that a model without too much confidence is
    /// calibrated.
    fn score(&self, label: f64, model: usize, latent: &[f64]) -> Vec<f64> {
        let slope = self.confidence[model] * self.skill[model] / self.deviation().powi(2);
        match self.link {
            Link::Logistic { prevalence } => {
                let odds = (prevalence / (1.0 - prevalence)).powf(self.confidence[model]) * (slope * latent[0]).exp();
                vec![odds / (1.0 + odds)]
            }
            Link::Normal => vec![label + latent[0]],
            Link::Laplace => {
                let standard = (latent[0] - self.skill[model]) / self.deviation();
                let tail = 2.0 * Reference::Normal.at_most(-standard.abs());
                let error = self.deviation() / 2.0_f64.sqrt() * tail.ln().abs().copysign(standard);
                vec![label + self.skill[model] + error]
            }
            Link::Lognormal => vec![label * (0.3 * latent[0]).exp()],
            Link::Softmax => {
                let odds = latent.iter().zip(CLASSES).map(|(latent, (_, share))| share * (slope * latent).exp());
                let odds = odds.collect::<Vec<_>>();
                odds.iter().map(|chance| chance / odds.iter().sum::<f64>()).collect()
            }
            Link::Ranked => latent.to_vec(),
        }
    }
}

impl Rows {
    fn new(world: &World) -> Self {
        Self { scores: vec![Vec::new(); 2 * world.outputs()], ..Self::default() }
    }

    fn push(&mut self, world: &World, label: f64, scores: Vec<f64>, weight: f64, cluster: u64) {
        let heavier = if label == 1.0 { 1.5 } else { 1.0 };
        self.labels.push(label);
        self.scores.iter_mut().zip(scores).for_each(|(column, score)| column.push(score));
        self.weights.push(if world.weighted { weight * heavier } else { 1.0 });
        self.clusters.push(cluster);
    }

    /// A summary of the rows.
    ///
    /// # Panics
    /// When the summary refuses its columns.
    pub(crate) fn summary<S: Summary<Params: From<Columns>>>(&self, columns: &Columns) -> S {
        summed(&columns.clone().into(), &self.arrays(columns))
    }

    /// The sums for a ratio: what a decision for 1 earns, 2 or -1, per such decision.
    ///
    /// # Panics
    /// When the summary refuses its columns.
    pub(crate) fn sums(&self, columns: &Columns) -> Sums {
        let Task::Binary { threshold: Threshold::From(thresholds) } = &columns.task else { return Sums::default() };
        let mut arrays = self.arrays(columns);
        for (scores, threshold) in self.scores.iter().zip(thresholds) {
            let decided = scores.iter().map(|score| f64::from(u8::from(score >= threshold))).collect::<Vec<_>>();
            let earned = decided.iter().zip(&self.labels).map(|(decided, label)| decided * (3.0 * label - 1.0));
            arrays.extend([floats(&earned.collect::<Vec<_>>()), floats(&decided)]);
        }
        summed(columns, &arrays)
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.labels.len() as u64
    }

    /// The scores of a model as a column of numbers.
    ///
    /// # Panics
    /// When the summary refuses its columns.
    pub(crate) fn numbers(&self, model: usize, clustered: bool) -> Values {
        let columns = std::iter::once(floats(&self.scores[model])).chain(self.entities(model, clustered));
        summed(&ValueParams::new(clustered), &columns.collect::<Vec<_>>())
    }

    /// The scores of a model, which are probabilities, cut into so many texts.
    ///
    /// # Panics
    /// As [`Rows::numbers`].
    pub(crate) fn texts(&self, model: usize, values: u64, clustered: bool) -> Frequencies {
        let text = |score: &f64| Some((score * values as f64).floor().to_string());
        let texts = Arc::new(self.scores[model].iter().map(text).collect::<StringArray>()) as ArrayRef;
        let columns = std::iter::once(texts).chain(self.entities(model, clustered));
        summed(&FrequencyParams { clustered }, &columns.collect::<Vec<_>>())
    }

    /// The keys of clusters, which are others for each model.
    fn entities(&self, model: usize, clustered: bool) -> Option<ArrayRef> {
        let key = |cluster: &u64| seed(&[&model.to_string(), &cluster.to_string()]);
        clustered.then(|| Arc::new(self.clusters.iter().map(key).collect::<UInt64Array>()) as ArrayRef)
    }

    fn arrays(&self, columns: &Columns) -> Vec<ArrayRef> {
        let groups = (0..self.labels.len() as u64).map(|row| row / GROUP_ROWS).collect::<Vec<_>>();
        let keys = |keys: &Vec<u64>| Arc::new(UInt64Array::from(keys.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().map(|scores| floats(scores)));
        arrays.extend(columns.clustered.then(|| keys(&self.clusters)));
        arrays.extend(columns.weighted.then(|| floats(&self.weights)));
        arrays.extend(columns.grouped.then(|| keys(&groups)));
        arrays
    }
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn summed<S: Summary>(params: &S::Params, arrays: &[ArrayRef]) -> S {
    let mut summary = S::default();
    summary.update(params, arrays).expect("the summary takes its columns");
    summary
}
