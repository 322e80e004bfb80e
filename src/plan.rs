//! The plan of a run: what the checks need to know, each thing asked once.
//!
//! A check asks for summaries of rows and for relations between datasets; the engine answers. Equal asks become one, and
//! asks that differ only in how the rows are grouped become one with all the groupings. So do an ask and one that it serves
//! as well.

use std::fmt;
use std::marker::PhantomData;

use anyhow::Result;

use crate::spec::problem::Path;
use crate::spec::written::{Columns, Model, Policy};
use crate::summary::Summary;
use crate::target::{Side, Target};

/// Row-wise values that a summary is fed with.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The label as a number.
    Label,
    /// The label as a number, null where it was not yet known when the row's window closed plus an embargo.
    MatureLabel {
        /// The calendar windows.
        window: Window,
        /// Days after the close of the window during which labels may still come in.
        embargo_days: u32,
    },
    /// A model's score.
    Score {
        /// Whose.
        side: Side,
        /// What is done to the features first.
        noise: Option<Noise>,
        /// Which of its outputs: the class in a multiclass task, else 0.
        output: usize,
    },
    /// 1 where noise changes a feature of the row, 0 where it leaves them all as they are.
    Disturbed(Noise),
    /// A stable 64-bit key of the entity.
    Entity,
    /// What the row weighs, as a number.
    Weight,
    /// A stable 64-bit key of the group in which the row is ranked.
    Group,
    /// An SQL expression on a row, as a number. Stands beside the score of the same side and noise.
    Sql {
        /// The expression. Beside the columns, `score` is the score.
        expression: String,
        /// Whose score.
        side: Side,
        /// What is done to the features before they are scored.
        noise: Option<Noise>,
        /// Where `decision` is 1 in the expression: from this score on.
        threshold: Option<f64>,
    },
    /// A column as a number.
    Number(String),
    /// A column as text.
    Text(String),
    /// A column as it is.
    Column(String),
}

/// Seeded Gaussian noise on numeric features.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// The standard deviation of the noise of each feature, on the feature's scale.
    pub scale: Vec<(String, f64)>,
    /// The seed; the draw of a row depends on it, the feature and the row's id, and on nothing else.
    pub seed: u64,
}

/// A calendar window of event time, in UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// A quarter.
    Quarter,
    /// A year.
    Year,
}

impl Window {
    /// The name that SQL knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// A way to put rows into groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grouping {
    /// All rows are one group, named `all`.
    All,
    /// A group for each combination of values: `carrier=UA`.
    By(Vec<String>),
    /// The rows that meet an SQL condition.
    Where {
        /// The group's name.
        name: String,
        /// The condition.
        condition: String,
    },
    /// A group for each calendar window of event time: `2013-07-01`.
    Windows(Window),
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::By(columns) => f.write_str(&columns.join(",")),
            Self::Where { name, .. } => f.write_str(name),
            Self::Windows(window) => f.write_str(window.name()),
        }
    }
}

/// One thing to find out.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A summary of the rows of a dataset, by group.
    Summary(SummaryAsk),
    /// How many rows of one dataset have their key in another.
    Overlap(OverlapAsk),
    /// How the predictions file of a model matches a dataset.
    Joined {
        /// The model.
        side: Side,
        /// The datasets that it scores.
        datasets: Vec<String>,
    },
}

/// A summary of the rows of a dataset, by group.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryAsk {
    /// The dataset.
    pub dataset: String,
    /// The name of the summary.
    pub summary: &'static str,
    /// Its parameters, as JSON.
    pub params: String,
    /// What it is fed with.
    pub inputs: Vec<Input>,
    /// How the rows are grouped; sorted, each once.
    pub groupings: Vec<Grouping>,
}

/// How many rows of one dataset have their key in another. Exact, over all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OverlapAsk {
    /// The dataset whose keys are looked for.
    pub seen: String,
    /// The dataset whose rows are counted.
    pub fresh: String,
    /// The columns that make the key.
    pub key: Vec<String>,
    /// Whether a null equals a null: true for whole feature rows, false for ids.
    pub null_equals_null: bool,
}

/// What an expression calls the score of a model.
pub const SCORE: &str = "score";

/// What an expression calls the decision of a binary model: 1 or 0.
pub const DECISION: &str = "decision";

/// An SQL expression that the spec gives as a number of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// Where it stands.
    pub at: Path,
    /// The dataset whose rows it is about.
    pub dataset: String,
    /// The expression.
    pub text: String,
    /// What it may name beside the columns.
    pub names: Vec<&'static str>,
}

/// Redeems the answer to a summary ask.
#[derive(Debug)]
pub struct Ticket<S> {
    pub(crate) ask: usize,
    summary: PhantomData<fn() -> S>,
}

/// Redeems the answer to an overlap ask.
#[derive(Debug)]
pub struct OverlapTicket(pub(crate) usize);

/// Redeems the answer to a question about a predictions file.
#[derive(Debug)]
pub struct JoinedTicket(pub(crate) usize);

