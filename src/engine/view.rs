//! A dataset as the summaries see it: predictions joined, features disturbed, models scored, all as row-wise expressions.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::dataframe::DataFrame;
use datafusion::functions::expr_fn::{date_trunc, round};
use datafusion::functions_aggregate::expr_fn::{count, min};
use datafusion::logical_expr::{Expr, JoinType, cast, ident, lit, not, when};
use datafusion::prelude::SessionContext;

use super::cache::{Held, numbered};
use super::condition;
use super::functions::{Key, Noise as NoiseFunction, Opened, Output, Progress, Quantile, Score, Uniform};
use super::session;
use crate::plan::{DECISION, Input, Noise, SCORE, Window};
use crate::score::{Live, Predictions, Resampled, Scorer};
use crate::spec::written::{Columns, Model, Task};
use crate::stats::random;
use crate::target::{Dataset, Side, Target};

/// Makes the expressions of one dataset.
pub(super) struct View<'t> {
    target: &'t Target,
    dataset: &'t Dataset,
    progress: Arc<Progress>,
    held: &'t Held,
}

impl<'t> View<'t> {
    pub(super) fn new(target: &'t Target, dataset: &'t Dataset, progress: &Arc<Progress>, held: &'t Held) -> Self {
        Self { target, dataset, progress: Arc::clone(progress), held }
    }

    /// The rows, with the scores of predictions files beside them.
    pub(super) async fn rows(&self, context: &SessionContext) -> Result<DataFrame> {
        let mut frame = if self.held.is_empty() {
            session::read(context, &self.dataset.files).await?
        } else {
            numbered::read(context, &self.dataset.files).await?
        };
        for side in [Side::Baseline, Side::Candidate] {
            if let Some(Scorer::Predictions(predictions)) = self.target.judged(side).map(|judged| &judged.scorer) {
                let scores = scores_by_id(context, self.columns(), side, predictions).await?;
                let id = id(self.columns())?;
                frame = frame.join(scores, JoinType::Left, &[id], &[&joined_id(side)], None)?;
            }
        }
        Ok(frame)
    }

    /// The expression of an input.
    pub(super) fn input(&self, input: &Input) -> Result<Expr> {
        Ok(match input {
            Input::Label => self.label()?,
            Input::MatureLabel { window, embargo_days } => self.mature_label(*window, *embargo_days)?,
            Input::Score { side, noise, output } => self.score(*side, noise.as_ref(), *output)?,
            Input::Disturbed(noise) => self.disturbed(noise)?,
            Input::Entity => self.columns().entity.as_deref().map_or_else(|| lit(ScalarValue::UInt64(None)), key),
            Input::Weight => self.columns().weight.as_deref().map_or_else(|| lit(1.0), |weight| number(ident(weight))),
            Input::Group => self.columns().group.as_deref().map_or_else(|| lit(ScalarValue::UInt64(None)), key),
            Input::Sql { .. } => bail!("an expression stands beside the score that it may name"),
            Input::Number(column) => number(ident(column)),
            Input::Text(column) => cast(ident(column), DataType::Utf8),
            Input::Column(column) => ident(column),
        })
    }

    /// An SQL expression of the spec where `score` is a column that holds the score of a model.
    pub(super) fn sql(
        &self,
        context: &SessionContext,
        expression: &str,
        score: &Expr,
        threshold: Option<f64>,
    ) -> Result<Expr> {
        let decision = threshold.map(|threshold| when(score.clone().gt_eq(lit(threshold)), lit(1.0)));
        let decision =
            decision.map(|mut decided| decided.when(score.clone().is_not_null(), lit(0.0)).end()).transpose()?;
        let names = [(SCORE, Some(score.clone())), (DECISION, decision)];
        let names = names.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>();
        let known = names.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let parsed = condition::parse(context, &condition::with_names(&self.dataset.schema, &known)?, expression)?;
        // From the leaves up, so that a column of the data that is called `score` and holds the score stays what it is.
        let put = parsed.transform_up(|node| {
            let value = match &node {
                Expr::Column(column) => names.iter().find(|(name, _)| column.name == *name),
                _ => None,
            };
            Ok(value.map_or_else(|| Transformed::no(node.clone()), |(_, value)| Transformed::yes(value.clone())))
        })?;
        Ok(number(put.data))
    }

