//! How far the values of a column in one dataset are from those in another: from two summaries to a distance, and to where
//! the datasets differ most.

use std::collections::{BTreeMap, BTreeSet};

use crate::stats::shift::{Shares, Shift};
use crate::stats::{Distance, Undefined};
use crate::summaries::frequencies::MAX_VALUES;
use crate::summaries::units::UNITS;
use crate::summaries::values::Place;
use crate::summaries::{Frequencies, Values};

/// A distance between two datasets, and where it comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Moved {
    /// The distance.
    pub distance: Distance,
    /// Where the datasets differ most.
    pub most: Most,
    /// The shares of rows there.
    pub shares: Shares,
    /// The shares of rows without a value.
    pub missing: Shares,
    /// What is in the one dataset and not in the other, where values have no order.
    pub new: Option<New>,
}

/// Where two datasets differ most.
#[derive(Clone, PartialEq, Debug)]
pub enum Most {
    /// In the share of values up to a number.
    UpTo(f64),
    /// In the share of one text.
    Text(String),
    /// In the share of texts that are too long to be kept, taken together.
    LongText,
    /// In the share of missing values.
    Missing,
    /// In the share of values that are missing or NaN.
    NotANumber,
    /// In the share of values that are missing, NaN or negative infinity.
    UpToNegativeInfinity,
    /// They do not differ.
    Nowhere,
}

/// Values that the dataset held against does not have.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct New {
    /// How many there are.
    pub values: u64,
    /// The share of rows that have one.
    pub share: f64,
}

/// Why two columns of text have no distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Apart {
    /// They have too many values.
    TooManyValues,
    /// There are too few rows or units.
    Undefined(Undefined),
}

impl From<Undefined> for Apart {
    fn from(reason: Undefined) -> Self {
        Self::Undefined(reason)
    }
}

/// The Kolmogorov-Smirnov distance of a column of numbers. What is missing stands before all values, then NaN, then negative
/// infinity; so a changed share of any of them is a distance too.
///
/// # Errors
/// Without rows in either dataset, or with fewer than two units of entities.
pub fn of_numbers(sample: &Values, against: &Values, seed: u64) -> Result<Moved, Undefined> {
    let level = sample.level().max(against.level());
    let counts = [sample, against].map(|values| values.counts(level));
    let places = counts.iter().flatten().map(|(_, place, _)| *place).collect::<BTreeSet<_>>();
    let places = places.into_iter().collect::<Vec<_>>();
    let numbers = places.iter().enumerate().map(|(number, place)| (*place, number)).collect::<BTreeMap<_, _>>();
    let units = if sample.is_clustered() || against.is_clustered() { UNITS } else { 1 };
    let [sample, against] = counts.map(|counts| {
        let mut by_unit = vec![vec![0; places.len()]; units];
        counts.into_iter().for_each(|(unit, place, rows)| by_unit[unit][numbers[&place]] += rows);
        by_unit
    });
    let shift = Shift::new(sample, against);
    let distance = shift.kolmogorov_smirnov(level > 0, seed)?;
    let at = distance.at as usize;
    let most = match places[at] {
        _ if distance.value == 0.0 => Most::Nowhere,
        Place::Missing => Most::Missing,
        Place::Nan => Most::NotANumber,
        Place::Lowest => Most::UpToNegativeInfinity,
        Place::Finite(_) | Place::Highest => Most::UpTo(places[at].number(level).unwrap_or(f64::MAX)),
    };
    let missing = numbers.get(&Place::Missing).map_or(Shares::default(), |&place| shift.at(place));
    Ok(Moved { most, shares: shift.up_to(at), missing, new: None, distance })
}

/// The total variation distance of a column of texts, of which a missing one is one more.
///
/// # Errors
/// As [`of_numbers`], and where there are more distinct texts than are kept.
pub fn of_texts(sample: &Frequencies, against: &Frequencies) -> Result<Moved, Apart> {
    let texts = [sample.by_unit(), against.by_unit()].map(|texts| texts.ok_or(Apart::TooManyValues));
    let [sample_texts, against_texts] = texts;
    let (sample_texts, against_texts) = (sample_texts?, against_texts?);
    let names = sample_texts.iter().chain(&against_texts).map(|(text, _)| *text).collect::<BTreeSet<_>>();
    let names = names.into_iter().collect::<Vec<_>>();
    if names.len() > MAX_VALUES {
        return Err(Apart::TooManyValues);
    }
    let units = sample.nulls().len().max(against.nulls().len()).max(1);
    // Missing ones, long ones, and the texts in their order.
    let by_unit = |texts: &[(&str, Vec<u64>)], nulls: &[u64], long: &[u64]| {
        let mut by_unit = vec![vec![0; 2 + names.len()]; units];
        nulls.iter().enumerate().for_each(|(unit, rows)| by_unit[unit][0] = *rows);
        long.iter().enumerate().for_each(|(unit, rows)| by_unit[unit][1] = *rows);
        for (text, rows) in texts {
            let place = 2 + names.partition_point(|name| name < text);
            rows.iter().enumerate().for_each(|(unit, rows)| by_unit[unit][place] = *rows);
        }
        by_unit
    };
    let shift = Shift::new(
        by_unit(&sample_texts, &sample.nulls(), &sample.long()),
        by_unit(&against_texts, &against.nulls(), &against.long()),
    );
    if shift.is_empty() {
        return Err(Undefined::NoRows.into());
    }
    let (missing, long) = (shift.at(0), shift.at(1));
    let distance = shift.total_variation(long.share.min(long.against))?;
    let at = distance.at as usize;
    let most = match at {
        _ if distance.value == 0.0 => Most::Nowhere,
        0 => Most::Missing,
        1 => Most::LongText,
        _ => Most::Text(names[at - 2].to_owned()),
    };
    let is_new = |place: &usize| shift.at(*place).share > 0.0 && shift.at(*place).against == 0.0;
    let new = (2..2 + names.len()).filter(is_new).map(|place| shift.at(place).share).collect::<Vec<_>>();
    let new = Some(New { values: new.len() as u64, share: new.iter().fold(0.0, |sum, share| sum + share) });
    Ok(Moved { most, shares: shift.at(at), missing, new, distance })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
