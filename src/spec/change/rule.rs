//! What a difference means, key by key: one table, and nothing else decides.
//!
//! It fails closed: a difference of a key that has no row is a weakening.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Direction::{self, Neutral, Tightening, Weakening};
use crate::spec::Spec;
use crate::spec::limit::Amount;
use crate::spec::written::Task;
use crate::stats::metric::Metric;

/// How the differences of a key are classed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A mapping that means no more than its entries.
    Inside,
    /// There or not; while it is there, its entries have rules of their own.
    Whole { added: Direction, removed: Direction },
    /// There or not, and the same or not.
    Value { added: Direction, changed: Direction, removed: Direction },
    /// Tells a check from others of its kind: with another value it is another check.
    Identity,
    /// A bound that is tighter when it is smaller: an absolute or a relative amount.
    AtMost,
    /// As [`Rule::AtMost`], of a share of rows, where `0.05` and `5%` are the same.
    AtMostShare,
    /// A bound that is tighter when it is larger.
    AtLeast,
    /// A choice among words, the laxest first.
    Words(&'static [&'static str]),
    /// A list whose items are there or not; `moved` if their order has a meaning.
    Items { added: Direction, removed: Direction, moved: Option<Direction> },
    /// The slices that a check makes claims about.
    Slices,
    /// The checks that a suite selects.
    Selected,
}

/// Nobody may touch it, or nobody knows what it means.
pub(super) const FIXED: Rule = Rule::Value { added: Weakening, changed: Weakening, removed: Weakening };
/// More of it promises more, and one is not comparable with another.
const PROMISE: Rule = Rule::Value { added: Tightening, changed: Weakening, removed: Weakening };
/// The business of the model's author.
const FREE: Rule = Rule::Value { added: Neutral, changed: Neutral, removed: Neutral };
/// A part of the promise, whose entries have rules of their own.
const PART: Rule = Rule::Whole { added: Tightening, removed: Weakening };
/// A list of promises.
const PROMISES: Rule = Rule::Items { added: Tightening, removed: Weakening, moved: None };
/// A suite or an event that steps in where another suite ran.
pub(super) const TAKES_OVER: Rule = Rule::Whole { added: Weakening, removed: Weakening };

