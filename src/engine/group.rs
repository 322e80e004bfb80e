//! Grouping rows: one set of columns for each declared way, all answered by one aggregation.

use anyhow::{Result, ensure};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::DFSchema;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::grouping as grouped_away;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::SessionContext;

use super::condition;
use super::view::View;
use crate::plan::{Grouping, Window};

/// Cuts a list of groupings so that no part groups by more than so many columns.
pub(super) fn apart(groupings: &[Grouping], most: usize) -> Result<Vec<&[Grouping]>> {
    let (mut parts, mut start, mut columns) = (Vec::new(), 0, 0);
    for (at, grouping) in groupings.iter().enumerate() {
        let width = width(grouping);
        ensure!(width <= most, "the slice `{grouping}` is by {width} columns, and at most {most} are possible");
        if columns + width > most {
            parts.push(&groupings[start..at]);
            (start, columns) = (at, 0);
        }
        columns += width;
    }
    parts.push(&groupings[start..]);
    Ok(parts)
}

/// The columns that group rows, for a list of groupings.
pub(super) struct Groups<'g> {
    groupings: &'g [Grouping],
}

impl<'g> Groups<'g> {
    pub(super) fn new(groupings: &'g [Grouping]) -> Self {
        Self { groupings }
    }

    /// The row-wise values to group by, named.
    pub(super) fn columns(&self, context: &SessionContext, schema: &DFSchema, view: &View<'_>) -> Result<Vec<Expr>> {
        let mut columns = Vec::new();
        for (number, grouping) in self.groupings.iter().enumerate() {
            let values = values(context, schema, view, grouping)?;
            columns.extend(values.into_iter().enumerate().map(|(part, value)| value.alias(name(number, part))));
        }
        Ok(columns)
    }

    /// The sets to group by; none when all rows are one group.
    pub(super) fn sets(&self) -> Vec<Vec<Expr>> {
        if self.groupings.iter().all(|grouping| *grouping == Grouping::All) {
            return Vec::new();
        }
        let set = |(number, grouping)| (0..width(grouping)).map(|part| ident(name(number, part))).collect();
        self.groupings.iter().enumerate().map(set).collect()
    }

    /// Tells for each grouping whether an answer row belongs to it.
    pub(super) fn flags(&self) -> Vec<Expr> {
        let numbered = self.groupings.iter().enumerate();
        numbered
            .filter(|(_, grouping)| width(grouping) > 0)
            .map(|(number, _)| grouped_away(ident(name(number, 0))).alias(flag(number)))
            .collect()
    }

    /// The group that a row of the answer is about; nothing where the row is a condition not met.
    pub(super) fn of_row(&self, batch: &RecordBatch, row: usize) -> Option<(Grouping, String)> {
        for (number, grouping) in self.groupings.iter().enumerate() {
            let belongs = batch
                .column_by_name(&flag(number))
                .is_some_and(|flag| flag.as_primitive::<Int32Type>().value(row) == 0);
            if belongs {
                return group_name(batch, row, number, grouping).map(|name| (grouping.clone(), name));
            }
        }
        Some((Grouping::All, "all".to_owned()))
    }
}

fn values(context: &SessionContext, schema: &DFSchema, view: &View<'_>, grouping: &Grouping) -> Result<Vec<Expr>> {
    Ok(match grouping {
        Grouping::All => Vec::new(),
        Grouping::By(columns) => columns.iter().map(|column| cast(ident(column), DataType::Utf8)).collect(),
        Grouping::Where { condition, .. } => {
            let met = condition::parse(context, schema, condition)?;
            vec![cast(coalesce(vec![met, lit(false)]), DataType::Utf8)]
        }
        Grouping::Windows(window) => vec![cast(cast(view.window(*window)?, DataType::Date32), DataType::Utf8)],
    })
}

fn group_name(batch: &RecordBatch, row: usize, number: usize, grouping: &Grouping) -> Option<String> {
    let text = |part: usize| -> Option<String> {
        let column = batch.column_by_name(&name(number, part))?.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    match grouping {
        Grouping::All => Some("all".to_owned()),
        Grouping::Where { name, .. } => (text(0).as_deref() == Some("true")).then(|| name.clone()),
        Grouping::Windows(window) => Some(text(0).map_or_else(|| "no time".to_owned(), |date| short(*window, &date))),
        Grouping::By(columns) => {
            let parts = columns.iter().enumerate().map(|(part, column)| match text(part) {
                Some(value) => format!("{column}={value}"),
                None => format!("{column} is null"),
            });
            Some(parts.collect::<Vec<_>>().join(","))
        }
    }
}

/// The name of a window: as much of its first date as is needed.
fn short(window: Window, date: &str) -> String {
    let kept = match window {
        Window::Year => date.get(..4),
        Window::Month | Window::Quarter => date.get(..7),
        Window::Week | Window::Day => Some(date),
    };
    kept.unwrap_or(date).to_owned()
}

fn width(grouping: &Grouping) -> usize {
    match grouping {
        Grouping::All => 0,
        Grouping::By(columns) => columns.len(),
        Grouping::Where { .. } | Grouping::Windows(_) => 1,
    }
}

fn name(number: usize, part: usize) -> String {
    format!("mg:group:{number}:{part}")
}

fn flag(number: usize) -> String {
    format!("mg:grouped:{number}")
}
