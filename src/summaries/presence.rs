//! How many values of each column are there.

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Fields;
use serde::{Deserialize, Serialize};

use crate::summaries::wire;
use crate::summary::Summary;

/// Rows, and nulls by column. Columns of any type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Rows seen.
    pub rows: i64,
    /// Nulls by column, in the order of the ask; empty when no row was seen.
    pub nulls: Vec<i64>,
}

/// The parameters of [`Presence`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceParams {
    /// The number of columns.
    pub columns: usize,
}

impl Presence {
    /// The nulls of column `number`.
    #[must_use]
    pub fn nulls_of(&self, number: usize) -> i64 {
        self.nulls.get(number).copied().unwrap_or(0)
    }
}

impl Summary for Presence {
    const NAME: &'static str = "mg_presence";
    type Params = PresenceParams;

    fn fields() -> Fields {
        wire::fields(&["rows", "nulls"])
    }

    fn update(&mut self, params: &PresenceParams, columns: &[ArrayRef]) -> Result<()> {
        ensure!(columns.len() == params.columns, "{} columns where {} are expected", columns.len(), params.columns);
        let rows = columns.first().map_or(0, |column| column.len());
        ensure!(columns.iter().all(|column| column.len() == rows), "columns of unequal length");
        if rows > 0 {
            let nulls = columns.iter().map(|column| column.logical_null_count() as i64).collect();
            self.merge(Self { rows: rows as i64, nulls });
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.nulls.resize(self.nulls.len().max(other.nulls.len()), 0);
        self.nulls.iter_mut().zip(other.nulls).for_each(|(nulls, more)| *nulls = nulls.saturating_add(more));
    }

    fn write(&self) -> Vec<ArrayRef> {
        wire::write(vec![vec![self.rows], self.nulls.clone()])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [rows, nulls] = wire::read(state, row)?;
        let rows = rows.first().copied().context("a presence without its rows")?;
        Ok(Self { rows, nulls })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.nulls.capacity() * size_of::<i64>()
    }
}