    /// The columns of the dataset as they are.
    pub(super) fn raw(&self) -> impl Iterator<Item = Expr> {
        self.dataset.schema.fields().iter().map(|field| ident(field.name()))
    }

    /// The first instant of a row's window.
    pub(super) fn window(&self, window: Window) -> Result<Expr> {
        let time = self.columns().time.as_deref().context("`columns.time` names the event time")?;
        Ok(date_trunc(lit(window.name()), instant(time)))
    }

    fn columns(&self) -> &'t Columns {
        &self.target.spec.written.columns
    }

    /// The label as a number: the index of the class in a multiclass task.
    fn label(&self) -> Result<Expr> {
        let label = &self.columns().label;
        if self.model().task != Task::Multiclass {
            return Ok(number(ident(label)));
        }
        let mut cases = when(self.is_class(0)?, lit(0.0));
        for class in 1..self.model().classes.len() {
            cases.when(self.is_class(class)?, lit(class as f64));
        }
        Ok(cases.end()?)
    }

    /// The label as text where it is none of the classes, else null; none in another task.
    pub(super) fn unknown_class(&self) -> Result<Option<Expr>> {
        if self.model().task != Task::Multiclass {
            return Ok(None);
        }
        let mut known = self.is_class(0)?;
        for class in 1..self.model().classes.len() {
            known = known.or(self.is_class(class)?);
        }
        Ok(Some(when(not(known), cast(ident(&self.columns().label), DataType::Utf8)).end()?))
    }

    /// Whether the label is a class: as text, or as a number where the column has fractions.
    fn is_class(&self, class: usize) -> Result<Expr> {
        let (label, class) = (&self.columns().label, self.model().classes[class].to_string());
        let kind = self.dataset.schema.field_with_name(label)?.data_type();
        Ok(match class.parse::<i64>() {
            Ok(class) if kind.is_floating() => number(ident(label)).eq(lit(class as f64)),
            _ => cast(ident(label), DataType::Utf8).eq(lit(class)),
        })
    }

    fn model(&self) -> &'t Model {
        &self.target.spec.written.model
    }

    fn mature_label(&self, window: Window, embargo_days: u32) -> Result<Expr> {
        let known_at =
            self.columns().known_at.as_deref().context("`columns.known_at` says when the label became known")?;
        let cut_off = self.window(window)? + lit(length(window)) + lit(days(embargo_days));
        Ok(when(instant(known_at).lt_eq(cut_off), self.label()?).end()?)
    }

    fn score(&self, side: Side, noise: Option<&Noise>, output: usize) -> Result<Expr> {
        let judged = self.target.judged(side).with_context(|| format!("the spec has no {side}"))?;
        Ok(match &judged.scorer {
            Scorer::Columns(columns) => {
                number(ident(columns.get(output).with_context(|| format!("the {side} has no score {output}"))?))
            }
            Scorer::Predictions(_) => number(ident(joined_score(side, output))),
            Scorer::Onnx(onnx) => self.live_score(side, onnx, noise, output)?,
            Scorer::Process(process) => self.live_score(side, process, noise, output)?,
            Scorer::Http(http) => self.live_score(side, http, noise, output)?,
            Scorer::Resampled(resampled) => self::resampled(resampled)?,
        })
    }

    /// The outputs of a model are parts of one expression, which the engine computes once for all of them.
    fn live_score(&self, side: Side, live: &dyn Live, noise: Option<&Noise>, output: usize) -> Result<Expr> {
        let (scores, outputs) = match self.held.find(side, noise) {
            Some(scores) => scores.function(),
            None => {
                if output == 0 {
                    self.progress.expect(self.dataset.rows);
                }
                self.outputs(side, live, noise)?
            }
        };
        Ok(if outputs == 1 { scores } else { Output::function().call(vec![scores, lit(output as u64)]) })
    }

    /// All outputs of a model, and how many they are.
    pub(super) fn outputs(&self, side: Side, live: &dyn Live, noise: Option<&Noise>) -> Result<(Expr, usize)> {
        let (bound, definition) = live.tie(self.model(), &self.columns().features, &self.dataset.schema)?;
        let outputs = bound.outputs();
        let features = bound.columns().iter().map(|column| self.feature(column, noise));
        let arguments = features.chain([definition.text().map(lit)]).collect::<Result<_>>()?;
        let function = Score::function(side, Arc::new(Opened(bound)), Arc::clone(&self.progress));
        Ok((function.call(arguments), outputs))
    }

    fn disturbed(&self, noise: &Noise) -> Result<Expr> {
        let mut changed = lit(false);
        for (column, _) in &noise.scale {
            changed = changed.or(ident(column).not_eq(self.feature(column, Some(noise))?));
        }
        Ok(number(changed))
    }

    fn feature(&self, column: &str, noise: Option<&Noise>) -> Result<Expr> {
        let clean = ident(column);
        let Some(noise) = noise else { return Ok(clean) };
        let Some((_, scale)) = noise.scale.iter().find(|(name, _)| name == column) else { return Ok(clean) };
        let stream = random::key(column.as_bytes());
        let noisy = NoiseFunction::function().call(vec![
            number(clean),
            key(id(self.columns())?),
            lit(*scale),
            lit(noise.seed),
            lit(stream),
        ]);
        let kind = self.dataset.schema.field_with_name(column)?.data_type();
        let noisy = if kind.is_integer() { round(vec![noisy]) } else { noisy };
        Ok(cast(noisy, kind.clone()))
    }
}

