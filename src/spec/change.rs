//! What a pull request changes about the promise: the head's spec against the base's, by meaning and not by text.
//!
//! A spec that a pull request brings along cannot judge that pull request. The base's does, and every difference is shown:
//! what asks for less of the model first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::{self, Path};
use super::{Spec, sense};
use pair::{Check, Labels, Pair};
use rule::Rule;
use tree::{Node, Side, Step};

mod pair;
mod rule;
mod tree;

/// What a difference does to what is promised about the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is asked of the model.
    Tightening,
    /// As much as before.
    Neutral,
    /// Less is asked of the model, or it cannot be told.
    Weakening,
}

/// One difference between two specs.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Change {
    /// What differs, each path once: `checks.performance.regression[metric=roc_auc].max_drop`. It shows every character of
    /// names that come from a spec.
    pub path: String,
    /// What that means.
    pub direction: Direction,
    /// The base's value, raw; nothing if it was added.
    pub before: Option<Value>,
    /// The head's value, raw; nothing if it was removed.
    pub after: Option<Value>,
    /// The line in the head's spec: of the key, or of what it would stand in. Nothing if the head lacks the whole section.
    pub line: Option<usize>,
}

/// Every difference between two specs that has a meaning: weakenings first, then by path.
#[must_use]
pub fn changes(base: &Spec, head: &Spec) -> Vec<Change> {
    let (old_checks, new_checks) = (pair::checks(base), pair::checks(head));
    let pairs = pair::pairs(&old_checks, &new_checks);
    let before = Side::new(base, head).tree(labelled(&pairs, &old_checks, |pair| pair.base));
    let after = Side::new(head, base).tree(labelled(&pairs, &new_checks, |pair| pair.head));
    let mut comparison = Comparison { head, changes: Vec::new() };
    comparison.compare("", Some(&before), Some(&after), &Path::root());
    let mut changes = comparison.changes;
    changes.sort_by(|a, b| (Reverse(a.direction), &a.path).cmp(&(Reverse(b.direction), &b.path)));
    let mut labels = Labels::default();
    changes.into_iter().map(|change| Change { path: labels.next(change.path), ..change }).collect()
}

/// The spec that judges a pull request: the base's, but for what the model's author decides, which is the candidate and
/// the features. It lies where the head's does; its text, and so every place in it, is the base's.
///
/// # Errors
/// When the two together are not a spec.
pub fn effective(base: &Spec, head: &Spec) -> Result<Spec> {
    let mut written = base.written.clone();
    written.candidate = head.written.candidate.clone();
    written.columns.features.clone_from(&head.written.columns.features);
    let problems = sense(&written);
    if !problems.is_empty() {
        return Err(base.problems(problems).into());
    }
    let (path, folder) = (head.path.clone(), head.folder.clone());
    Ok(Spec { path, folder, sha256: base.sha256.clone(), document: base.document.clone(), written })
}

/// The line in the head's spec of the check that stands at `at` in the base's, such as [`Entry::at`](super::Entry::at).
/// Nothing if the head has no such check.
#[must_use]
pub fn line_in_head(base: &Spec, at: &Path, head: &Spec) -> Option<usize> {
    let [problem::Step::Key(section), problem::Step::Index(old), ..] = at.steps() else { return None };
    let new_checks = pair::checks(head);
    let pairs = pair::pairs(&pair::checks(base), &new_checks);
    let new = pairs.into_iter().find(|pair| section == "checks" && pair.base == Some(*old))?.head?;
    line(head, &pair::place(new_checks.get(new)?, new))
}

/// The checks of one spec by the labels they have in both.
fn labelled<'c>(
    pairs: &[Pair],
    checks: &'c [Check],
    side: impl Fn(&Pair) -> Option<usize>,
) -> BTreeMap<String, (usize, &'c Check)> {
    pairs
        .iter()
        .filter_map(|pair| {
            let index = side(pair)?;
            Some((pair.label.clone(), (index, checks.get(index)?)))
        })
        .collect()
}

/// The line of a place, or of what it would stand in, if there is at least the section.
fn line(spec: &Spec, at: &Path) -> Option<usize> {
    let problem::Step::Key(section) = at.steps().first()? else { return None };
    spec.document.at(&Path::root().key(section))?;
    Some(spec.document.line(at))
}

struct Comparison<'c> {
    head: &'c Spec,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    /// Compares two nodes, of which one may be absent; the head's would stand within `near`.
    fn compare(&mut self, path: &str, before: Option<&Node>, after: Option<&Node>, near: &Path) {
        let Some(node) = after.or(before) else { return };
        let near = after.map_or(near, |after| &after.at);
        if let Some(direction) = direction(node.rule, before, after) {
            self.add(path, direction, before, after, near);
        }
        if node.rule.is_transparent() || before.zip(after).is_some() {
            for step in steps(before, after) {
                self.compare(&format!("{path}{step}"), inside(before, step), inside(after, step), near);
            }
        }
    }

    fn add(&mut self, path: &str, direction: Direction, before: Option<&Node>, after: Option<&Node>, near: &Path) {
        let value = |node: Option<&Node>| node.map(|node| node.value.clone());
        self.changes.push(Change {
            path: path.strip_prefix('.').unwrap_or(path).to_owned(),
            direction,
            before: value(before),
            after: value(after),
            line: line(self.head, near),
        });
    }
}

/// What a difference between two nodes themselves means; two that are not even of one form cannot be compared.
fn direction(rule: Rule, before: Option<&Node>, after: Option<&Node>) -> Option<Direction> {
    match (before, after) {
        (Some(before), Some(after)) if before.rule != after.rule => Some(Direction::Weakening),
        _ => rule.direction(before.map(|node| &node.value), after.map(|node| &node.value)),
    }
}

fn inside<'n>(node: Option<&'n Node>, step: &Step) -> Option<&'n Node> {
    node?.inside.get(step)
}

fn steps<'n>(before: Option<&'n Node>, after: Option<&'n Node>) -> BTreeSet<&'n Step> {
    before.into_iter().chain(after).flat_map(|node| node.inside.keys()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
