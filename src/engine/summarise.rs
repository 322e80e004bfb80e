//! All summaries asked of one dataset, in one scan.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::{AggregateUDF, Expr, grouping_set, ident, lit};
use datafusion::prelude::SessionContext;

use super::cache::Held;
use super::functions::Progress;
use super::group::{self, Groups};
use super::udaf;
use super::view::View;
use crate::plan::{Grouping, Input, SummaryAsk};
use crate::spec::problem::quoted;
use crate::summaries::{Frequencies, Moments, Presence, Quantiles, Ranks, Regions, Spread, Sums};
use crate::summary::Summary;
use crate::target::Target;

/// The most groups that one dataset may be cut into. A column with more values is an id, not a slice.
const MOST_GROUPS: usize = 10_000;

/// The most columns that one aggregation groups by. DataFusion tells its sets apart by the bits of a number of 64, and
/// does so wrongly beyond.
const MOST_COLUMNS: usize = 60;

/// The label that is no class, among the columns and among the answers.
const UNKNOWN_CLASS: &str = "mg:unknown class";

/// The states of a summary by group.
pub(super) type States = BTreeMap<(Grouping, String), Vec<ArrayRef>>;

/// Answers all asks of one dataset.
pub(super) async fn all(
    context: &SessionContext,
    target: &Target,
    dataset: &str,
    asks: &[&SummaryAsk],
    held: &Held,
    progress: &Arc<Progress>,
) -> Result<Vec<States>> {
    let view = View::new(target, target.dataset(dataset)?, progress, held);
    let groupings = union(asks.iter().map(|ask| ask.groupings.as_slice()));
    let mut states = vec![States::new(); asks.len()];
    for groupings in group::apart(&groupings, MOST_COLUMNS)? {
        let found = together(context, &view, groupings, asks).await?;
        states.iter_mut().zip(found).for_each(|(states, found)| states.extend(found));
    }
    Ok(states)
}

/// Answers all asks for some groupings, in one aggregation.
async fn together(
    context: &SessionContext,
    view: &View<'_>,
    groupings: &[Grouping],
    asks: &[&SummaryAsk],
) -> Result<Vec<States>> {
    let rows = view.rows(context).await?;
    let groups = Groups::new(groupings);
    let inputs = distinct(asks);

    let mut columns = groups.columns(context, rows.schema(), view)?;
    for (number, input) in inputs.iter().enumerate().filter(|(_, input)| !is_sql(input)) {
        columns.push(view.input(input)?.alias(input_name(number)));
    }
    // A projection needs a column even where a summary needs none.
    columns.push(lit(true).alias("mg:row"));
    let mut aggregates = groups.flags();
    for (number, ask) in asks.iter().enumerate() {
        aggregates.push(call(ask, &inputs)?.alias(answer_name(number)));
    }
    let labelled = inputs.iter().any(|input| matches!(input, Input::Label | Input::MatureLabel { .. }));
    if let Some(unknown) = view.unknown_class()?.filter(|_| labelled) {
        columns.push(unknown.alias(UNKNOWN_CLASS));
        aggregates.push(min(ident(UNKNOWN_CLASS)).alias(UNKNOWN_CLASS));
    }
    let sets = groups.sets();
    let by = if sets.is_empty() { Vec::new() } else { vec![grouping_set(sets)] };
    let aggregates = if by.is_empty() { aggregates.split_off(groups.flags().len()) } else { aggregates };
    let rows = evaluated(context, view, rows, columns, &inputs)?;
    let batches = rows.aggregate(by, aggregates)?.collect().await?;
    refuse_unknown_class(&batches)?;
    decode(&batches, &groups, asks)
}

/// The rows with these columns and, in a step of its own so that no model scores a row twice, the expressions of the spec.
fn evaluated(
    context: &SessionContext,
    view: &View<'_>,
    rows: DataFrame,
    columns: Vec<Expr>,
    inputs: &[Input],
) -> Result<DataFrame> {
    if !inputs.iter().any(is_sql) {
        return Ok(rows.select(columns)?);
    }
    let mut named = columns.iter().map(|column| ident(column.schema_name().to_string())).collect::<Vec<_>>();
    let rows = rows.select(columns.into_iter().chain(view.raw()).collect::<Vec<_>>())?;
    for (number, input) in inputs.iter().enumerate() {
        let Input::Sql { expression, side, noise, threshold } = input else { continue };
        let score = Input::Score { side: *side, noise: noise.clone(), output: 0 };
        let score = inputs.iter().position(|input| *input == score).context("an expression without its score")?;
        let value = view.sql(context, expression, &ident(input_name(score)), *threshold)?;
        named.push(value.alias(input_name(number)));
    }
    Ok(rows.select(named)?)
}

fn is_sql(input: &Input) -> bool {
    matches!(input, Input::Sql { .. })
}

/// A label that is none of the classes cannot be a number that a summary counts, so the smallest one is looked for beside
/// the summaries.
fn refuse_unknown_class(batches: &[RecordBatch]) -> Result<()> {
    let columns = batches.iter().filter_map(|batch| batch.column_by_name(UNKNOWN_CLASS));
    let labels = columns.flat_map(|column| column.as_string::<i32>().iter().flatten());
    match labels.min() {
        Some(label) => bail!("the label {} is none of `model.classes`", quoted(label)),
        None => Ok(()),
    }
}

fn union<'a>(groupings: impl Iterator<Item = &'a [Grouping]>) -> Vec<Grouping> {
    let mut all: Vec<Grouping> = groupings.flatten().cloned().collect();
    all.sort();
    all.dedup();
    all
}

fn distinct(asks: &[&SummaryAsk]) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    for input in asks.iter().flat_map(|ask| &ask.inputs) {
        if !inputs.contains(input) {
            inputs.push(input.clone());
        }
    }
    inputs
}

fn call(ask: &SummaryAsk, inputs: &[Input]) -> Result<Expr> {
    let numbers = ask.inputs.iter().filter_map(|input| inputs.iter().position(|known| known == input));
    let mut arguments: Vec<Expr> = numbers.map(|number| ident(input_name(number))).collect();
    arguments.push(lit(ask.params.as_str()));
    Ok(aggregate(ask.summary)?.call(arguments))
}

fn decode(batches: &[RecordBatch], groups: &Groups<'_>, asks: &[&SummaryAsk]) -> Result<Vec<States>> {
    let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
    ensure!(
        found <= MOST_GROUPS,
        "the slices cut the rows into {found} groups, more than {MOST_GROUPS}: slice by fewer values"
    );
    let mut states: Vec<States> = asks.iter().map(|_| States::new()).collect();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let Some((grouping, name)) = groups.of_row(batch, row) else { continue };
            for (number, ask) in asks.iter().enumerate() {
                if let (true, Some(answer)) =
                    (ask.groupings.contains(&grouping), batch.column_by_name(&answer_name(number)))
                {
                    states[number].insert((grouping.clone(), name.clone()), udaf::state(answer, row)?);
                }
            }
        }
    }
    Ok(states)
}

fn input_name(number: usize) -> String {
    format!("mg:input:{number}")
}

fn answer_name(number: usize) -> String {
    format!("mg:answer:{number}")
}

macro_rules! aggregates {
    ($($summary:ident),*) => {
        /// The aggregate of a summary by its name on the wire.
        fn aggregate(name: &str) -> Result<AggregateUDF> {
            match name {
                $(<$summary as Summary>::NAME => Ok(udaf::aggregate::<$summary>()),)*
                _ => bail!("there is no summary `{name}`"),
            }
        }
    };
}
crate::for_every_summary!(aggregates);
