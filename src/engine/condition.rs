//! The SQL conditions of a spec: checked before anything is read.

use anyhow::{Result, bail, ensure};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::prelude::SessionContext;

/// Checks that a condition is a truth about one row, the same on every run.
///
/// # Errors
/// When it is no SQL, names a column that is not there, looks beyond its row, or may change from run to run.
pub fn check(context: &SessionContext, schema: &SchemaRef, condition: &str) -> Result<()> {
    let schema = DFSchema::try_from(schema.as_ref().clone())?;
    let expr = parse(context, &schema, condition)?;
    let kind = expr.get_type(&schema)?;
    ensure!(kind == DataType::Boolean, "it gives {kind}, where true or false is needed");
    Ok(())
}

/// The expression of a condition.
pub(super) fn parse(context: &SessionContext, schema: &DFSchema, condition: &str) -> Result<Expr> {
    let expr = context.parse_sql_expr(condition, schema).map_err(|error| plain(&error))?;
    refuse_the_unrepeatable(&expr)?;
    Ok(expr)
}

/// DataFusion's message without its list of every field that there is.
fn plain(error: &datafusion::error::DataFusionError) -> anyhow::Error {
    let text = error.strip_backtrace();
    let first = text.lines().next().unwrap_or_default();
    let short = first.split("Valid fields are").next().unwrap_or(first);
    anyhow::anyhow!("{}", short.trim_end().trim_end_matches('.'))
}

fn refuse_the_unrepeatable(expr: &Expr) -> Result<()> {
    let mut reason = None;
    expr.apply(|node| {
        reason = match node {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => Some("an aggregate looks beyond its row"),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => Some("a subquery looks beyond its row"),
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                Some("a function that changes from run to run cannot define a slice")
            }
            _ => None,
        };
        Ok(if reason.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    match reason {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}