/// The rules by the place of their key; `*` stands for any name. A check's keys stand below its name.
static ROWS: &[(&str, Rule)] = &[
    ("version", FIXED),
    ("model.name", FIXED),
    ("model.task", FIXED),
    ("model.tier", Rule::Words(&["low", "medium", "high"])),
    ("model.owners", Rule::Items { added: Neutral, removed: Weakening, moved: None }),
    ("model.classes", FIXED),
    ("model.threshold", FIXED),
    ("candidate.onnx", FREE),
    ("candidate.output", FREE),
    ("candidate.positive", FREE),
    ("candidate.classes", FREE),
    ("candidate.inputs", FREE),
    // Of scores that somebody wrote down nobody can tell which model made them.
    ("candidate.column", Rule::Value { added: Weakening, changed: Neutral, removed: Neutral }),
    ("candidate.columns", Rule::Value { added: Weakening, changed: Neutral, removed: Neutral }),
    ("candidate.predictions", Rule::Value { added: Weakening, changed: Neutral, removed: Neutral }),
    // Neither of what a program or a server says, which may know the labels.
    ("candidate.process", Rule::Value { added: Weakening, changed: Neutral, removed: Neutral }),
    ("candidate.http", Rule::Value { added: Weakening, changed: Neutral, removed: Neutral }),
    ("candidate.mlflow", Rule::Value { added: Weakening, changed: Neutral, removed: Neutral }),
    ("candidate.files.*", FREE),
    ("candidate.environment.*", FREE),
    ("candidate.seconds", FREE),
    ("candidate.memory_mib", FREE),
    ("candidate.batch_rows", FREE),
    ("candidate.concurrency", FREE),
    ("candidate.score", FREE),
    ("candidate.scores", FREE),
    ("baseline", PART),
    // Of another model to compare with nobody can tell what it is worth.
    ("baseline.onnx", FIXED),
    ("baseline.output", FIXED),
    ("baseline.positive", FIXED),
    ("baseline.classes", FIXED),
    ("baseline.inputs", FIXED),
    ("baseline.column", FIXED),
    ("baseline.columns", FIXED),
    ("baseline.predictions", FIXED),
    ("baseline.process", FIXED),
    ("baseline.http", FIXED),
    ("baseline.mlflow", FIXED),
    ("baseline.files", FIXED),
    ("baseline.environment", FIXED),
    ("baseline.seconds", FIXED),
    ("baseline.memory_mib", FIXED),
    ("baseline.batch_rows", FIXED),
    ("baseline.concurrency", FIXED),
    ("baseline.score", FIXED),
    ("baseline.scores", FIXED),
    ("baseline.on_missing", Rule::Words(&["absolute-only", "fail"])),
    ("baseline.allow_same", Rule::Words(&["true", "false"])),
    ("columns.id", PROMISE),
    ("columns.label", PROMISE),
    ("columns.time", PROMISE),
    ("columns.known_at", PROMISE),
    ("columns.entity", PROMISE),
    ("columns.weight", FIXED),
    ("columns.group", FIXED),
    // A matrix input takes the features in their order.
    ("columns.features", Rule::Items { added: Neutral, removed: Neutral, moved: Some(Neutral) }),
    ("columns.protected", PROMISES),
    // Other rows than those agreed upon.
    ("data.*", Rule::Value { added: Neutral, changed: Weakening, removed: Weakening }),
    ("slices.*", PROMISE),
    // The smaller it is, the clearer a failure has to be before it blocks.
    ("policy.false_block", Rule::AtLeast),
    ("policy.false_ship", Rule::AtMost),
    ("policy.on_inconclusive.overall", Rule::Words(&["warn", "fail"])),
    ("policy.on_inconclusive.slice", Rule::Words(&["warn", "fail"])),
    // The larger they are, the more slices go untested.
    ("policy.min_rows", Rule::AtMost),
    ("policy.min_positives", Rule::AtMost),
    ("policy.weakening_approvers", Rule::Items { added: Weakening, removed: Tightening, moved: None }),
    ("policy.allowed_hosts", Rule::Items { added: Weakening, removed: Tightening, moved: None }),
    ("suites.*", Rule::Whole { added: Neutral, removed: Weakening }),
    ("suites.*.on", PROMISES),
    ("suites.*.checks", Rule::Selected),
    ("checks.*", PART),
    ("checks.*.severity", Rule::Words(&["warn", "block"])),
    ("checks.performance.metric.metric", Rule::Identity),
    ("checks.performance.metric.min", Rule::AtLeast),
    ("checks.performance.metric.max", Rule::AtMost),
    ("checks.performance.metric.slices", Rule::Slices),
    ("checks.performance.metric.data", Rule::Identity),
    ("checks.performance.regression.metric", Rule::Identity),
    ("checks.performance.regression.max_drop", Rule::AtMost),
    ("checks.performance.regression.max_rise", Rule::AtMost),
    ("checks.performance.regression.within", Rule::AtMost),
    // A cap that is raised or gone lets more gains through without a word.
    ("checks.performance.regression.suspicious_gain", Rule::AtMost),
    ("checks.performance.regression.slices", Rule::Slices),
    ("checks.performance.regression.data", Rule::Identity),
    ("checks.performance.worst_slice.metric", Rule::Identity),
    ("checks.performance.worst_slice.max_loss", Rule::AtMost),
    // Left out, more is searched than any list names.
    ("checks.performance.worst_slice.columns", FIXED),
    ("checks.performance.worst_slice.data", Rule::Identity),
    ("checks.performance.calibration.max_ratio_error", Rule::AtMostShare),
    ("checks.performance.calibration.min_slope", Rule::AtLeast),
    ("checks.performance.calibration.max_slope", Rule::AtMost),
    ("checks.performance.calibration.max_rise", Rule::AtMost),
    ("checks.performance.calibration.slices", Rule::Slices),
    ("checks.performance.calibration.data", Rule::Identity),
    ("checks.data.schema.columns.*", PART),
    ("checks.data.schema.columns.*.type", PROMISE),
    ("checks.data.schema.columns.*.nullable", Rule::Words(&["true", "false"])),
    ("checks.data.schema.data", Rule::Identity),
    ("checks.drift.prediction.against", Rule::Identity),
    ("checks.drift.prediction.max_distance", Rule::AtMost),
    ("checks.drift.prediction.max_flips", Rule::AtMostShare),
    ("checks.drift.prediction.data", Rule::Identity),
    // Left out, more is compared than any list names.
    ("checks.drift.feature.features", FIXED),
    ("checks.drift.feature.max_distance", Rule::AtMost),
    ("checks.drift.feature.data", Rule::Identity),
    ("checks.drift.feature.against", Rule::Identity),
    ("checks.leakage.overlap.between", Rule::Identity),
    ("checks.leakage.overlap.on", PROMISES),
    ("checks.leakage.overlap.max_share", Rule::AtMost),
    ("checks.robustness.sensitivity.noise", Rule::AtLeast),
    ("checks.robustness.sensitivity.metric", Rule::Identity),
    ("checks.robustness.sensitivity.max_loss", Rule::AtMost),
    ("checks.robustness.sensitivity.max_flips", Rule::AtMostShare),
    ("checks.robustness.sensitivity.data", Rule::Identity),
    ("checks.backtest.metric", Rule::Identity),
    ("checks.backtest.max_drop", Rule::AtMost),
    ("checks.backtest.max_rise", Rule::AtMost),
    ("checks.backtest.within", Rule::AtMost),
    // Other windows and another patience with late labels count other rows.
    ("checks.backtest.window", FIXED),
    ("checks.backtest.embargo", FIXED),
    ("checks.backtest.worst_factor", Rule::AtMost),
    ("checks.backtest.data", Rule::Identity),
];

