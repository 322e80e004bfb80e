//! What every summary of rows is: a small accumulator that can be merged in any order.
//!
//! A summary sees columns, never a file, an engine or another summary. Its state travels as Arrow values, so a partial
//! result, a shuffled result and the final answer have one encoding: the answer *is* the state.

use std::fmt::Debug;

use anyhow::Result;
use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A mergeable accumulator over rows.
///
/// Laws, held by `tests/it/laws.rs` for every summary: merging is associative and commutative, the default is its
/// neutral element, chunking the rows differently changes nothing, and `read(write(s)) == s`. All to the byte, so
/// state is made of integers or of order-independent float sums.
pub trait Summary: Default + Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The name on the wire, `mg_moments`.
    const NAME: &'static str;
    /// What the summary is told beside its columns.
    type Params: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static;

    /// Whether what is found under `one` also answers who asked for `other`, of the same columns.
    #[must_use]
    fn serves(one: &Self::Params, other: &Self::Params) -> bool {
        one == other
    }

    /// Whether merging takes no more time than taking in some tens of rows. Rows that are in a group of each of several
    /// groupings are then taken in once, and merged into each.
    #[must_use]
    fn merges_at_once(_: &Self::Params) -> bool {
        false
    }

    /// The Arrow fields of the state, in the order of [`Summary::write`].
    fn fields() -> Fields;

    /// Takes in a batch: one array per column of the ask, all of the same length.
    ///
    /// # Errors
    /// When the columns are not of the number or the types that the summary documents.
    fn update(&mut self, params: &Self::Params, columns: &[ArrayRef]) -> Result<()>;

    /// Takes in the rows that `other` has seen.
    fn merge(&mut self, other: Self);

    /// The state, as one array of length one per field, in a canonical order.
    fn write(&self) -> Vec<ArrayRef>;

    /// Reads the state back from row `row` of the arrays.
    ///
    /// # Errors
    /// When the arrays are not what [`Summary::write`] makes.
    fn read(state: &[ArrayRef], row: usize) -> Result<Self>;

    /// Bytes held, capacity counted.
    fn size(&self) -> usize;
}
