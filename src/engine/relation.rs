//! Relations between datasets: exact counts over all rows, never over a sample.

use anyhow::{Context, Result};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::NullEquality;
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlanBuilder, cast, ident, lit};
use datafusion::prelude::SessionContext;

use super::{session, view};
use crate::answers::{Joined, Overlap};
use crate::plan::OverlapAsk;
use crate::score::Scorer;
use crate::target::{Files, Side, Target};

/// Shared keys shown in a report.
const EXAMPLES: usize = 3;

/// Counts the rows of one dataset whose key stands in another.
pub(super) async fn overlap(context: &SessionContext, target: &Target, ask: &OverlapAsk) -> Result<Overlap> {
    let fresh = target.dataset(&ask.fresh)?;
    let rows = keys(context, &fresh.files, &ask.key, "fresh").await?;
    let seen_rows = target.dataset(&ask.seen)?.rows;
    let seen = keys(context, &target.dataset(&ask.seen)?.files, &ask.key, "seen").await?;
    let shared = matched(context, rows, seen, ask)?;
    let key: Vec<Expr> = (0..ask.key.len()).map(|part| ident(part_name("fresh", part))).collect();
    let by_key = shared.aggregate(key.clone(), vec![count(lit(1)).alias("mg:rows")])?;
    let counts =
        by_key.clone().aggregate(vec![], vec![count(lit(1)).alias("keys"), sum(ident("mg:rows")).alias("rows")])?;
    let examples = by_key
        .sort(key.iter().map(|part| part.clone().sort(true, false)).collect())?
        .limit(0, Some(EXAMPLES))?
        .select(key.into_iter().map(|part| cast(part, DataType::Utf8)).collect::<Vec<_>>())?;
    Ok(Overlap {
        rows: fresh.rows,
        seen_rows,
        shared_keys: number(&counts, "keys").await?,
        shared_rows: number(&counts, "rows").await?,
        examples: texts(examples).await?,
    })
}

async fn keys(context: &SessionContext, files: &Files, key: &[String], side: &str) -> Result<DataFrame> {
    let named: Vec<Expr> =
        key.iter().enumerate().map(|(part, column)| ident(column).alias(part_name(side, part))).collect();
    Ok(session::read(context, files).await?.select(named)?)
}

fn matched(context: &SessionContext, rows: DataFrame, seen: DataFrame, ask: &OverlapAsk) -> Result<DataFrame> {
    let names = |side| (0..ask.key.len()).map(|part| part_column(side, part)).collect::<Vec<_>>();
    let nulls = if ask.null_equals_null { NullEquality::NullEqualsNull } else { NullEquality::NullEqualsNothing };
    let plan = LogicalPlanBuilder::from(rows.into_unoptimized_plan())
        .join_detailed(seen.into_unoptimized_plan(), JoinType::LeftSemi, (names("fresh"), names("seen")), None, nulls)?
        .build()?;
    Ok(DataFrame::new(context.state(), plan))
}

/// Counts how a predictions file matches the datasets that it scores.
pub(super) async fn joined(
    context: &SessionContext,
    target: &Target,
    side: Side,
    datasets: &[String],
) -> Result<Joined> {
    let judged = target.judged(side).with_context(|| format!("the spec has no {side}"))?;
    let Scorer::Predictions(predictions) = &judged.scorer else { return Ok(Joined::default()) };
    let id = view::id(&target.spec.written.columns)?;
    let key = [id.to_owned()];
    let scored = keys(context, &predictions.files, &key, "scored").await?;
    let mut extra = scored.clone();
    let mut missing = 0;
    for name in datasets {
        let rows = keys(context, &target.dataset(name)?.files, &key, "row").await?;
        let (row, file) = ([part_name("row", 0)], [part_name("scored", 0)]);
        let (row, file) = ([row[0].as_str()], [file[0].as_str()]);
        missing += rows.clone().join(scored.clone(), JoinType::LeftAnti, &row, &file, None)?.count().await? as u64;
        extra = extra.join(rows, JoinType::LeftAnti, &file, &row, None)?;
    }
    let duplicate = scored
        .aggregate(vec![ident(part_name("scored", 0))], vec![count(lit(1)).alias("mg:times")])?
        .filter(ident("mg:times").gt(lit(1)))?;
    Ok(Joined { missing, extra: extra.count().await? as u64, duplicate: duplicate.count().await? as u64 })
}

fn part_name(side: &str, part: usize) -> String {
    format!("mg:{side}:{part}")
}

fn part_column(side: &str, part: usize) -> datafusion::common::Column {
    datafusion::common::Column::from_name(part_name(side, part))
}

async fn number(frame: &DataFrame, column: &str) -> Result<u64> {
    let batches = frame.clone().collect().await?;
    let value =
        batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| batch.column_by_name(column).cloned());
    let value = value.context("a count came back empty")?;
    let value = value.as_primitive::<Int64Type>();
    Ok(if value.is_null(0) { 0 } else { u64::try_from(value.value(0))? })
}

async fn texts(frame: DataFrame) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for batch in frame.collect().await? {
        for row in 0..batch.num_rows() {
            let parts = batch.columns().iter().map(|column| {
                let column = column.as_string::<i32>();
                if column.is_valid(row) { column.value(row).to_owned() } else { "null".to_owned() }
            });
            texts.push(parts.collect::<Vec<_>>().join(", "));
        }
    }
    Ok(texts)
}
