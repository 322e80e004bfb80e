//! Whether models give a row the same score in any batch, tried on the first rows that a run scores.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use datafusion::arrow::compute::concat_batches;
use datafusion::logical_expr::ident;

use super::session::{self, Settings};
use crate::plan::{Ask, Input, Plan};
use crate::score::Live;
use crate::score::stability::{self, Unstable};
use crate::target::{Dataset, Side, Target};

/// What differs, of the models that a run has scored.
///
/// # Errors
/// When data cannot be read or a model cannot score it.
pub async fn unstable(target: &Target, plan: &Plan<'_>) -> Result<BTreeMap<Side, Unstable>> {
    let mut found = BTreeMap::new();
    for side in [Side::Baseline, Side::Candidate] {
        let Some(live) = target.judged(side).and_then(|judged| judged.scorer.live()) else { continue };
        let Some(dataset) = scored(plan, side) else { continue };
        let looked = look(target, live, target.dataset(dataset)?).await;
        let looked = looked.with_context(|| format!("the {side} cannot score rows of `{dataset}` again"))?;
        found.extend(looked.map(|unstable| (side, unstable)));
    }
    Ok(found)
}

/// The first dataset, by name, that a model scores.
fn scored<'p>(plan: &'p Plan<'_>, side: Side) -> Option<&'p str> {
    let asks = plan.asks().iter().filter_map(|ask| match ask {
        Ask::Summary(ask) => Some(ask),
        _ => None,
    });
    let of_side = |input: &Input| matches!(input, Input::Score { side: scored, .. } if *scored == side);
    asks.filter(|ask| ask.inputs.iter().any(of_side)).map(|ask| ask.dataset.as_str()).min()
}

/// Reads the first rows on one thread, so that they are the same ones in every run.
async fn look(target: &Target, live: &dyn Live, dataset: &Dataset) -> Result<Option<Unstable>> {
    let written = &target.spec.written;
    let (model, _) = live.tie(&written.model, &written.columns.features, &dataset.schema)?;
    let columns = model.columns().iter().map(ident).collect::<Vec<_>>();
    let rows = session::read(&session::open(&Settings::default()), &dataset.files).await?.select(columns)?;
    let batches = rows.limit(0, Some(stability::ROWS))?.collect().await?;
    let Some(first) = batches.first() else { return Ok(None) };
    let rows = concat_batches(&first.schema(), &batches)?;
    stability::look(model.as_ref(), rows.columns(), rows.num_rows())
}
