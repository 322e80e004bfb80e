//! A file of scores: one row for each row of a dataset, in its order, and nothing but scores.

use std::collections::VecDeque;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StructArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Schema, SchemaRef, UInt64Type};
use datafusion::common::{DataFusionError, Result as DataFusionResult, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, ident,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tempfile::NamedTempFile;

use super::numbered::{FIRST, ROW};
use super::view::ScoredView;
use crate::engine::functions::fields;

/// Rows of a row group, which is read as a whole.
const GROUP: usize = 32_768;

/// Row groups of one output that are kept in memory: enough for as many threads, each of which goes through the rows in
/// order.
const RECENT: usize = 32;

/// The fewest row groups that are kept of a model of many outputs.
const LEAST_RECENT: usize = 4;

/// The key of the file's metadata that holds what the scores follow from.
const IDENTITY: &str = "modelgate";

/// Writes a file of scores. Equal scores, written in equal pieces, make equal bytes.
pub(super) struct Writer {
    writer: ArrowWriter<NamedTempFile>,
    schema: SchemaRef,
}

impl Writer {
    pub(super) fn new(file: NamedTempFile, view: &ScoredView) -> Result<Self> {
        let schema: SchemaRef = Arc::new(Schema::new(fields(view.outputs)));
        // Many scores are floats of 32 bits, so half of their bytes are alike once they are put side by side.
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(GROUP))
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::BYTE_STREAM_SPLIT)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_key_value_metadata(Some(vec![KeyValue::new(IDENTITY.to_owned(), view.identity.clone())]))
            .build();
        Ok(Self { writer: ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?, schema })
    }

    /// The scores of the next rows, for each output.
    pub(super) fn write(&mut self, scores: Vec<ArrayRef>) -> Result<()> {
        Ok(self.writer.write(&RecordBatch::try_new(Arc::clone(&self.schema), scores)?)?)
    }

    pub(super) fn finish(self) -> Result<NamedTempFile> {
        Ok(self.writer.into_inner()?)
    }
}

/// The scores of a view.
pub(in crate::engine) struct Scores {
    name: String,
    rows: u64,
    outputs: usize,
    reading: Mutex<Reading>,
}

/// What only one thread at a time may use: the position in a file is the file's.
struct Reading {
    file: File,
    metadata: ArrowReaderMetadata,
    recent: VecDeque<(usize, Arc<[Float64Array]>)>,
}

impl std::fmt::Debug for Scores {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scores").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Scores {
    /// Opens a file whose content is what was written.
    ///
    /// # Errors
    /// When it holds anything else than the scores of this view.
    pub(super) fn open(file: File, name: &str, view: &ScoredView, rows: u64) -> Result<Self> {
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
        ensure!(metadata.schema().fields() == &fields(view.outputs), "it has other columns than the model has outputs");
        let facts = metadata.metadata().file_metadata();
        ensure!(u64::try_from(facts.num_rows()) == Ok(rows), "it has other rows than the dataset");
        let entries = facts.key_value_metadata().into_iter().flatten();
        let identity = entries.filter(|entry| entry.key == IDENTITY).find_map(|entry| entry.value.as_deref());
        ensure!(identity == Some(view.identity.as_str()), "it is of another view");
        let groups = metadata.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()));
        let full = (0..rows).step_by(GROUP).map(|first| Ok((rows - first).min(GROUP as u64)));
        ensure!(groups.eq(full), "its rows are grouped otherwise");
        let reading = Mutex::new(Reading { file, metadata, recent: VecDeque::new() });
        Ok(Self { name: name.to_owned(), rows, outputs: view.outputs, reading })
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The scores, as an expression of the numbers of rows that [`numbered`](super::numbered) gives.
    pub(in crate::engine) fn function(self: &Arc<Self>) -> (Expr, usize) {
        let signature = Signature::exact(vec![DataType::UInt64, DataType::Int64], Volatility::Immutable);
        let function = ScalarUDF::new_from_impl(Cached { scores: Arc::clone(self), signature });
        (function.call(vec![ident(FIRST), ident(ROW)]), self.outputs)
    }

    /// The scores of the rows with these numbers, for each output.
    pub(super) fn at(&self, places: &[u64]) -> Result<Vec<ArrayRef>> {
        let mut scores = vec![Vec::with_capacity(places.len()); self.outputs];
        let mut group: Option<(usize, Arc<[Float64Array]>)> = None;
        for place in places {
            ensure!(*place < self.rows, "there is no row {place} among {} scores", self.rows);
            let place = usize::try_from(*place)?;
            let number = place / GROUP;
            let columns = match group.take() {
                Some((same, columns)) if same == number => columns,
                _ => self.group(number)?,
            };
            scores.iter_mut().zip(&*columns).for_each(|(scores, column)| scores.push(column.value(place % GROUP)));
            group = Some((number, columns));
        }
        Ok(scores.into_iter().map(|scores| Arc::new(Float64Array::from(scores)) as ArrayRef).collect())
    }

    fn group(&self, number: usize) -> Result<Arc<[Float64Array]>> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, columns)) = reading.recent.iter().find(|(recent, _)| *recent == number) {
            return Ok(Arc::clone(columns));
        }
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(reading.file.try_clone()?, reading.metadata.clone());
        let mut batches = builder.with_row_groups(vec![number]).with_batch_size(GROUP).build()?;
        let batch = batches.next().with_context(|| format!("`{}` ends too early", self.name))??;
        let rows = (self.rows - (number * GROUP) as u64).min(GROUP as u64);
        ensure!(batch.num_rows() as u64 == rows, "`{}` has fewer rows than it says", self.name);
        let columns: Arc<[Float64Array]> =
            batch.columns().iter().map(|column| column.as_primitive::<Float64Type>().clone()).collect();
        reading.recent.push_front((number, Arc::clone(&columns)));
        reading.recent.truncate((RECENT / self.outputs).max(LEAST_RECENT));
        Ok(columns)
    }
}

