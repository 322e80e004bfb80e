//! `leakage.overlap`: rows of one dataset that the other has seen.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, Overlap};
use crate::check::{Check, Refusal};
use crate::checks::shared;
use crate::evidence::{Evidence, Finding, Subject, allowed};
use crate::plan::{OverlapAsk, OverlapTicket, Plan};
use crate::spec::limit::Amount;
use crate::spec::problem::{Path, Problem};

/// Two datasets share no id, no entity and no feature row.
///
/// # What it does
/// Counts the rows of the second dataset whose key occurs in the first, for each kind of key: the same `id`, the same
/// `entity`, the same values of all `features`. Over all rows of both, never over a sample. It fails when their share is
/// above `max_share`.
///
/// # Why it matters
/// A row that the model was trained on says nothing about rows it was not. Shared rows make every metric look better than
/// production will be, and the larger model, which remembers more, wins the comparison for the wrong reason.
///
/// # What it assumes
/// Nothing: it counts. A null id or entity equals no other; in a feature row, a null equals a null. Where entities return
/// by nature, as aircraft do, leave `entity` out of `on` and let `columns.entity` widen the intervals instead.
///
/// # Example
/// ```yaml
/// - leakage.overlap: { between: [train, test], on: [id, features] }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeakageOverlap {
    /// The dataset that was seen, usually the training data, and the one that must be fresh.
    pub between: [String; 2],
    /// The keys to compare. Without it, every kind of key that `columns` declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1))]
    pub on: Option<Vec<Key>>,
    /// The largest share of rows that may have been seen.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_share: f64,
}

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The row itself.
    Id,
    /// What the row belongs to.
    Entity,
    /// Everything that the model sees.
    Features,
}

impl Key {
    const ALL: [Self; 3] = [Self::Id, Self::Entity, Self::Features];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Entity => "entity",
            Self::Features => "features",
        }
    }

    fn columns(self, plan: &Plan<'_>) -> Vec<String> {
        let columns = plan.columns();
        match self {
            Self::Id => columns.id.iter().cloned().collect(),
            Self::Entity => columns.entity.iter().cloned().collect(),
            Self::Features => columns.features.clone(),
        }
    }
}

impl Check for LeakageOverlap {
    const NAME: &'static str = "leakage.overlap";
    type Asked = Vec<(Key, OverlapTicket)>;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        self.between.iter().map(|name| ("between", name.as_str())).collect()
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Self::Asked, Refusal> {
        let [seen, fresh] = &self.between;
        if seen == fresh {
            return Err(Problem::value(&plan.at("between"), "a dataset always overlaps with itself").into());
        }
        let mut asked = Vec::new();
        for key in self.keys(plan)? {
            let columns = key.columns(plan);
            for (name, dataset) in columns.iter().flat_map(|name| [(name, seen), (name, fresh)]) {
                shared::column(plan, dataset, name, &Path::root().key("columns").key(key.name()))?;
            }
            let ask = OverlapAsk {
                seen: seen.clone(),
                fresh: fresh.clone(),
                key: columns,
                null_equals_null: key == Key::Features,
            };
            asked.push((key, plan.overlap(ask)));
        }
        Ok(asked)
    }

    fn judge(&self, asked: &Self::Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        asked.iter().map(|(key, ticket)| Ok(self.claim(*key, answers.overlap(ticket)?))).collect()
    }
}

impl LeakageOverlap {
    fn keys(&self, plan: &Plan<'_>) -> Result<Vec<Key>, Problem> {
        let declared = |key: &Key| !key.columns(plan).is_empty();
        let Some(named) = &self.on else {
            let keys: Vec<Key> = Key::ALL.into_iter().filter(declared).collect();
            let nothing = || Problem::key(plan.here(), "there is no key to compare").remedy("declare `columns.id`");
            return if keys.is_empty() { Err(nothing()) } else { Ok(keys) };
        };
        match named.iter().position(|key| !declared(key)) {
            None => Ok(named.clone()),
            Some(index) => {
                let name = named[index].name();
                let problem = Problem::value(&plan.at("on").index(index), format!("`columns.{name}` is not declared"));
                Err(problem.remedy(format!("declare `columns.{name}`, or remove `{name}` here")))
            }
        }
    }

    fn claim(&self, key: Key, overlap: &Overlap) -> Evidence {
        let [seen, fresh] = &self.between;
        let subject = Subject::all(fresh, key.name());
        let limits = allowed("max_share", Amount::Absolute(self.max_share));
        if overlap.rows == 0 || overlap.seen_rows == 0 {
            let empty = if overlap.rows == 0 { fresh } else { seen };
            let reason = format!("dataset `{empty}` has no rows");
            return Evidence::new(subject, limits, Finding::Undecided { reason, needs_rows: None });
        }
        let holds = overlap.shared_rows as f64 <= self.max_share * overlap.rows as f64;
        let what = if key == Key::Features { "feature row" } else { key.name() };
        let reason = format!("{} of {} rows have a {what} that `{seen}` has too", overlap.shared_rows, overlap.rows);
        let finding = Finding::Fact { holds, reason: (!holds).then_some(reason) };
        let mut evidence = Evidence::new(subject, limits, finding);
        evidence.rows = overlap.rows;
        evidence
            .detail("shared_rows", overlap.shared_rows)
            .detail("shared_keys", overlap.shared_keys)
            .detail("examples", overlap.examples.clone())
    }
}
