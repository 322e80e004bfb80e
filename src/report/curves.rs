//! What the plots of a report show: ROC, calibration and the distribution of both models' scores on the same rows.

use anyhow::Result;
use serde::Serialize;

use crate::answers::Answers;
use crate::measure;
use crate::plan::{Ask, Grouping, Input, Plan, Ticket};
use crate::spec::written::Task;
use crate::stats::curve::{self, CalibrationBin, HistogramBin, RocPoint};
use crate::summaries::Ranks;
use crate::summaries::rows::Columns;
use crate::target::Side;

/// The curves of both models on the rows of one dataset.
#[derive(Debug, Clone, Serialize)]
pub struct Curves {
    /// The dataset.
    pub dataset: String,
    /// The baseline's.
    pub baseline: Curve,
    /// The candidate's.
    pub candidate: Curve,
}

/// The curves of one model.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// The receiver operating characteristic; absent where only one class is there.
    pub roc: Option<Vec<RocPoint>>,
    /// Predicted against observed.
    pub calibration: Vec<CalibrationBin>,
    /// The distribution of the scores by class.
    pub histogram: Vec<HistogramBin>,
}

/// A question about curves.
#[derive(Debug)]
pub struct Asked {
    dataset: String,
    columns: Columns,
    ticket: Ticket<Ranks>,
}

/// Asks for the curves of the first dataset on which the checks compare labelled scores. Costs no scan of its own.
///
/// # Errors
/// When the ask cannot be written.
pub fn ask(plan: &mut Plan<'_>) -> Result<Option<Asked>> {
    if plan.model().task != Task::Binary {
        return Ok(None);
    }
    let scores = [Side::Baseline, Side::Candidate].map(|side| Input::Score { side, noise: None, output: 0 });
    let compares = |inputs: &[Input]| matches!(inputs, [Input::Label, first, second, ..] if *first == scores[0] && *second == scores[1]);
    let found = plan.asks().iter().find_map(|ask| match ask {
        Ask::Summary(ask) if compares(&ask.inputs) => Some(ask.clone()),
        _ => None,
    });
    let Some(mut like) = found else { return Ok(None) };
    like.inputs.retain(|input| !matches!(input, Input::Sql { .. }));
    let columns: Columns = serde_json::from_str(&like.params)?;
    let ticket = plan.summarise(&like.dataset, &columns, like.inputs, &[Grouping::All])?;
    Ok(Some(Asked { dataset: like.dataset, columns, ticket }))
}

/// Draws what was asked for.
///
/// # Errors
/// When the answer is not there.
pub fn draw(asked: Option<&Asked>, answers: &Answers) -> Result<Option<Curves>> {
    let Some(Asked { dataset, columns, ticket }) = asked else { return Ok(None) };
    let ranks = answers.summary(ticket)?.all();
    if ranks.rows().used == 0 {
        return Ok(None);
    }
    let sample = measure::sample(&ranks, columns);
    let model = |number| Curve {
        roc: curve::roc(&sample, number).ok(),
        calibration: curve::calibration(&sample, number).unwrap_or_default(),
        histogram: curve::histogram(&sample, number).unwrap_or_default(),
    };
    Ok(Some(Curves { dataset: dataset.clone(), baseline: model(0), candidate: model(1) }))
}
