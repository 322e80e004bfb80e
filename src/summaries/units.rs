//! Random groups of entities: what varies for itself where the rows of an entity do not.
//!
//! An entity's rows are all in the unit that its key says, in every dataset. So state is bounded however many entities there
//! are, and how a sum varies from unit to unit says how it varies with entities, as long as there are many of them.

use anyhow::{Result, ensure};
use arrow::array::{Array, ArrayRef, UInt64Array};

use crate::summaries::rows::{NULL_CLUSTER, primitive};

/// Units of entities: thirty-one degrees of freedom, with which Student's t is wider than the normal by 3 %.
pub const UNITS: usize = 32;

/// How many units there are.
#[must_use]
pub(super) fn count(is_clustered: bool) -> usize {
    if is_clustered { UNITS } else { 1 }
}

/// Whether counts can be those of rows: none is negative, and their sum is an integer.
pub(super) fn are_rows<'a>(mut counts: impl Iterator<Item = &'a i64>) -> bool {
    let add = |sum: i64, rows: &i64| sum.checked_add(*rows).filter(|_| *rows >= 0);
    counts.try_fold(0, add).is_some()
}

/// The values of a batch, and the entities of its rows where there are any.
pub(super) struct Batch<'a> {
    /// The values.
    pub(super) values: &'a ArrayRef,
    entities: Option<&'a UInt64Array>,
}

impl<'a> Batch<'a> {
    /// The columns of an ask: the values and, if rows are clustered, the keys of entities.
    pub(super) fn of(columns: &'a [ArrayRef], is_clustered: bool) -> Result<Self> {
        let expected = 1 + usize::from(is_clustered);
        ensure!(columns.len() == expected, "{} columns where {expected} are expected", columns.len());
        let entities = columns.get(1).map(primitive).transpose()?;
        ensure!(columns.iter().all(|column| column.len() == columns[0].len()), "columns of unequal length");
        Ok(Self { values: &columns[0], entities })
    }

    /// The unit of a row.
    pub(super) fn unit(&self, row: usize) -> usize {
        self.entities.map_or(0, |keys| {
            let key = if keys.is_null(row) { NULL_CLUSTER } else { keys.value(row) };
            (key % UNITS as u64) as usize
        })
    }
}