fn resampled(resampled: &Resampled) -> Result<Expr> {
    let drawn = |key: &str, seed: u64, stream: u64| Uniform::function().call(vec![ident(key), lit(seed), lit(stream)]);
    Ok(match resampled {
        Resampled::Exchanged { heads, tails, key, seed } => {
            when(drawn(key, *seed, 0).lt(lit(0.5)), number(ident(heads))).otherwise(number(ident(tails)))?
        }
        Resampled::Replaced { column, share, pool, key, seed } => {
            let replaced = ident(column).is_not_null().and(drawn(key, *seed, 0).lt(lit(*share)));
            let other = Quantile::function(Arc::clone(pool)).call(vec![drawn(key, *seed, 1)]);
            when(replaced, other).otherwise(number(ident(column)))?
        }
    })
}

/// The scores of a predictions file by id. An id that stands there more than once has no score: which one would it be?
async fn scores_by_id(
    context: &SessionContext,
    columns: &Columns,
    side: Side,
    predictions: &Predictions,
) -> Result<DataFrame> {
    let id = id(columns)?;
    let frame = session::read(context, &predictions.files).await?;
    let mut found = vec![count(lit(1)).alias("mg:times")];
    let mut selected = vec![ident(id).alias(joined_id(side))];
    for (output, score) in predictions.scores.iter().enumerate() {
        let name = format!("mg:score:{output}");
        found.push(min(ident(score)).alias(&name));
        let single = when(ident("mg:times").eq(lit(1)), ident(&name)).end()?;
        selected.push(single.alias(joined_score(side, output)));
    }
    let unique = frame.filter(ident(id).is_not_null())?.aggregate(vec![ident(id)], found)?;
    Ok(unique.select(selected)?)
}

pub(super) fn id(columns: &Columns) -> Result<&str> {
    columns.id.as_deref().context("`columns.id` must name the column that identifies a row")
}

fn joined_id(side: Side) -> String {
    format!("mg:id:{side}")
}

fn joined_score(side: Side, output: usize) -> String {
    format!("mg:score:{side}:{output}")
}

fn number(expr: Expr) -> Expr {
    cast(expr, DataType::Float64)
}

pub(super) fn key(column: &str) -> Expr {
    Key::function().call(vec![ident(column)])
}

fn instant(column: &str) -> Expr {
    cast(ident(column), DataType::Timestamp(TimeUnit::Microsecond, None))
}

fn length(window: Window) -> ScalarValue {
    let (months, days) = match window {
        Window::Day => (0, 1),
        Window::Week => (0, 7),
        Window::Month => (1, 0),
        Window::Quarter => (3, 0),
        Window::Year => (12, 0),
    };
    ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, 0)))
}

fn days(days: u32) -> ScalarValue {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, days, 0)))
}
