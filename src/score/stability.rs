//! Whether a model gives a row the same score in any batch.
//!
//! What can make scores depend on batches is settled where it can be: for ONNX one thread, whole vectors
//! ([`super::onnx::tensor::fed_rows`]). A model may still do so by itself, as one that compares a row with the others of its
//! batch, and a program or a server may compute in any way. Then no record of it can be made again to the byte, and the
//! record has to say so.

use anyhow::Result;
use arrow::array::{Array as _, ArrayRef};
use serde::{Deserialize, Serialize};

use super::Bound;

/// How many rows are scored twice: enough for every kernel to meet whole vectors and what is left over, and few beside what
/// a run scores.
pub const ROWS: usize = 1024;

/// The rows of the first batch of the second time. With it, each row stands at another place of its batch than the first time,
/// and at another place of the processor's vectors.
const FIRST: usize = 5;

/// The rows of the other batches of the second time.
const OTHERS: usize = 112;

/// What differed when a model scored the same rows in other batches.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Unstable {
    /// How many rows were scored twice.
    pub rows: usize,
    /// How many of them got another score.
    pub differing: usize,
    /// The largest difference; `null` where what differed were no numbers.
    pub largest: Option<f64>,
}

/// Scores rows twice, in batches of other sizes, and says what differs: nothing, if all bits are the same.
///
/// # Errors
/// As [`Bound::score`].
pub fn look(model: &dyn Bound, columns: &[ArrayRef], rows: usize) -> Result<Option<Unstable>> {
    let whole = model.score(columns, rows)?;
    let (mut differing, mut largest) = (0, None);
    let mut first = 0;
    while first < rows {
        let count = if first == 0 { FIRST } else { OTHERS }.min(rows - first);
        let part = columns.iter().map(|column| column.slice(first, count)).collect::<Vec<_>>();
        let again = model.score(&part, count)?;
        for row in 0..count {
            let pairs = whole.iter().zip(&again).map(|(whole, again)| (whole.value(first + row), again.value(row)));
            let apart = pairs.filter(|(whole, again)| whole.to_bits() != again.to_bits()).collect::<Vec<_>>();
            let distances = apart.iter().map(|(whole, again)| (whole - again).abs()).filter(|apart| apart.is_finite());
            largest = distances.chain(largest).reduce(f64::max);
            differing += usize::from(!apart.is_empty());
        }
        first += count;
    }
    Ok((differing > 0).then_some(Unstable { rows, differing, largest }))
}