/// What the checks ask, collected.
#[derive(Debug)]
pub struct Plan<'t> {
    target: &'t Target,
    here: Path,
    asks: Vec<Ask>,
    expressions: Vec<Expression>,
    answered: usize,
}

impl<'t> Plan<'t> {
    /// An empty plan for a target.
    #[must_use]
    pub fn new(target: &'t Target) -> Self {
        Self { target, here: Path::root(), asks: Vec::new(), expressions: Vec::new(), answered: 0 }
    }

    /// Says whose turn it is to ask: the check whose configuration stands at `here`.
    pub fn enter(&mut self, here: &Path) {
        self.here = here.clone();
    }

    /// The place of a key of the check that asks.
    #[must_use]
    pub fn at(&self, key: &str) -> Path {
        self.here.key(key)
    }

    /// The place of the check that asks.
    #[must_use]
    pub fn here(&self) -> &Path {
        &self.here
    }

    /// What is judged: schemas, signatures, the spec.
    #[must_use]
    pub fn target(&self) -> &'t Target {
        self.target
    }

    /// The model section of the spec.
    #[must_use]
    pub fn model(&self) -> &'t Model {
        &self.target.spec.written.model
    }

    /// The columns section of the spec.
    #[must_use]
    pub fn columns(&self) -> &'t Columns {
        &self.target.spec.written.columns
    }

    /// The policy section of the spec.
    #[must_use]
    pub fn policy(&self) -> &'t Policy {
        &self.target.spec.written.policy
    }

    /// Asks for a summary of a dataset's rows.
    ///
    /// # Errors
    /// When the parameters cannot be written as JSON.
    pub fn summarise<S: Summary>(
        &mut self,
        dataset: &str,
        params: &S::Params,
        inputs: Vec<Input>,
        groupings: &[Grouping],
    ) -> Result<Ticket<S>> {
        let mut groupings = groupings.to_vec();
        groupings.sort();
        groupings.dedup();
        let params = serde_json::to_string(params)?;
        let mut ask = SummaryAsk { dataset: dataset.to_owned(), summary: S::NAME, params, inputs, groupings };
        self.agree::<S>(&mut ask)?;
        Ok(Ticket { ask: self.place(Ask::Summary(ask)), summary: PhantomData })
    }

    /// Gives an ask and one of this round that differs from it in its parameters those that serve both.
    fn agree<S: Summary>(&mut self, ask: &mut SummaryAsk) -> Result<()> {
        let wanted: S::Params = serde_json::from_str(&ask.params)?;
        for placed in &mut self.asks[self.answered..] {
            let Ask::Summary(placed) = placed else { continue };
            if !placed.is_fed_like(ask) {
                continue;
            }
            let offered: S::Params = serde_json::from_str(&placed.params)?;
            if S::serves(&offered, &wanted) {
                ask.params.clone_from(&placed.params);
            } else if S::serves(&wanted, &offered) {
                placed.params.clone_from(&ask.params);
            }
        }
        Ok(())
    }

    /// Asks how many rows of `fresh` have their key in `seen`.
    pub fn overlap(&mut self, ask: OverlapAsk) -> OverlapTicket {
        OverlapTicket(self.place(Ask::Overlap(ask)))
    }

    /// Asks how a model's predictions file matches the datasets that it scores.
    pub fn joined(&mut self, side: Side, datasets: Vec<String>) -> JoinedTicket {
        JoinedTicket(self.place(Ask::Joined { side, datasets }))
    }

    /// Says which expression an ask will name, so that it is looked at before anything is read.
    pub fn will_evaluate(&mut self, expression: Expression) {
        self.expressions.push(expression);
    }

    /// The expressions of all asks.
    #[must_use]
    pub fn expressions(&self) -> &[Expression] {
        &self.expressions
    }

    /// The asks of this round, with their numbers.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Ask)> {
        self.asks.iter().enumerate().skip(self.answered)
    }

    /// Whether anything is left to be answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answered < self.asks.len()
    }

    /// Marks all asks as answered: later ones belong to the next round.
    pub fn close_round(&mut self) {
        self.answered = self.asks.len();
    }

    /// All asks, in the order asked.
    #[must_use]
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    fn place(&mut self, ask: Ask) -> usize {
        for (number, placed) in self.asks.iter_mut().enumerate() {
            if *placed == ask || (number >= self.answered && placed.absorb(&ask)) {
                return number;
            }
        }
        self.asks.push(ask);
        self.asks.len() - 1
    }
}

impl SummaryAsk {
    /// Whether the other is the same summary of the same columns.
    fn is_fed_like(&self, other: &Self) -> bool {
        self.dataset == other.dataset && self.summary == other.summary && self.inputs == other.inputs
    }
}

impl Ask {
    /// Takes over the groupings of an ask that is equal but for them.
    fn absorb(&mut self, other: &Self) -> bool {
        let (Self::Summary(mine), Self::Summary(theirs)) = (self, other) else { return false };
        let alike = mine.is_fed_like(theirs) && mine.params == theirs.params;
        if alike {
            mine.groupings.extend(theirs.groupings.iter().cloned());
            mine.groupings.sort();
            mine.groupings.dedup();
        }
        alike
    }
}
