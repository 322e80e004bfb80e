//! The row-wise functions of the engine: scores, seeded noise, and keys.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, UInt64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::artifact::fetch::Transfers;
use crate::score::Bound;
use crate::score::definition::Definition;
use crate::stats::random;
use crate::target::Side;

/// How far a run is, for the progress bar: bytes fetched, rows scored.
#[derive(Debug, Default)]
pub struct Progress {
    scored: AtomicU64,
    expected: AtomicU64,
    /// What is fetched before anything is scored.
    pub transfers: Arc<Transfers>,
}

impl Progress {
    /// Says that so many more rows will be scored.
    pub(crate) fn expect(&self, rows: u64) {
        self.expected.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows that will have been scored when all scans that began are done.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Rows scored so far, over all models and views.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.scored.load(Ordering::Relaxed)
    }
}

/// Where the functions of scores have their models from.
pub(super) trait Models: Debug + Send + Sync {
    /// The model of a definition.
    fn find(&self, definition: &str) -> anyhow::Result<Arc<dyn Bound>>;
}

/// The model that a run has opened.
#[derive(Debug)]
pub(super) struct Opened(pub(super) Arc<dyn Bound>);

impl Models for Opened {
    fn find(&self, _: &str) -> anyhow::Result<Arc<dyn Bound>> {
        Ok(Arc::clone(&self.0))
    }
}

/// `score_SIDE(features..., definition)`: a model as a function of its columns. A model of several outputs gives a struct of
/// them, so that it scores a row once for all.
///
/// The last argument is the literal text of the model's definition. So the function is known by its name alone, and another
/// machine that has no more than the call opens the same model.
#[derive(Debug)]
pub(crate) struct Score {
    name: String,
    models: Arc<dyn Models>,
    progress: Arc<Progress>,
    signature: Signature,
}

impl Score {
    /// The function of a side, whose name tells it from the function of the other model.
    pub(super) fn function(side: Side, models: Arc<dyn Models>, progress: Arc<Progress>) -> ScalarUDF {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { name: format!("score_{side}"), models, progress, signature })
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Score {}

impl Hash for Score {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Score {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of scores depends on the definition of the model")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(Some(ScalarValue::Utf8(Some(definition)))) = args.scalar_arguments.last() else {
            return plan_err!("{} wants the definition of a model as a last, literal argument", self.name);
        };
        let kind = match Definition::parse(definition).map_err(external)?.outputs() {
            1 => DataType::Float64,
            outputs => DataType::Struct(fields(outputs)),
        };
        Ok(Arc::new(Field::new(&self.name, kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((ColumnarValue::Scalar(ScalarValue::Utf8(Some(definition))), columns)) = args.args.split_last() else {
            return exec_err!("{} wants the definition of a model as a last, literal argument", self.name);
        };
        let columns = ColumnarValue::values_to_arrays(columns)?;
        let binding = self.models.find(definition).map_err(external)?;
        let scores = binding.score(&columns, args.number_rows).map_err(external)?;
        if let Some(scores) = scores.iter().find(|scores| scores.len() != args.number_rows) {
            return exec_err!("the model gave {} scores for {} rows", scores.len(), args.number_rows);
        }
        self.progress.scored.fetch_add(args.number_rows as u64, Ordering::Relaxed);
        let mut scores = scores.into_iter().map(|scores| Arc::new(scores) as ArrayRef).collect::<Vec<_>>();
        Ok(ColumnarValue::Array(match scores.len() {
            1 => scores.remove(0),
            outputs => Arc::new(StructArray::try_new(fields(outputs), scores, None)?),
        }))
    }
}

fn external(error: anyhow::Error) -> DataFusionError {
    DataFusionError::External(error.into())
}

/// The fields of a model's outputs, named by their numbers.
pub(super) fn fields(outputs: usize) -> Fields {
    (0..outputs).map(|output| Field::new(output.to_string(), DataType::Float64, false)).collect()
}

/// `mg_output(scores, number)`: one output of a model of several.
///
/// DataFusion's own `get_field` is moved into what it is a field of, and so would score a row once for each output.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Output {
    signature: Signature,
}

impl Output {
    /// The function.
    pub(crate) fn function() -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { signature: Signature::any(2, Volatility::Immutable) })
    }
}

impl ScalarUDFImpl for Output {
    fn name(&self) -> &'static str {
        "mg_output"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [scores, ColumnarValue::Scalar(ScalarValue::UInt64(Some(output)))] = args.args.as_slice() else {
            return exec_err!("mg_output takes scores and the number of an output");
        };
        let scores = scores.to_array(args.number_rows)?;
        match scores.as_struct_opt().and_then(|scores| scores.column_by_name(&output.to_string())) {
            Some(scores) => Ok(ColumnarValue::Array(Arc::clone(scores))),
            None => exec_err!("a model without an output {output}"),
        }
    }
}