/// The value that is meant where a key is left out, if there is one.
type Meant = fn(&Spec) -> Option<Value>;

/// What it means to leave a key out, where that depends on the rest of the spec: the mapping, the key, the value.
static LEFT_OUT: &[(&str, &str, Meant)] = &[
    ("model", "threshold", |spec| (spec.written.model.task == Task::Binary).then(|| json!(0.5))),
    ("checks.robustness.sensitivity", "metric", |spec| match spec.written.model.task {
        Task::Binary => Some(json!(Metric::RocAuc)),
        Task::Multiclass => Some(json!(Metric::LogLoss)),
        Task::Regression => Some(json!(Metric::Rmse)),
        Task::Ranking => Some(json!(Metric::Ndcg { k: 10 })),
    }),
    ("checks.performance.worst_slice", "metric", |spec| match spec.written.model.task {
        Task::Binary => Some(json!(Metric::LogLoss)),
        Task::Regression => Some(json!(Metric::Mae)),
        Task::Multiclass | Task::Ranking => None,
    }),
    ("checks.leakage.overlap", "on", |spec| {
        let columns = &spec.written.columns;
        let kinds = [
            ("id", columns.id.is_some()),
            ("entity", columns.entity.is_some()),
            ("features", !columns.features.is_empty()),
        ];
        Some(kinds.into_iter().filter(|(_, declared)| *declared).map(|(kind, _)| kind).collect())
    }),
];

/// The rule of a place.
pub(super) fn of(place: &str) -> Rule {
    let row = ROWS.iter().find(|(row, _)| *row == place);
    row.map_or(if has_rows(place) { Rule::Inside } else { FIXED }, |(_, rule)| *rule)
}

/// The place of an entry in the table.
pub(super) fn below(place: &str, key: &str) -> String {
    let any = join(place, "*");
    let is_listed = ROWS.iter().any(|(row, _)| *row == any) || has_rows(&any);
    if is_listed { any } else { join(place, key) }
}

/// The keys that tell a check from others of its kind.
pub(super) fn identity(check: &str) -> impl Iterator<Item = &'static str> {
    let prefix = format!("checks.{check}.");
    let identifying = ROWS.iter().filter(|(_, rule)| *rule == Rule::Identity);
    identifying.filter_map(move |(row, _)| row.strip_prefix(&prefix))
}

/// The keys that a mapping leaves out, and what that means.
pub(super) fn left_out(place: &str, spec: &Spec) -> impl Iterator<Item = (&'static str, Value)> {
    let here = LEFT_OUT.iter().filter(move |(mapping, ..)| *mapping == place);
    here.filter_map(|(_, key, meant)| Some((*key, meant(spec)?)))
}

