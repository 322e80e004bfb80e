//! The metrics of a ranking: each a mean over groups of what one group's order is worth.
//!
//! A row is relevant when its label is above 0. Rows of equal score have no order among themselves, so a group counts the
//! mean over all their orders, in closed form. A group without a relevant row says nothing of an order and is left out. A
//! group weighs the mean of its rows' weights. Groups are independent, or entities are where there are some; groups that
//! share an entity are then one cluster.

use std::collections::BTreeMap;

use crate::stats::influence::{self, Influence};
use crate::stats::measurement::Measurement;
use crate::stats::metric::Metric;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::range;

/// The weighted sum of a metric over the models.
///
/// # Errors
/// When the metric is not defined on the rows, has no interval there, or is not of this task.
pub fn measure(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    let (groups, _) = groups(sample);
    let found = groups.len() as u64;
    match found {
        0 if sample.counts.is_empty() => return Err(Undefined::NoRows),
        0 => return Err(Undefined::NothingRelevant),
        1 => return Err(Undefined::TooFewGroups { groups: found }),
        _ => {}
    }
    let by_group = one_entry_each(sample, &groups);
    let measured = influence::measure(&by_group, weights, range(metric, weights), |model| {
        let scores = sample.model(model)?;
        mean(metric, groups.iter().map(|group| Blocks::new(sample, scores, group)), &by_group.masses())
    })?;
    Ok(Measurement { clusters: measured.clusters.filter(|_| sample.clusters.is_some()), ..measured })
}

/// How many groups have a relevant row, and how many have none.
#[must_use]
pub fn count(sample: &Sample) -> (u64, u64) {
    let (with, without) = groups(sample);
    (with.len() as u64, without)
}

/// What each entry of grouped rows varies with: its group; or its entity, joined with those that have rows in its groups.
#[must_use]
pub fn units(sample: &Sample) -> Vec<u64> {
    let groups = sample.groups.clone().unwrap_or_default();
    let Some(entities) = &sample.clusters else { return groups };
    let mut unit = entities.iter().map(|&entity| (entity, entity)).collect::<BTreeMap<_, _>>();
    let mut first_of_group = BTreeMap::new();
    for (&group, &entity) in groups.iter().zip(entities) {
        let first = *first_of_group.entry(group).or_insert(entity);
        let (left, right) = (representative(&unit, first), representative(&unit, entity));
        unit.insert(left.max(right), left.min(right));
    }
    entities.iter().map(|&entity| representative(&unit, entity)).collect()
}

fn representative(unit: &BTreeMap<u64, u64>, mut entity: u64) -> u64 {
    while let Some(&next) = unit.get(&entity).filter(|next| **next != entity) {
        entity = next;
    }
    entity
}

/// The entries of each group with a relevant row, in the order of the groups' keys, and how many groups have none.
fn groups(sample: &Sample) -> (Vec<Vec<usize>>, u64) {
    let mut groups = BTreeMap::<u64, Vec<usize>>::new();
    for (entry, &group) in sample.groups.iter().flatten().enumerate() {
        groups.entry(group).or_default().push(entry);
    }
    let all = groups.len();
    let is_relevant = |entries: &Vec<usize>| entries.iter().any(|&entry| sample.labels[entry] > 0.0);
    let relevant = groups.into_values().filter(is_relevant).collect::<Vec<_>>();
    let without = (all - relevant.len()) as u64;
    (relevant, without)
}

/// A sample with one entry for each group, which weighs what the group does and stands for as many rows.
fn one_entry_each(sample: &Sample, groups: &[Vec<usize>]) -> Sample {
    let (units, masses) = (units(sample), sample.masses());
    let rows = |group: &Vec<usize>| group.iter().map(|&entry| sample.counts[entry]).sum::<u64>();
    let mass = |group: &Vec<usize>| group.iter().map(|&entry| masses[entry]).sum::<f64>();
    let weight = |group: &Vec<usize>| mass(group) / (rows(group) as f64).powi(2);
    Sample {
        clusters: Some(groups.iter().map(|group| units[group[0]]).collect()),
        weights: Some(groups.iter().map(weight).collect()),
        counts: groups.iter().map(rows).collect(),
        ..Sample::default()
    }
}

fn mean(metric: &Metric, groups: impl Iterator<Item = Blocks>, masses: &[f64]) -> Result<Influence, Undefined> {
    let mut of_entry = groups.map(|group| group.worth(metric)).collect::<Result<Vec<_>, _>>()?;
    let total = of_entry.iter().zip(masses).map(|(worth, mass)| worth * mass).sum::<f64>();
    let value = total / masses.iter().sum::<f64>();
    of_entry.iter_mut().for_each(|worth| *worth -= value);
    Ok(Influence { value, of_entry })
}

/// The rows of a group from the highest score down, those of equal score together.
struct Blocks {
    blocks: Vec<Block>,
    /// The labels from the highest down, each with its rows.
    labels: Vec<(f64, u64)>,
}

/// Rows of equal score.
struct Block {
    /// Rows with higher scores.
    above: u64,
    /// Relevant ones of those.
    relevant_above: u64,
    rows: u64,
    relevant: u64,
    /// The sum of the labels.
    gain: f64,
}