/// `mg_noise(value, key, scale, seed, stream)`: a number with Gaussian noise that depends on the key and the seeds only.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Noise {
    signature: Signature,
}

impl Noise {
    /// The function.
    pub(crate) fn function() -> ScalarUDF {
        let types = vec![DataType::Float64, DataType::UInt64, DataType::Float64, DataType::UInt64, DataType::UInt64];
        let signature = Signature::new(TypeSignature::Exact(types), Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { signature })
    }
}

impl ScalarUDFImpl for Noise {
    fn name(&self) -> &'static str {
        "mg_noise"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [value, key, scale, seed, stream] = columns.as_slice() else {
            return exec_err!("mg_noise takes five arguments");
        };
        let (value, scale) = (value.as_primitive::<Float64Type>(), scale.as_primitive::<Float64Type>());
        let (key, seed) = (key.as_primitive::<UInt64Type>(), seed.as_primitive::<UInt64Type>());
        let stream = stream.as_primitive::<UInt64Type>();
        let noisy: Float64Array = (0..value.len())
            .map(|row| {
                let draw = random::normal(seed.value(row), stream.value(row), key.value(row));
                value.is_valid(row).then(|| value.value(row) + scale.value(row) * draw)
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(noisy)))
    }
}

/// `mg_uniform(key, seed, stream)`: a number between 0 and 1 that depends on the key and the seeds only.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Uniform {
    signature: Signature,
}

impl Uniform {
    /// The function.
    pub(crate) fn function() -> ScalarUDF {
        let signature = Signature::exact(vec![DataType::UInt64; 3], Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { signature })
    }
}

impl ScalarUDFImpl for Uniform {
    fn name(&self) -> &'static str {
        "mg_uniform"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [key, seed, stream] = columns.as_slice() else { return exec_err!("mg_uniform takes three arguments") };
        let [key, seed, stream] = [key, seed, stream].map(|column| column.as_primitive::<UInt64Type>());
        let drawn = |row| random::uniform(seed.value(row), stream.value(row), key.value(row));
        Ok(ColumnarValue::Array(Arc::new(Float64Array::from_iter_values((0..key.len()).map(drawn)))))
    }
}

/// `mg_quantile(share)`: the quantile of some numbers that were given in order; null for a share of 1 or more, or of none.
#[derive(Debug)]
pub(crate) struct Quantile {
    numbers: Arc<[f64]>,
    signature: Signature,
}

impl Quantile {
    /// The function of these numbers, which are in order.
    pub(crate) fn function(numbers: Arc<[f64]>) -> ScalarUDF {
        let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { numbers, signature })
    }

    fn bits(&self) -> impl Iterator<Item = u64> {
        self.numbers.iter().map(|number| number.to_bits())
    }
}

impl PartialEq for Quantile {
    fn eq(&self, other: &Self) -> bool {
        self.bits().eq(other.bits())
    }
}

impl Eq for Quantile {}

impl Hash for Quantile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().for_each(|bits| bits.hash(state));
    }
}

impl ScalarUDFImpl for Quantile {
    fn name(&self) -> &'static str {
        "mg_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [share] = columns.as_slice() else { return exec_err!("mg_quantile takes one argument") };
        let place = |share: f64| (share * self.numbers.len() as f64) as usize;
        let number = |share: Option<f64>| share.and_then(|share| self.numbers.get(place(share)).copied());
        let numbers: Float64Array = share.as_primitive::<Float64Type>().iter().map(number).collect();
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

/// `mg_key(value)`: a stable 64-bit key of any value, null for null.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    signature: Signature,
}

impl Key {
    /// The function.
    pub(crate) fn function() -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { signature: Signature::any(1, Volatility::Immutable) })
    }
}

impl ScalarUDFImpl for Key {
    fn name(&self) -> &'static str {
        "mg_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [value] = columns.as_slice() else { return exec_err!("mg_key takes one argument") };
        Ok(ColumnarValue::Array(Arc::new(keys(value)?)))
    }
}

/// The key of a value is that of its text, so that an id is the same row whatever integer type a file gives it.
fn keys(values: &ArrayRef) -> Result<UInt64Array> {
    let text = cast(values, &DataType::Utf8)?;
    Ok(text.as_string::<i32>().iter().map(|value| value.map(|text| random::key(text.as_bytes()))).collect())
}