/// `mg_cached(first row of the file, row in the file)`: what a model gave for a row before, in the form of
/// [`Score`](crate::engine::functions::Score).
#[derive(Debug)]
struct Cached {
    scores: Arc<Scores>,
    signature: Signature,
}

impl PartialEq for Cached {
    fn eq(&self, other: &Self) -> bool {
        self.scores.name == other.scores.name
    }
}

impl Eq for Cached {}

impl Hash for Cached {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scores.name.hash(state);
    }
}

impl ScalarUDFImpl for Cached {
    fn name(&self) -> &'static str {
        "mg_cached"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(match self.scores.outputs {
            1 => DataType::Float64,
            outputs => DataType::Struct(fields(outputs)),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [first, row] = columns.as_slice() else { return exec_err!("mg_cached takes two arguments") };
        let (first, row) = (first.as_primitive::<UInt64Type>(), cast(row, &DataType::UInt64)?);
        let row = row.as_primitive::<UInt64Type>();
        let places = first.values().iter().zip(row.values()).map(|(first, row)| first + row).collect::<Vec<_>>();
        let mut scores = self.scores.at(&places).map_err(|error| DataFusionError::External(error.into()))?;
        Ok(ColumnarValue::Array(match self.scores.outputs {
            1 => scores.remove(0),
            outputs => Arc::new(StructArray::try_new(fields(outputs), scores, None)?),
        }))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;
    use crate::target::Side;

    /// Three row groups, the last of them short.
    const ROWS: u64 = 2 * GROUP as u64 + 7;

    fn view(outputs: usize) -> ScoredView {
        let (identity, digest) = ("{}".to_owned(), String::new());
        ScoredView { side: Side::Baseline, noise: None, identity, digest, model: lit(0.0), outputs }
    }

    /// What no two rows and outputs have in common, and what equality of floats does not tell apart.
    fn score(output: usize, row: u64) -> f64 {
        match row {
            0 => -0.0,
            1 => f64::from_bits(0x7ff8_0000_0000_1234),
            2 => f64::NEG_INFINITY,
            row => row as f64 + 0.25 * output as f64,
        }
    }

    fn column(output: usize, rows: std::ops::Range<u64>) -> ArrayRef {
        Arc::new(rows.map(|row| Some(score(output, row))).collect::<Float64Array>())
    }

    /// A file that was written in pieces of so many rows.
    fn written(view: &ScoredView, piece: usize) -> File {
        let mut writer = Writer::new(NamedTempFile::new().unwrap(), view).unwrap();
        for first in (0..ROWS).step_by(piece) {
            let rows = first..ROWS.min(first + piece as u64);
            writer.write((0..view.outputs).map(|output| column(output, rows.clone())).collect()).unwrap();
        }
        writer.finish().unwrap().reopen().unwrap()
    }

    #[test]
    fn every_row_gets_its_own_score_to_the_bit_in_any_order() {
        for outputs in [1, 3] {
            let scores = Scores::open(written(&view(outputs), 1000), "", &view(outputs), ROWS).unwrap();
            let far = (0..ROWS).map(|step| step * 40_009 % ROWS).collect::<Vec<_>>();
            for places in [(0..ROWS).collect(), (0..ROWS).rev().collect(), far, vec![ROWS - 1, 0, 0, 1, 2], vec![]] {
                let found = scores.at(&places).unwrap();
                assert_eq!(found.len(), outputs);
                for (output, found) in found.iter().enumerate() {
                    let found = found.as_primitive::<Float64Type>().values().iter().map(|score| score.to_bits());
                    assert!(found.eq(places.iter().map(|row| score(output, *row).to_bits())), "output {output}");
                }
            }
            assert!(scores.at(&[ROWS]).is_err());
        }
    }

    #[test]
    fn a_file_of_anything_else_is_refused() {
        let open = |view: &ScoredView, rows| Scores::open(written(&self::view(2), 5000), "", view, rows).unwrap_err();
        assert!(open(&view(2), ROWS - 1).to_string().contains("other rows"));
        assert!(open(&view(1), ROWS).to_string().contains("other columns"));
        let other = ScoredView { identity: "{ }".to_owned(), ..view(2) };
        assert!(open(&other, ROWS).to_string().contains("another view"));
    }

    #[test]
    fn row_groups_of_another_size_are_refused() {
        let (view, file) = (view(1), NamedTempFile::new().unwrap());
        let schema: SchemaRef = Arc::new(Schema::new(fields(1)));
        let identity = vec![KeyValue::new(IDENTITY.to_owned(), view.identity.clone())];
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP - 1));
        let properties = properties.set_key_value_metadata(Some(identity)).build();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).unwrap();
        writer.write(&RecordBatch::try_new(schema, vec![column(0, 0..ROWS)]).unwrap()).unwrap();
        let file = writer.into_inner().unwrap().reopen().unwrap();
        assert!(Scores::open(file, "", &view, ROWS).unwrap_err().to_string().contains("grouped otherwise"));
    }
}
