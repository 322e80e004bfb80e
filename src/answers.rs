//! The answers of the engine, redeemed by the tickets of the plan.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use arrow::array::ArrayRef;

use crate::plan::{Grouping, JoinedTicket, OverlapTicket, Ticket};
use crate::summary::Summary;

/// The answer to one ask.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The states of a summary by group, each array of length one.
    Summary(BTreeMap<(Grouping, String), Vec<ArrayRef>>),
    /// Rows counted by whether their key was seen elsewhere.
    Overlap(Overlap),
    /// How a predictions file matches.
    Joined(Joined),
}

/// Rows of one dataset counted by whether their key stands in another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlap {
    /// All rows.
    pub rows: u64,
    /// Rows of the dataset whose keys were looked for.
    pub seen_rows: u64,
    /// Rows whose key was seen.
    pub shared_rows: u64,
    /// Distinct keys that were seen.
    pub shared_keys: u64,
    /// The smallest shared keys, for the report.
    pub examples: Vec<String>,
}

/// How a predictions file matches the datasets that it scores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// Rows of the datasets without a prediction.
    pub missing: u64,
    /// Ids in the file that no dataset has.
    pub extra: u64,
    /// Ids that stand in the file more than once; their rows have no score.
    pub duplicate: u64,
}

/// All answers so far.
#[derive(Debug, Default)]
pub struct Answers {
    by_ask: BTreeMap<usize, Answer>,
    /// What was made of an answer, for all who ask for it.
    made: Mutex<BTreeMap<(usize, TypeId), Arc<dyn Any + Send + Sync>>>,
}

/// The answer to one summary ask, read.
#[derive(Debug, Clone)]
pub struct Groups<S> {
    groups: BTreeMap<(Grouping, String), Arc<S>>,
}

impl Answers {
    /// Takes in the answer to ask number `ask`.
    pub fn insert(&mut self, ask: usize, answer: Answer) {
        self.by_ask.insert(ask, answer);
    }

    /// Takes in the answers of another round.
    pub fn extend(&mut self, other: Self) {
        self.by_ask.extend(other.by_ask);
    }

    /// The summaries of an ask, by group. They are read once, however often they are asked for.
    ///
    /// # Errors
    /// When the ask was not answered, or its state cannot be read.
    pub fn summary<S: Summary>(&self, ticket: &Ticket<S>) -> Result<Arc<Groups<S>>> {
        self.made_of(ticket.ask, || self.read(ticket))
    }

    /// What `make` makes of the answer to an ask, made once for all who ask for the like.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn made_of<T: Any + Send + Sync>(&self, ask: usize, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let key = (ask, TypeId::of::<T>());
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made().get(&key).cloned().and_then(|known| known.downcast::<T>().ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let new = Arc::new(make()?);
        made().insert(key, Arc::<T>::clone(&new));
        Ok(new)
    }

    fn read<S: Summary>(&self, ticket: &Ticket<S>) -> Result<Groups<S>> {
        let Some(Answer::Summary(states)) = self.by_ask.get(&ticket.ask) else {
            bail!("the engine gave no answer to ask {} for `{}`", ticket.ask, S::NAME)
        };
        let groups = states
            .iter()
            .map(|(group, state)| Ok((group.clone(), Arc::new(S::read(state, 0)?))))
            .collect::<Result<_>>()
            .with_context(|| format!("the answer to ask {} is no `{}`", ticket.ask, S::NAME))?;
        Ok(Groups { groups })
    }

    /// The answer to an overlap ask.
    ///
    /// # Errors
    /// When the ask was not answered.
    pub fn overlap(&self, ticket: &OverlapTicket) -> Result<&Overlap> {
        match self.by_ask.get(&ticket.0) {
            Some(Answer::Overlap(overlap)) => Ok(overlap),
            _ => bail!("the engine gave no answer to overlap ask {}", ticket.0),
        }
    }

    /// The answer to a question about a predictions file.
    ///
    /// # Errors
    /// When the ask was not answered.
    pub fn joined(&self, ticket: &JoinedTicket) -> Result<&Joined> {
        match self.by_ask.get(&ticket.0) {
            Some(Answer::Joined(joined)) => Ok(joined),
            _ => bail!("the engine gave no answer to ask {} about predictions", ticket.0),
        }
    }
}

impl<S: Summary> Groups<S> {
    /// The summary of all rows; of no rows at all, the empty one.
    #[must_use]
    pub fn all(&self) -> Arc<S> {
        self.groups.get(&(Grouping::All, "all".to_owned())).cloned().unwrap_or_default()
    }

    /// The groups of one grouping by name, in the order of the names. A condition that no row meets is an empty summary.
    #[must_use]
    pub fn of(&self, grouping: &Grouping) -> Vec<(String, Arc<S>)> {
        match grouping {
            Grouping::All => vec![("all".to_owned(), self.all())],
            Grouping::Where { name, .. } => {
                let key = (grouping.clone(), name.clone());
                vec![(name.clone(), self.groups.get(&key).cloned().unwrap_or_default())]
            }
            Grouping::By(_) | Grouping::Windows(_) => self
                .groups
                .iter()
                .filter(|((of, _), _)| of == grouping)
                .map(|((_, name), summary)| (name.clone(), summary.clone()))
                .collect(),
        }
    }
}
