//! Ways of grouping rows: their key columns, and the names of their groups.

use anyhow::Result;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::SessionContext;

use super::condition;
use super::table::read_key;
use super::udaf::Keys;
use super::view::View;
use crate::plan::{Grouping, Window};

/// What the rows of a group of this grouping have in common.
pub(super) fn keys(grouping: &Grouping) -> Keys {
    match grouping {
        Grouping::All => Keys::Columns(0),
        Grouping::By(columns) => Keys::Columns(columns.len()),
        Grouping::Where { .. } => Keys::Condition,
        Grouping::Windows(_) => Keys::Columns(1),
    }
}

/// The row-wise values to group by.
pub(super) fn columns(
    context: &SessionContext,
    schema: &DFSchema,
    view: &View<'_>,
    grouping: &Grouping,
) -> Result<Vec<Expr>> {
    Ok(match grouping {
        Grouping::All => Vec::new(),
        Grouping::By(columns) => columns.iter().map(ident).collect(),
        Grouping::Where { condition, .. } => {
            vec![coalesce(vec![condition::parse(context, schema, condition)?, lit(false)])]
        }
        Grouping::Windows(window) => vec![cast(view.window(*window)?, DataType::Date32)],
    })
}

/// The name of the group with a key.
pub(super) fn name(grouping: &Grouping, key: &str) -> Result<String> {
    let values = read_key(key)?;
    Ok(match grouping {
        Grouping::All => "all".to_owned(),
        Grouping::Where { name, .. } => name.clone(),
        Grouping::Windows(window) => match values.into_iter().flatten().next() {
            Some(date) => short(*window, &date),
            None => "no time".to_owned(),
        },
        Grouping::By(columns) => {
            let part = |(column, value): (&String, Option<String>)| match value {
                Some(value) => format!("{column}={value}"),
                None => format!("{column} is null"),
            };
            columns.iter().zip(values).map(part).collect::<Vec<_>>().join(",")
        }
    })
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
