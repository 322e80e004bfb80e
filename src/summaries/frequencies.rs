//! How often each text of a column occurs, and how often there is none.
//!
//! Memory is bounded: texts above [`MAX_BYTES`] are counted together, and a column of more than [`MAX_VALUES`] distinct
//! ones is an id and no category, of which nothing is kept but that. Whether it is one does not depend on the order of
//! the rows, since parts of the column never have more values than all of it.

use std::hash::Hash;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Fields};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::summaries::units::{self, Batch, UNITS};
use crate::summaries::wire;
use crate::summary::Summary;

/// The most distinct texts that are kept.
pub const MAX_VALUES: usize = 10_000;

/// The most bytes of a text that is kept. What is longer names nothing that a person would type.
pub const MAX_BYTES: usize = 64;

/// What [`Frequencies`] is told.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug, Default)]
pub struct FrequencyParams {
    /// Whether a second column, of `UInt64`, names the entity of a row.
    #[serde(default)]
    pub clustered: bool,
}

/// The texts of one column of any text type, plain or as a dictionary, with their counts.
///
/// A batch is counted by what its column holds, be it a text, a view of one or a number of a dictionary; so each distinct one
/// is looked up once a batch, and copied once at all.
#[derive(Clone, Debug, Default)]
pub struct Frequencies {
    /// One, or the units of entities; none before a row.
    units: usize,
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, u32>,
    /// The rows of each text by unit, text after text.
    counts: Vec<i64>,
    /// By unit: rows without a text, and rows whose text is too long.
    nulls: Vec<i64>,
    long: Vec<i64>,
    too_many: bool,
}

impl Frequencies {
    /// The texts, the most frequent first, equally frequent ones in the order of the texts. None when they are too many.
    #[must_use]
    pub fn by_count(&self) -> Option<Vec<(&str, u64)>> {
        let mut texts = self.by_unit()?.into_iter().map(|(text, rows)| (text, rows.iter().sum())).collect::<Vec<_>>();
        texts.sort_by(|(left, more): &(&str, u64), (right, less)| less.cmp(more).then(left.cmp(right)));
        Some(texts)
    }

    /// The texts in their order, with the rows of each unit. None when they are too many.
    #[must_use]
    pub fn by_unit(&self) -> Option<Vec<(&str, Vec<u64>)>> {
        let texts = || self.sorted().into_iter().map(|(text, rows)| (text, rows.iter().copied().map(count).collect()));
        (!self.too_many).then(|| texts().collect())
    }

    /// All rows. None when the texts are too many.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let rows = self.nulls.iter().chain(&self.long).chain(&self.counts).sum::<i64>();
        (!self.too_many).then(|| count(rows))
    }

    /// Rows without a text, by unit.
    #[must_use]
    pub fn nulls(&self) -> Vec<u64> {
        self.nulls.iter().copied().map(count).collect()
    }

    /// Rows whose text is too long to be kept, by unit.
    #[must_use]
    pub fn long(&self) -> Vec<u64> {
        self.long.iter().copied().map(count).collect()
    }

    fn sorted(&self) -> Vec<(&str, &[i64])> {
        let texts = self.texts.iter().map(AsRef::as_ref).zip(self.counts.chunks_exact(self.units.max(1)));
        let mut texts = texts.collect::<Vec<_>>();
        texts.sort_unstable();
        texts
    }

    fn start(&mut self, units: usize) {
        self.units = units;
        self.nulls.resize(units, 0);
        self.long.resize(units, 0);
    }

    /// Counts the rows of a batch by their keys, equal ones of which mean equal texts.
    fn count<'a, K: Hash + Eq>(
        &mut self,
        batch: &Batch<'_>,
        key: impl Fn(usize) -> Option<K>,
        text: impl Fn(usize) -> Option<&'a str>,
    ) {
        let mut places: HashMap<(K, usize), usize> = HashMap::new();
        let mut seen: Vec<(usize, usize, i64)> = Vec::new();
        for row in 0..batch.values.len() {
            let unit = batch.unit(row);
            let Some(key) = key(row) else {
                self.nulls[unit] += 1;
                continue;
            };
            let place = *places.entry((key, unit)).or_insert_with(|| {
                seen.push((row, unit, 0));
                seen.len() - 1
            });
            seen[place].2 += 1;
        }
        for (row, unit, rows) in seen {
            match text(row) {
                Some(text) => self.take(text, unit, rows),
                None => self.nulls[unit] += rows,
            }
        }
    }

    fn take(&mut self, text: &str, unit: usize, rows: i64) {
        if text.len() > MAX_BYTES {
            self.long[unit] = self.long[unit].saturating_add(rows);
        } else if !self.too_many {
            let place = self.place(text) * self.units + unit;
            self.counts[place] = self.counts[place].saturating_add(rows);
            if self.texts.len() > MAX_VALUES {
                self.give_up();
            }
        }
    }

    fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.by_text.get(text) {
            return *place as usize;
        }
        let place = self.texts.len();
        self.texts.push(text.into());
        self.by_text.insert(text.into(), place as u32);
        self.counts.resize(self.counts.len() + self.units, 0);
        place
    }

    fn give_up(&mut self) {
        self.too_many = true;
        self.texts = Vec::new();
        self.by_text = HashMap::new();
        self.counts = Vec::new();
    }
}

