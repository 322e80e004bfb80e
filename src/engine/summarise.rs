//! All summaries asked of one dataset, in one scan.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::{Expr, LogicalPlan, ident, lit};
use datafusion::prelude::SessionContext;

use super::group;
use super::udaf::{self, Question, Questions};
use super::view::View;
use crate::plan::{Grouping, Input, SummaryAsk};
use crate::spec::problem::quoted;

/// The column of the answers.
const ANSWERS: &str = "mg:answers";

/// The label that is no class, among the columns and among the answers.
const UNKNOWN_CLASS: &str = "mg:unknown class";

/// The states of a summary by group.
pub(super) type States = BTreeMap<(Grouping, String), Vec<ArrayRef>>;

/// Answers all asks of one dataset, in one aggregation.
pub(super) async fn all(context: &SessionContext, view: &View<'_>, asks: &[&SummaryAsk]) -> Result<Vec<States>> {
    let groupings = union(asks);
    let batches = aggregated(context, view, asks, &groupings).await?.collect().await?;
    refuse_unknown_class(&batches)?;
    states(&batches, &groupings, asks)
}

/// The columns that answering reads.
pub(super) async fn columns(context: &SessionContext, view: &View<'_>, asks: &[&SummaryAsk]) -> Result<Vec<String>> {
    let plan = aggregated(context, view, asks, &union(asks)).await?.into_optimized_plan()?;
    let mut columns = BTreeSet::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            columns.extend(scan.projected_schema.fields().iter().map(|field| field.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns.into_iter().collect())
}

async fn aggregated(
    context: &SessionContext,
    view: &View<'_>,
    asks: &[&SummaryAsk],
    groupings: &[Grouping],
) -> Result<DataFrame> {
    let (rows, inputs) = (view.rows(context).await?, distinct(asks));
    let mut columns = Vec::new();
    for (number, input) in inputs.iter().enumerate().filter(|(_, input)| !is_sql(input)) {
        columns.push(view.input(input)?.alias(input_name(number)));
    }
    let mut arguments = (0..inputs.len()).map(|number| ident(input_name(number))).collect::<Vec<_>>();
    for (number, grouping) in groupings.iter().enumerate() {
        for (part, key) in group::columns(context, rows.schema(), view, grouping)?.into_iter().enumerate() {
            columns.push(key.alias(key_name(number, part)));
            arguments.push(ident(key_name(number, part)));
        }
    }
    // A projection needs a column even where a summary needs none.
    columns.push(lit(true).alias("mg:row"));
    let mut aggregates = vec![udaf::call(&questions(asks, &inputs, groupings), arguments)?.alias(ANSWERS)];
    let labelled = inputs.iter().any(|input| matches!(input, Input::Label | Input::MatureLabel { .. }));
    if let Some(unknown) = view.unknown_class()?.filter(|_| labelled) {
        columns.push(unknown.alias(UNKNOWN_CLASS));
        aggregates.push(min(ident(UNKNOWN_CLASS)).alias(UNKNOWN_CLASS));
    }
    let rows = evaluated(context, view, rows, columns, &inputs)?;
    Ok(rows.aggregate(Vec::new(), aggregates)?)
}

fn questions(asks: &[&SummaryAsk], inputs: &[Input], groupings: &[Grouping]) -> Questions {
    let place = |input: &Input| inputs.iter().position(|known| known == input);
    let question = |ask: &&SummaryAsk| Question {
        summary: ask.summary.to_owned(),
        params: ask.params.clone(),
        inputs: ask.inputs.iter().filter_map(place).collect(),
        groupings: (0..groupings.len()).filter(|number| ask.groupings.contains(&groupings[*number])).collect(),
    };
    Questions {
        inputs: inputs.len(),
        groupings: groupings.iter().map(group::keys).collect(),
        questions: asks.iter().map(question).collect(),
    }
}

fn states(batches: &[RecordBatch], groupings: &[Grouping], asks: &[&SummaryAsk]) -> Result<Vec<States>> {
    let mut states = vec![States::new(); asks.len()];
    for found in udaf::answers(batches, ANSWERS)? {
        let grouping = &groupings[found.grouping];
        let name = group::name(grouping, &found.key)?;
        states[found.question].insert((grouping.clone(), name), found.state);
    }
    Ok(states)
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

fn union(asks: &[&SummaryAsk]) -> Vec<Grouping> {
    let mut all: Vec<Grouping> = asks.iter().flat_map(|ask| &ask.groupings).cloned().collect();
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

fn input_name(number: usize) -> String {
    format!("mg:input:{number}")
}

fn key_name(number: usize, part: usize) -> String {
    format!("mg:key:{number}:{part}")
}
