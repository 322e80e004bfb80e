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

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod condition;
pub mod functions;
mod group;
mod relation;
pub mod scored;
pub mod session;
mod summarise;
mod udaf;
mod view;

pub use functions::Progress;

/// Answers everything that the plan asks and has no answer yet.
///
/// # Errors
/// When data cannot be read, a model cannot score, or a summary cannot take in its columns.
pub async fn answer(
    context: &SessionContext,
    target: &Target,
    plan: &Plan<'_>,
    progress: &Arc<Progress>,
) -> Result<Answers> {
    let mut answers = Answers::default();
    for (dataset, asks) in by_dataset(plan) {
        let summaries: Vec<&SummaryAsk> = asks.iter().map(|(_, ask)| *ask).collect();
        let groups = summarise::all(context, target, dataset, &summaries, progress)
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

fn by_dataset<'p>(plan: &'p Plan<'_>) -> BTreeMap<&'p str, Vec<(usize, &'p SummaryAsk)>> {
    let mut datasets: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (number, ask) in plan.open() {
        if let Ask::Summary(ask) = ask {
            datasets.entry(ask.dataset.as_str()).or_default().push((number, ask));
        }
    }
    datasets
}