impl Blocks {
    fn new(sample: &Sample, scores: &[f64], group: &[usize]) -> Self {
        let (label, rows) = (|entry: usize| sample.labels[entry], |entry: usize| sample.counts[entry]);
        let mut order = group.to_vec();
        order.sort_by(|&left, &right| scores[right].total_cmp(&scores[left]));
        let (mut blocks, mut above, mut relevant_above) = (Vec::new(), 0, 0);
        for tied in order.chunk_by(|&left, &right| scores[left] == scores[right]) {
            let relevant = tied.iter().filter(|&&entry| label(entry) > 0.0).map(|&entry| rows(entry)).sum();
            let gain = tied.iter().map(|&entry| label(entry) * rows(entry) as f64).sum();
            let block =
                Block { above, relevant_above, rows: tied.iter().map(|&entry| rows(entry)).sum(), relevant, gain };
            (above, relevant_above) = (above + block.rows, relevant_above + block.relevant);
            blocks.push(block);
        }
        let mut labels = group.iter().map(|&entry| (label(entry), rows(entry))).collect::<Vec<_>>();
        labels.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        Self { blocks, labels }
    }

    fn worth(&self, metric: &Metric) -> Result<f64, Undefined> {
        Ok(match *metric {
            Metric::Ndcg { k } => self.ndcg(k),
            Metric::MeanAveragePrecision { k } => self.average_precision(k),
            Metric::MeanReciprocalRank => self.reciprocal_rank(),
            Metric::PrecisionAtK { k } => self.relevant_among(k) / k as f64,
            Metric::RecallAtK { k } => self.relevant_among(k) / self.relevant() as f64,
            Metric::HitRate { k } => self.hit(k),
            _ => return Err(Undefined::NotMeasured),
        })
    }

    fn relevant(&self) -> u64 {
        self.blocks.iter().map(|block| block.relevant).sum()
    }

    /// Järvelin and Kekäläinen (2002), ties as in McSherry and Najork (2008).
    fn ndcg(&self, k: u64) -> f64 {
        let gain = |block: &Block| block.gain / block.rows as f64 * discounts(block.above, block.rows, k);
        let (mut best, mut above) = (0.0, 0);
        for &(label, rows) in &self.labels {
            best += label * discounts(above, rows, k);
            above += rows;
        }
        self.blocks.iter().map(gain).sum::<f64>() / best
    }

    /// The expectation of relevance times precision at each place, over the lesser of `k` and the relevant rows: in a block
    /// of `m` rows, `r` of them relevant, a place is relevant with chance `r / m`, and each of the `t` places before it in
    /// the block then with chance `(r - 1) / (m - 1)`.
    fn average_precision(&self, k: u64) -> f64 {
        let mut sum = 0.0;
        for block in self.blocks.iter().filter(|block| block.relevant > 0) {
            let (m, r) = (block.rows as f64, block.relevant as f64);
            let before = if block.rows > 1 { (r - 1.0) / (m - 1.0) } else { 0.0 };
            for t in 0..block.places(k) {
                let relevant = 1.0 + block.relevant_above as f64 + t as f64 * before;
                sum += r / m * relevant / (block.above + t + 1) as f64;
            }
        }
        sum / self.relevant().min(k) as f64
    }

    /// The first relevant row is in the first block that has one: the chance that it stands at a place is the chance that no
    /// earlier one of the block is relevant, times the share of relevant rows among the rest.
    fn reciprocal_rank(&self) -> f64 {
        let Some(block) = self.blocks.iter().find(|block| block.relevant > 0) else { return 0.0 };
        let (mut none_yet, mut sum) = (1.0, 0.0);
        for t in 0..=block.rows - block.relevant {
            let chance = block.relevant as f64 / (block.rows - t) as f64;
            sum += none_yet * chance / (block.above + t + 1) as f64;
            none_yet *= 1.0 - chance;
        }
        sum
    }

    /// The expected relevant rows among the first `k`.
    fn relevant_among(&self, k: u64) -> f64 {
        let among = |block: &Block| block.relevant as f64 * block.places(k) as f64 / block.rows as f64;
        self.blocks.iter().map(among).sum()
    }

    /// The chance of a relevant row among the first `k`.
    fn hit(&self, k: u64) -> f64 {
        let Some(block) = self.blocks.iter().find(|block| block.relevant > 0) else { return 0.0 };
        let others = block.rows - block.relevant;
        if block.places(k) > others {
            return 1.0;
        }
        let miss = |t: u64| (others - t) as f64 / (block.rows - t) as f64;
        1.0 - (0..block.places(k)).map(miss).product::<f64>()
    }
}

impl Block {
    /// How many of the first `k` places are this block's.
    fn places(&self, k: u64) -> u64 {
        k.saturating_sub(self.above).min(self.rows)
    }
}

/// The summed discounts `1 / log2(1 + place)` of `rows` places below the first `above`, as far as they are among `k`.
fn discounts(above: u64, rows: u64, k: u64) -> f64 {
    (above + 1..=(above + rows).min(k)).map(|place| 1.0 / (place as f64 + 1.0).log2()).sum()
}
