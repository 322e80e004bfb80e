//! What the plots of a report show: ROC, calibration and the distribution of both models' scores on the same rows. Where
//! scores are in cells, a ROC curve goes through its points at their ends.

use anyhow::Result;
use serde::Serialize;

use crate::answers::Answers;
use crate::measure;
use crate::plan::{Ask, Grouping, Input, Plan, Ticket};
use crate::spec::written::Task;
use crate::stats::curve::{self, CalibrationBin, HistogramBin, RocPoint};
use crate::stats::sample::Sample;
use crate::summaries::rows::Columns;
use crate::summaries::{RankParams, Ranks};
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
    let params = RankParams::binned(columns.clone());
    let ticket = plan.summarise(&like.dataset, &params, like.inputs, &[Grouping::All])?;
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
    let exact = measure::sample(&ranks, columns);
    let [baseline, candidate] = if ranks.are_binned() {
        let models = measure::of_models(&ranks, columns);
        [0, 1].map(|number| models.get(number).map(|sample| curve(sample, 0)))
    } else {
        [0, 1].map(|number| Some(curve(&exact, number)))
    };
    Ok(baseline.zip(candidate).map(|(baseline, candidate)| Curves { dataset: dataset.clone(), baseline, candidate }))
}

fn curve(sample: &Sample, model: usize) -> Curve {
    Curve {
        roc: curve::roc(sample, model).ok(),
        calibration: curve::calibration(sample, model).unwrap_or_default(),
        histogram: curve::histogram(sample, model).unwrap_or_default(),
    }
}