impl PartialEq for Frequencies {
    fn eq(&self, other: &Self) -> bool {
        let others = |of: &Self| (of.units, of.nulls.clone(), of.long.clone(), of.too_many, of.texts.len());
        others(self) == others(other) && self.sorted() == other.sorted()
    }
}

impl Summary for Frequencies {
    const NAME: &'static str = "mg_frequencies";
    type Params = FrequencyParams;

    fn fields() -> Fields {
        wire::fields(&["others", "nulls", "long", "counts", "lengths", "texts"])
    }

    fn update(&mut self, params: &FrequencyParams, columns: &[ArrayRef]) -> Result<()> {
        let batch = Batch::of(columns, params.clustered)?;
        let values = batch.values;
        ensure!(is_text(values.data_type()), "a column of {} where text is expected", values.data_type());
        if self.units == 0 && !values.is_empty() {
            self.start(units::count(params.clustered));
        }
        let is_some = |row: usize| values.is_valid(row);
        match values.data_type() {
            DataType::Utf8 => {
                let texts = values.as_string::<i32>();
                let text = |row| is_some(row).then(|| texts.value(row));
                self.count(&batch, text, text);
            }
            DataType::LargeUtf8 => {
                let texts = values.as_string::<i64>();
                let text = |row| is_some(row).then(|| texts.value(row));
                self.count(&batch, text, text);
            }
            DataType::Utf8View => {
                let texts = values.as_string_view();
                let view = |row: usize| is_some(row).then(|| texts.views()[row]);
                self.count(&batch, view, |row| Some(texts.value(row)));
            }
            _ => {
                let dictionary = values.as_any_dictionary();
                let (keys, texts) = (dictionary.normalized_keys(), dictionary.values());
                let key = |row: usize| is_some(row).then(|| keys[row]);
                self.count(&batch, key, |row| text_of(texts, keys[row]));
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        if other.units == 0 {
            return;
        }
        if self.units == 0 {
            *self = other;
            return;
        }
        let add = |mine: &mut [i64], theirs: &[i64]| {
            mine.iter_mut().zip(theirs).for_each(|(mine, more)| *mine = mine.saturating_add(*more));
        };
        add(&mut self.nulls, &other.nulls);
        add(&mut self.long, &other.long);
        if other.too_many {
            self.give_up();
        }
        for (text, rows) in other.texts.iter().zip(other.counts.chunks_exact(other.units)) {
            rows.iter().enumerate().take(self.units).for_each(|(unit, rows)| self.take(text, unit, *rows));
        }
    }

    fn write(&self) -> Vec<ArrayRef> {
        let others = if self.units == 0 { Vec::new() } else { vec![self.units as i64, i64::from(self.too_many)] };
        let sorted = self.sorted();
        let counts = sorted.iter().flat_map(|(_, rows)| *rows).copied().collect();
        let lengths = sorted.iter().map(|(text, _)| text.len() as i64).collect();
        let bytes: Vec<u8> = sorted.iter().flat_map(|(text, _)| text.bytes()).collect();
        wire::write(vec![others, self.nulls.clone(), self.long.clone(), counts, lengths, pack(&bytes)])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [others, nulls, long, counts, lengths, texts] = wire::read(state, row)?;
        let mut read = Self::default();
        let &[units, too_many] = &others[..] else {
            let is_empty = [&others, &nulls, &long, &counts, &lengths, &texts].iter().all(|list| list.is_empty());
            ensure!(is_empty, "frequencies without what they leave out");
            return Ok(read);
        };
        let units = usize::try_from(units)?;
        ensure!([1, UNITS].contains(&units), "frequencies of {units} units");
        ensure!(nulls.len() == units && long.len() == units, "frequencies of units that do not agree");
        ensure!(Some(counts.len()) == lengths.len().checked_mul(units), "frequencies with texts of unequal shape");
        let rows = nulls.iter().chain(&long).chain(&counts);
        ensure!(units::are_rows(rows), "frequencies of an impossible number of rows");
        read.start(units);
        (read.nulls, read.long, read.too_many) = (nulls, long, too_many == 1);
        let mut bytes = &unpack(&texts)[..];
        for (rows, length) in counts.chunks_exact(units).zip(lengths) {
            let (text, rest) = bytes.split_at_checked(usize::try_from(length)?).context("frequencies without texts")?;
            let text = std::str::from_utf8(text)?;
            rows.iter().enumerate().for_each(|(unit, rows)| read.take(text, unit, *rows));
            bytes = rest;
        }
        Ok(read)
    }

    fn size(&self) -> usize {
        let texts = self.texts.iter().map(|text| 2 * (size_of::<Box<str>>() + text.len()) + size_of::<u32>());
        let counts = self.counts.capacity() + self.nulls.capacity() + self.long.capacity();
        size_of::<Self>() + texts.sum::<usize>() + counts * size_of::<i64>()
    }
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values) && !matches!(**values, DataType::Dictionary(..)),
        kind => kind.is_string(),
    }
}

