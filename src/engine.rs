//! The engine: one Apache DataFusion session that answers the asks of a plan.
//!
//! Only this module runs queries. One scan of a dataset answers all summaries asked of it in a round.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use datafusion::prelude::SessionContext;

use crate::answers::{Answer, Answers};
use crate::plan::{Ask, Plan, SummaryAsk};
use crate::target::Target;

mod cache;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod condition;
pub mod functions;
mod group;
mod memory;
mod relation;
pub mod scored;
pub mod session;
mod stability;
mod summarise;
mod table;
mod together;
mod udaf;
mod view;
mod waiting;

pub use cache::{CHECKED, Cache, MOST_BYTES, Refused, Used};
pub use functions::Progress;
pub use memory::Memory;
pub use stability::unstable;

use cache::Held;
use view::View;

/// Answers everything that the plan asks and has no answer yet.
///
/// # Errors
/// When data cannot be read, a model cannot score, a summary cannot take in its columns, or memory does not suffice.
pub async fn answer(
    context: &SessionContext,
    target: &Target,
    plan: &Plan<'_>,
    cache: Option<&Cache>,
    progress: &Arc<Progress>,
) -> Result<Answers> {
    answers(context, target, plan, cache, progress).await.map_err(memory::remedied)
}

async fn answers(
    context: &SessionContext,
    target: &Target,
    plan: &Plan<'_>,
    cache: Option<&Cache>,
    progress: &Arc<Progress>,
) -> Result<Answers> {
    let mut answers = Answers::default();
    for (dataset, asks) in by_dataset(plan) {
        let summaries: Vec<&SummaryAsk> = asks.iter().map(|(_, ask)| *ask).collect();
        let held = held(context, target, dataset, &summaries, cache, progress)
            .await
            .with_context(|| format!("dataset `{dataset}` could not be scored"))?;
        let view = View::new(target, target.dataset(dataset)?, progress, &held);
        let groups = summarise::all(context, &view, &summaries)
            .await
            .with_context(|| format!("dataset `{dataset}` could not be summarised"))?;
        for ((number, _), answer) in asks.iter().zip(groups) {
            answers.insert(*number, Answer::Summary(answer));
        }
    }
    for (number, ask) in plan.open() {
        match ask {
            Ask::Summary(_) => {}
            Ask::Overlap(ask) => {
                answers.insert(number, Answer::Overlap(relation::overlap(context, target, ask).await?));
            }
            Ask::Joined { side, datasets } => {
                answers.insert(number, Answer::Joined(relation::joined(context, target, *side, datasets).await?));
            }
        }
    }
    Ok(answers)
}

/// The columns that are read of each dataset, and of predictions beside it, to answer what the plan asks.
///
/// # Errors
/// When data cannot be opened, or a model cannot be bound to it.
pub async fn columns(
    context: &SessionContext,
    target: &Target,
    plan: &Plan<'_>,
) -> Result<BTreeMap<String, Vec<String>>> {
    let (held, progress) = (Held::default(), Arc::new(Progress::default()));
    let mut columns = BTreeMap::new();
    for (dataset, asks) in by_dataset(plan) {
        let summaries: Vec<&SummaryAsk> = asks.iter().map(|(_, ask)| *ask).collect();
        let view = View::new(target, target.dataset(dataset)?, &progress, &held);
        columns.insert(dataset.to_owned(), summarise::columns(context, &view, &summaries).await?);
    }
    Ok(columns)
}

/// The scores that need no model, if there is a cache of them.
async fn held(
    context: &SessionContext,
    target: &Target,
    dataset: &str,
    asks: &[&SummaryAsk],
    cache: Option<&Cache>,
    progress: &Arc<Progress>,
) -> Result<Held> {
    let Some(cache) = cache else { return Ok(Held::default()) };
    let inputs = asks.iter().flat_map(|ask| &ask.inputs);
    cache.hold(context, target, target.dataset(dataset)?, inputs, progress).await
}

fn by_dataset<'p>(plan: &'p Plan<'_>) -> BTreeMap<&'p str, Vec<(usize, &'p SummaryAsk)>> {
    let mut datasets: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (number, ask) in plan.open() {
        if let Ask::Summary(ask) = ask {
            datasets.entry(ask.dataset.as_str()).or_default().push((number, ask));
        }
    }
    datasets
}
