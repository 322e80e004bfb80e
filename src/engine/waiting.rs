//! Rows that wait until they are many.
//!
//! A batch has few rows of each group, and a summary may hold more than a processor keeps near it. Fed batch by batch,
//! every row would find its group's summary gone; fed many rows at once, most find it there.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::concat;
use datafusion::arrow::error::ArrowError;

/// So many rows are not kept waiting: some ten thousand of a group, where there are tens of groups.
const MOST_ROWS: usize = 1 << 19;

/// Nor are rows of so many bytes.
const MOST_BYTES: usize = 64 << 20;

/// A value of any length is a view of so many bytes.
const WIDTH_OF_VIEW: usize = 16;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rows: usize,
    bytes: usize,
    /// The batches of each input, of those that are needed.
    inputs: Vec<Vec<ArrayRef>>,
    /// For each grouping by keys, the numbers of the groups of the rows.
    numbers: Vec<Vec<u32>>,
}

/// The rows of all batches that have waited.
pub(super) struct Gathered {
    /// Each input, of those that are needed.
    pub(super) inputs: Vec<Option<ArrayRef>>,
    /// For each grouping by keys, the numbers of the groups of the rows.
    pub(super) numbers: Vec<Vec<u32>>,
}

impl Waiting {
    /// The groups of the next rows, by a grouping.
    pub(super) fn group(&mut self, grouping: usize, numbers: Vec<u32>) {
        self.numbers.resize_with(self.numbers.len().max(grouping + 1), Vec::new);
        self.bytes += size_of_val(&numbers[..]);
        self.numbers[grouping].extend(numbers);
    }

    /// Takes in the next rows.
    pub(super) fn push(&mut self, inputs: &[ArrayRef], is_needed: &[bool], rows: usize) {
        self.inputs.resize_with(inputs.len(), Vec::new);
        self.rows += rows;
        for ((kept, input), _) in self.inputs.iter_mut().zip(inputs).zip(is_needed).filter(|(_, needed)| **needed) {
            self.bytes += rows * input.data_type().primitive_width().unwrap_or(WIDTH_OF_VIEW);
            kept.push(ArrayRef::clone(input));
        }
    }

    /// Whether no more rows should wait.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS || self.bytes >= MOST_BYTES
    }

    /// About how many bytes wait.
    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    /// The rows, which wait no more.
    pub(super) fn gather(&mut self) -> Result<Gathered, ArrowError> {
        let Self { inputs, numbers, .. } = std::mem::take(self);
        let whole = |batches: Vec<ArrayRef>| {
            let batches = batches.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>();
            if batches.is_empty() { Ok(None) } else { concat(&batches).map(Some) }
        };
        Ok(Gathered { inputs: inputs.into_iter().map(whole).collect::<Result<_, _>>()?, numbers })
    }
}
