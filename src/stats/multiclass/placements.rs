//! ROC AUC of several classes by weighted placements.
//!
//! The AUC of a class is the mean placement, as in [`rank`](crate::stats::rank): of a row of the class the share of the
//! others below it, of another row the share of the class above it, ties counted half. The influence of a row is how far its
//! placement is from the mean one, over the share of the rows that are on its side.

use super::Rows;
use crate::stats::influence::Influence;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// Whom the rows of a class are compared with.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Against {
    /// All other rows together.
    Rest,
    /// The rows of each other class by itself: Hand and Till, Machine Learning 45 (2001) 171-186.
    Each,
}

/// The mean of the classes' AUC.
pub(super) fn mean_auc(rows: &Rows<'_>, against: Against) -> Result<Influence, Undefined> {
    let classes = rows.classes();
    let mut masses = vec![0.0; classes];
    for (entry, mass) in rows.masses.iter().enumerate() {
        masses[rows.label(entry)] += mass;
    }
    if let Some(class) = masses.iter().position(|mass| *mass == 0.0) {
        return Err(Undefined::NoRowOfClass { number: class + 1 });
    }
    let mut mean = Influence { value: 0.0, of_entry: vec![0.0; rows.masses.len()] };
    for class in 0..classes {
        let auc = of_class(rows, &masses, class, against);
        mean.value += auc.value / classes as f64;
        mean.of_entry.iter_mut().zip(&auc.of_entry).for_each(|(mean, auc)| *mean += auc / classes as f64);
    }
    Ok(mean)
}

/// The AUC of a class's score: against all others, or the mean of those against each other class.
fn of_class(rows: &Rows<'_>, masses: &[f64], class: usize, against: Against) -> Influence {
    let opponents = match against {
        Against::Rest => 1,
        Against::Each => masses.len() - 1,
    };
    let side = |entry: usize| match (rows.label(entry), against) {
        (label, _) if label == class => Side::Own,
        (_, Against::Rest) => Side::Other(0),
        (label, Against::Each) => Side::Other(label - usize::from(label > class)),
    };
    let mut others = vec![0.0; opponents];
    for (entry, mass) in rows.masses.iter().enumerate() {
        if let Side::Other(opponent) = side(entry) {
            others[opponent] += mass;
        }
    }
    let placements = placements(rows, masses[class], &others, class, side);
    let mut aucs = vec![0.0; opponents];
    for (entry, placement) in placements.iter().enumerate() {
        if let Side::Other(opponent) = side(entry) {
            aucs[opponent] += rows.masses[entry] * placement / others[opponent];
        }
    }
    let parts = opponents as f64;
    let value = aucs.iter().sum::<f64>() / parts;
    let influence = |(entry, placement): (usize, &f64)| match side(entry) {
        Side::Own => (placement / parts - value) * rows.mass / masses[class],
        Side::Other(opponent) => (placement - aucs[opponent]) / parts * rows.mass / others[opponent],
    };
    Influence { value, of_entry: placements.iter().enumerate().map(influence).collect() }
}

/// The side that a row is on.
#[derive(Clone, Copy)]
enum Side {
    /// The class itself.
    Own,
    /// One of those that it is compared with.
    Other(usize),
}

/// For a row of the class the summed shares of each opponent below it, for the others the share of the class above it.
fn placements(rows: &Rows<'_>, own: f64, others: &[f64], class: usize, side: impl Fn(usize) -> Side) -> Vec<f64> {
    let scores = &rows.scores[class];
    let (mut own_below, mut others_below) = (0.0, 0.0);
    let mut placements = vec![0.0; scores.len()];
    for ties in Sample::ascending(scores).chunk_by(|&left, &right| scores[left] == scores[right]) {
        let (mut own_tied, mut others_tied) = (0.0, 0.0);
        for &entry in ties {
            match side(entry) {
                Side::Own => own_tied += rows.masses[entry],
                Side::Other(opponent) => others_tied += rows.masses[entry] / others[opponent],
            }
        }
        for &entry in ties {
            placements[entry] = match side(entry) {
                Side::Own => others_below + others_tied / 2.0,
                Side::Other(_) => (own - own_below - own_tied / 2.0) / own,
            };
        }
        own_below += own_tied;
        others_below += others_tied;
    }
    placements
}
