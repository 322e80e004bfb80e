//! The SQL conditions and expressions of a spec: untrusted text, checked before anything is read.

use anyhow::{Result, bail, ensure};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
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

/// Checks that an expression is a number of one row, the same on every run. Beside the columns it may name `names`.
///
/// # Errors
/// As [`check`], and when it gives no number.
pub fn check_number(context: &SessionContext, schema: &SchemaRef, names: &[&str], expression: &str) -> Result<()> {
    let schema = with_names(schema, names)?;
    let kind = parse(context, &schema, expression)?.get_type(&schema)?;
    ensure!(kind.is_numeric() || kind == DataType::Boolean, "it gives {kind}, where a number is needed");
    Ok(())
}

/// The columns of a dataset, and numbers by these names. A column of the same name is out of reach.
pub(super) fn with_names(schema: &SchemaRef, names: &[&str]) -> Result<DFSchema> {
    let columns = schema.fields().iter().filter(|field| !names.contains(&field.name().as_str()));
    let mut fields = columns.map(|field| field.as_ref().clone()).collect::<Vec<_>>();
    fields.extend(names.iter().map(|name| Field::new(*name, DataType::Float64, true)));
    Ok(DFSchema::try_from(Schema::new(fields))?)
}

/// The expression of a text.
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
        return anyhow::anyhow!("there is no column {}; {remedy}", quoted(&field.flat_name()));
    }
    let text = error.strip_backtrace();
    anyhow::anyhow!("this is no SQL expression: {}", text.lines().next().unwrap_or_default())
}

fn refuse_the_unrepeatable(expr: &Expr) -> Result<()> {
    let mut reason = None;
    expr.apply(|node| {
        reason = match node {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => Some("an aggregate looks beyond its row"),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                Some("a subquery looks beyond its row")
            }
            Expr::Unnest(_) => Some("an unnested list is more than one row"),
            Expr::ScalarVariable(..) | Expr::Placeholder(_) | Expr::OuterReferenceColumn(..) => {
                Some("a variable is no column of the row")
            }
            Expr::HigherOrderFunction(_) | Expr::Lambda(_) => Some("a function of functions cannot stand in a spec"),
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                Some("a function that changes from run to run cannot stand in a spec")
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
