//! The adapter that makes any summary a DataFusion aggregate whose answer is its state.
//!
//! The aggregate has no state of its own: the parameters travel as a trailing literal, canonical JSON, so that it can be
//! found by name alone on another machine and `EXPLAIN` shows what was asked.

use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StructArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;

use crate::summary::Summary;

/// The aggregate for a summary.
pub(crate) fn aggregate<S: Summary>() -> AggregateUDF {
    AggregateUDF::new_from_impl(SummaryAggregate::<S> {
        signature: Signature::variadic_any(Volatility::Immutable),
        summary: PhantomData,
    })
}

#[derive(Debug)]
struct SummaryAggregate<S> {
    signature: Signature,
    summary: PhantomData<fn() -> S>,
}

// The type is the identity: there is one aggregate for each summary.
impl<S> PartialEq for SummaryAggregate<S> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<S> Eq for SummaryAggregate<S> {}

impl<S: Summary> Hash for SummaryAggregate<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        S::NAME.hash(state);
    }
}

impl<S: Summary> AggregateUDFImpl for SummaryAggregate<S> {
    fn name(&self) -> &str {
        S::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(S::fields()))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let params = args.exprs.last().and_then(|expr| expr.downcast_ref::<Literal>());
        let params = match params.map(Literal::value) {
            Some(ScalarValue::Utf8(Some(json))) => serde_json::from_str(json),
            _ => return Err(exec_datafusion_err!("{} wants its parameters as a last, literal argument", S::NAME)),
        };
        let params: S::Params = params.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Box::new(SummaryAccumulator { params, summary: S::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let named =
            |field: &FieldRef| Arc::new(field.as_ref().clone().with_name(format_state_name(args.name, field.name())));
        Ok(S::fields().iter().map(named).collect())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug)]
struct SummaryAccumulator<S: Summary> {
    params: S::Params,
    summary: S,
}

impl<S: Summary> Accumulator for SummaryAccumulator<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = values.split_last().map_or(values, |(_, columns)| columns);
        self.summary.update(&self.params, columns).map_err(external)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = StructArray::try_new(S::fields(), self.summary.write(), None)?;
        Ok(ScalarValue::Struct(Arc::new(state)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.summary.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.summary.write().iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |state| state.len());
        for row in 0..rows {
            self.summary.merge(S::read(states, row).map_err(external)?);
        }
        Ok(())
    }
}

fn external(error: anyhow::Error) -> DataFusionError {
    DataFusionError::External(error.into())
}

/// The state in row `row` of an answer column, each array of length one.
pub(crate) fn state(answer: &ArrayRef, row: usize) -> Result<Vec<ArrayRef>> {
    let answer = answer.as_struct_opt().ok_or_else(|| exec_datafusion_err!("an answer is not a state"))?;
    answer.columns().iter().map(|column| large(column.slice(row, 1))).collect()
}

/// A list as the large list that it was: Arrow Flight, which carries the answers of a cluster, hands on the one as the other
/// (`prepare_field_for_flight` in arrow-flight 59.3).
fn large(column: ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::List(item) => Ok(cast(&column, &DataType::LargeList(Arc::clone(item)))?),
        _ => Ok(column),
    }
}
