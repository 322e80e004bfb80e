//! How often each text of a column occurs.
//!
//! Memory is bounded: texts above [`MAX_BYTES`] are counted together, and a column of more than [`MAX_VALUES`] distinct
//! ones is an id and no category, of which nothing is kept but that. Whether it is one does not depend on the order of
//! the rows, since parts of the column never have more values than all of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Fields;
use serde::{Deserialize, Serialize};

use crate::summaries::wire;
use crate::summary::Summary;

/// The most distinct texts that are kept.
pub const MAX_VALUES: usize = 10_000;

/// The most bytes of a text that is kept. What is longer names nothing that a person would type.
pub const MAX_BYTES: usize = 64;

/// [`Frequencies`] is told nothing beside its column.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug, Default)]
pub struct FrequencyParams {}

/// The texts of one `Utf8` column with their counts; nulls are left out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Frequencies {
    texts: BTreeMap<String, i64>,
    long: i64,
    too_many: bool,
}

impl Frequencies {
    /// The texts, the most frequent first, equally frequent ones in the order of the texts. None when they are too many.
    #[must_use]
    pub fn by_count(&self) -> Option<Vec<(&str, u64)>> {
        let mut texts: Vec<_> = self.texts.iter().map(|(text, rows)| (text.as_str(), count(*rows))).collect();
        texts.sort_by(|(left, more), (right, less)| less.cmp(more).then(left.cmp(right)));
        (!self.too_many).then_some(texts)
    }

    /// Rows whose text is too long to be kept.
    #[must_use]
    pub fn long(&self) -> u64 {
        count(self.long)
    }

    fn take(&mut self, text: &str, rows: i64) {
        if text.len() > MAX_BYTES {
            self.long = self.long.saturating_add(rows);
        } else if !self.too_many {
            match self.texts.get_mut(text) {
                Some(known) => *known = known.saturating_add(rows),
                None => drop(self.texts.insert(text.to_owned(), rows)),
            }
            if self.texts.len() > MAX_VALUES {
                self.give_up();
            }
        }
    }

    fn give_up(&mut self) {
        self.too_many = true;
        self.texts.clear();
    }
}

impl Summary for Frequencies {
    const NAME: &'static str = "mg_frequencies";
    type Params = FrequencyParams;

    fn fields() -> Fields {
        wire::fields(&["others", "counts", "lengths", "texts"])
    }

    fn update(&mut self, _: &FrequencyParams, columns: &[ArrayRef]) -> Result<()> {
        ensure!(columns.len() == 1, "{} columns where 1 is expected", columns.len());
        let texts = columns[0].as_string_opt::<i32>().context("a column that is no text")?;
        texts.iter().flatten().for_each(|text| self.take(text, 1));
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.long = self.long.saturating_add(other.long);
        if other.too_many {
            self.give_up();
        }
        other.texts.iter().for_each(|(text, rows)| self.take(text, *rows));
    }

    fn write(&self) -> Vec<ArrayRef> {
        let others = vec![self.long, i64::from(self.too_many)];
        let lengths = self.texts.keys().map(|text| text.len() as i64).collect();
        let bytes: Vec<u8> = self.texts.keys().flat_map(|text| text.bytes()).collect();
        wire::write(vec![others, self.texts.values().copied().collect(), lengths, pack(&bytes)])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [others, counts, lengths, texts] = wire::read(state, row)?;
        let &[long, too_many] = &others[..] else { anyhow::bail!("frequencies without what they leave out") };
        ensure!(counts.len() == lengths.len(), "frequencies with texts of unequal shape");
        let mut read = Self { texts: BTreeMap::new(), long, too_many: too_many == 1 };
        let mut bytes = &unpack(&texts)[..];
        for (rows, length) in counts.into_iter().zip(lengths) {
            let (text, rest) = bytes.split_at_checked(usize::try_from(length)?).context("frequencies without texts")?;
            read.take(std::str::from_utf8(text)?, rows);
            bytes = rest;
        }
        Ok(read)
    }

    fn size(&self) -> usize {
        let texts = self.texts.keys().map(|text| size_of::<(String, i64)>() + text.capacity());
        size_of::<Self>() + texts.sum::<usize>()
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

    use arrow::array::StringArray;

    use super::*;

    fn of(texts: impl IntoIterator<Item = String>) -> Frequencies {
        let mut frequencies = Frequencies::default();
        let texts = texts.into_iter().map(Some).chain([None]).collect::<StringArray>();
        frequencies.update(&FrequencyParams {}, &[Arc::new(texts)]).unwrap();
        frequencies
    }

    #[test]
    fn the_most_frequent_come_first_and_long_ones_are_counted_together() {
        let long = "é".repeat(33);
        let found = of(["b", "", "a", "b", "ü", &long].map(str::to_owned));
        assert_eq!(found.by_count().unwrap(), [("b", 2), ("", 1), ("a", 1), ("ü", 1)]);
        assert_eq!(found.long(), 1);
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
        left.merge(half(0));
        assert!(left == right && left == of((0..=MAX_VALUES).map(|n| n.to_string())));
    }
}