/// A text of the values of a dictionary; an entry may be null.
fn text_of(values: &ArrayRef, place: usize) -> Option<&str> {
    match values.data_type() {
        _ if values.is_null(place) => None,
        DataType::Utf8 => Some(values.as_string::<i32>().value(place)),
        DataType::LargeUtf8 => Some(values.as_string::<i64>().value(place)),
        _ => Some(values.as_string_view().value(place)),
    }
}

fn count(rows: i64) -> u64 {
    rows.max(0).cast_unsigned()
}

/// Eight bytes to an integer; the last is filled up with zeros.
fn pack(bytes: &[u8]) -> Vec<i64> {
    let packed = bytes.chunks(8).map(|chunk| {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        i64::from_le_bytes(eight)
    });
    packed.collect()
}

fn unpack(integers: &[i64]) -> Vec<u8> {
    integers.iter().flat_map(|eight| eight.to_le_bytes()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int8Array, StringArray, UInt64Array};
    use arrow::datatypes::Int8Type;

    use super::*;

    fn of(texts: impl IntoIterator<Item = String>) -> Frequencies {
        let mut frequencies = Frequencies::default();
        let texts = texts.into_iter().map(Some).chain([None]).collect::<StringArray>();
        frequencies.update(&FrequencyParams::default(), &[Arc::new(texts)]).unwrap();
        frequencies
    }

    #[test]
    fn the_most_frequent_come_first_and_long_ones_are_counted_together() {
        let long = "é".repeat(33);
        let found = of(["b", "", "a", "b", "ü", &long].map(str::to_owned));
        assert_eq!(found.by_count().unwrap(), [("b", 2), ("", 1), ("a", 1), ("ü", 1)]);
        assert_eq!((found.long(), found.nulls()), (vec![1], vec![1]));
        assert_eq!(Frequencies::read(&found.write(), 0).unwrap(), found);
    }

    #[test]
    fn too_many_values_are_no_categories_in_any_order() {
        let half = |parity: usize| of((0..=MAX_VALUES).filter(|n| n % 2 == parity).map(|n| n.to_string()));
        let (mut left, mut right) = (half(0), half(1));
        assert!(left.by_count().is_some() && right.by_count().is_some());
        left.merge(half(1));
        right.merge(half(0));
        assert!(left.by_count().is_none() && left == right);
        // Each half has a row without a text.
        let whole = of((0..=MAX_VALUES).map(|n| n.to_string()));
        assert_eq!((left.nulls(), whole.nulls(), whole.rows()), (vec![2], vec![1], None));
        left.merge(half(0));
        assert!(left.by_count().is_none() && left.rows().is_none());
    }

    /// However a column holds its texts; of a dictionary, only what rows have is a value.
    #[test]
    fn a_text_is_the_same_in_every_type() {
        let texts = [Some("b"), None, Some("a"), Some("b"), Some("longer than a view holds itself")];
        let plain = Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let expected = found_in(Arc::clone(&plain));
        for kind in [DataType::LargeUtf8, DataType::Utf8View] {
            assert_eq!(found_in(arrow::compute::cast(&plain, &kind).unwrap()), expected);
        }
        let dictionary = texts.into_iter().collect::<DictionaryArray<Int8Type>>();
        assert_eq!(found_in(Arc::new(dictionary.clone())), expected);
        let without_b = found_in(Arc::new(dictionary.slice(1, 2)));
        assert_eq!(without_b.by_count().unwrap(), [("a", 1)]);
        let null_entry = StringArray::from(vec![None, Some("a")]);
        let keys = Int8Array::from(vec![0, 1, 0]);
        let found = found_in(Arc::new(DictionaryArray::new(keys, Arc::new(null_entry))));
        assert_eq!((found.by_count().unwrap(), found.nulls()), (vec![("a", 1)], vec![2]));
    }

    fn found_in(texts: ArrayRef) -> Frequencies {
        let mut frequencies = Frequencies::default();
        frequencies.update(&FrequencyParams::default(), &[texts]).unwrap();
        frequencies
    }

    #[test]
    fn the_rows_of_an_entity_are_in_one_unit() {
        let mut found = Frequencies::default();
        let texts = Arc::new(StringArray::from(vec![Some("a"), Some("a"), None, Some("a")]));
        let entities = Arc::new(UInt64Array::from(vec![Some(40), Some(3), Some(8), None]));
        found.update(&FrequencyParams { clustered: true }, &[texts, entities]).unwrap();
        let [(_, rows)] = &found.by_unit().unwrap()[..] else { panic!("{found:?}") };
        assert_eq!((rows[8], rows[3], rows[31], found.nulls()[8]), (1, 1, 1, 1));
        assert_eq!(Frequencies::read(&found.write(), 0).unwrap(), found);
    }
}