fn has_rows(place: &str) -> bool {
    ROWS.iter().any(|(row, _)| row.strip_prefix(place).is_some_and(|rest| rest.starts_with('.')))
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

impl Rule {
    /// Whether only what is inside has a meaning, so that an absent one is the same as an empty one.
    pub(super) fn is_transparent(self) -> bool {
        matches!(self, Self::Inside | Self::Items { .. } | Self::Slices | Self::Selected)
    }

    /// The rule of each item of a list.
    pub(super) fn of_item(self) -> Self {
        match self {
            Self::Items { added, removed, .. } => Self::Whole { added, removed },
            _ => PART,
        }
    }

    /// What a difference means, and nothing if there is none.
    pub(super) fn direction(self, before: Option<&Value>, after: Option<&Value>) -> Option<Direction> {
        match (before, after) {
            (None, None) => None,
            (None, Some(_)) => self.presence().map(|(added, _)| added),
            (Some(_), None) => self.presence().map(|(_, removed)| removed),
            (Some(before), Some(after)) => self.changed(before, after),
        }
    }

    /// What it means to be added, and to be removed.
    fn presence(self) -> Option<(Direction, Direction)> {
        match self {
            Self::Inside | Self::Items { .. } | Self::Slices | Self::Selected => None,
            Self::Whole { added, removed } | Self::Value { added, removed, .. } => Some((added, removed)),
            Self::Identity => Some((Weakening, Weakening)),
            Self::AtMost | Self::AtMostShare | Self::AtLeast | Self::Words(_) => Some((Tightening, Weakening)),
        }
    }

    fn changed(self, before: &Value, after: &Value) -> Option<Direction> {
        let differ = before != after;
        match self {
            Self::Inside | Self::Whole { .. } | Self::Slices | Self::Selected => None,
            Self::Value { changed, .. } => differ.then_some(changed),
            Self::Identity => differ.then_some(Weakening),
            Self::Items { moved, .. } => moved.filter(|_| is_moved(before, after)),
            _ if !differ => None,
            Self::AtMost => of_rise(rise(amount(before), amount(after))),
            Self::AtMostShare => of_rise(rise(amount(before).map(share), amount(after).map(share))),
            Self::AtLeast => of_rise(rise(amount(before), amount(after)).map(Ordering::reverse)),
            Self::Words(words) => of_rise(word(words, before).zip(word(words, after)).map(|(old, new)| old.cmp(&new))),
        }
    }
}

/// What it means that a bound rises; one that cannot be compared may be any bound.
fn of_rise(rise: Option<Ordering>) -> Option<Direction> {
    match rise {
        Some(Ordering::Less) => Some(Tightening),
        Some(Ordering::Equal) => None,
        Some(Ordering::Greater) | None => Some(Weakening),
    }
}

fn rise(before: Option<Amount>, after: Option<Amount>) -> Option<Ordering> {
    match (before?, after?) {
        (Amount::Absolute(before), Amount::Absolute(after)) | (Amount::Relative(before), Amount::Relative(after)) => {
            after.partial_cmp(&before)
        }
        _ => None,
    }
}

/// A number need not be a margin: a floor may be negative.
fn amount(value: &Value) -> Option<Amount> {
    let absolute = value.as_f64().map(Amount::Absolute);
    absolute.or_else(|| serde_json::from_value(value.clone()).ok())
}

/// An amount as a share, without the dust of dividing a percentage.
fn share(amount: Amount) -> Amount {
    let (Amount::Absolute(share) | Amount::Relative(share)) = amount;
    Amount::Absolute((share * 1e12).round() / 1e12)
}

/// The place of a word among words.
fn word(words: &[&str], value: &Value) -> Option<usize> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    words.iter().position(|word| *word == text)
}

/// Whether the items that both lists have stand in another order.
fn is_moved(before: &Value, after: &Value) -> bool {
    let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let (before, after) = (items(before), items(after));
    let texts = |items: &[Value]| items.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    let (old, new) = (texts(&before), texts(&after));
    let common = |items: Vec<Value>| -> Vec<String> {
        items.iter().map(Value::to_string).filter(|text| old.contains(text) && new.contains(text)).collect()
    };
    common(before) != common(after)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
