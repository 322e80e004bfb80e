//! The SQL conditions of a spec: checked before anything is read.

use anyhow::{Result, bail, ensure};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::prelude::SessionContext;

use crate::spec::problem::{nearest, quoted};

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

/// What is wrong with a condition, in our words where it is a column, else in DataFusion's.
fn plain(error: &DataFusionError) -> anyhow::Error {
    if let DataFusionError::SchemaError(schema, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        let known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
        let near = nearest(&field.name, known.iter().copied());
        let remedy =
            near.map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        return anyhow::anyhow!("there is no column {}; {remedy}", quoted(&field.name));
    }
    let text = error.strip_backtrace();
    anyhow::anyhow!("this is no SQL condition: {}", text.lines().next().unwrap_or_default())
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
