//! Which check of the base is which check of the head: a check has no name of its own, only a kind and what it is about.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::rule;
use super::tree::plain;
use crate::checks;
use crate::spec::problem::Path;
use crate::spec::written::Severity;
use crate::spec::{Spec, entry};

/// A check as it is compared.
#[derive(Debug, PartialEq)]
pub(super) struct Check {
    /// The name of its kind.
    pub(super) name: String,
    /// Its configuration, every default written out.
    pub(super) config: Map<String, Value>,
    /// Whether it blocks.
    pub(super) severity: Value,
}

/// One check, by its place in the list of each spec; in one of them it may not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// What tells it from every other: `performance.regression[metric=roc_auc]`.
    pub(super) label: String,
    pub(super) base: Option<usize>,
    pub(super) head: Option<usize>,
}

/// Where the check of this number stands.
pub(super) fn place(check: &Check, index: usize) -> Path {
    Path::root().key("checks").index(index).key(&check.name)
}

/// The checks of a spec, in its order.
pub(super) fn checks(spec: &Spec) -> Vec<Check> {
    spec.written.checks.iter().enumerate().map(|(index, written)| Check::new(spec, index, written)).collect()
}

impl Check {
    fn new(spec: &Spec, index: usize, written: &Map<String, Value>) -> Self {
        let (name, raw) = written.iter().next().map(|(name, raw)| (name.clone(), raw.clone())).unwrap_or_default();
        let (mut config, severity) = with_defaults(index, written).unwrap_or_else(|| as_written(raw));
        for (key, meant) in rule::left_out(&format!("checks.{name}"), spec) {
            config.entry(key).or_insert(meant);
        }
        Self { name, config, severity }
    }

    /// What it is about: the keys that tell it from others of its kind.
    fn about(&self) -> Vec<(&'static str, &Value)> {
        rule::identity(&self.name).filter_map(|key| Some((key, self.config.get(key)?))).collect()
    }

    /// Its kind, and what it is about unless that goes without saying.
    fn label(&self) -> String {
        let schema = checks::find(&self.name).map(|kind| (kind.schema)(&mut SchemaGenerator::default()).to_value());
        let default = |key: &str| schema.as_ref()?.get("properties")?.get(key)?.get("default");
        let told: Vec<_> = self.about().into_iter().filter(|(key, value)| default(key) != Some(*value)).collect();
        if told.is_empty() {
            return plain(&self.name, ".");
        }
        let told: Vec<_> = told.into_iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
        format!("{}[{}]", plain(&self.name, "."), told.join(","))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text, "."),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn with_defaults(index: usize, written: &Map<String, Value>) -> Option<(Map<String, Value>, Value)> {
    let entry = entry(index, written).ok()?;
    match entry.check.config() {
        Ok(Value::Object(config)) => Some((config, json!(entry.severity))),
        _ => None,
    }
}

/// A check that could not be configured is compared as it stands, which finds no fewer differences.
fn as_written(raw: Value) -> (Map<String, Value>, Value) {
    let mut config = if let Value::Object(config) = raw { config } else { Map::new() };
    let severity = config.remove("severity").unwrap_or_else(|| json!(Severity::default()));
    (config, severity)
}

/// Every check of both specs, once.
///
/// Checks of one kind and about the same are paired when they are equal, and else in their order. Any pairing is sound: if
/// no pair is weaker, each check of the base has one in the head that asks for no less.
pub(super) fn pairs(base: &[Check], head: &[Check]) -> Vec<Pair> {
    let mut labels = Labels::default();
    let mut pairs = Vec::new();
    for (olds, news) in alike(base, head).into_values() {
        for (old, new) in paired(base, head, &olds, news) {
            let check = old.map(|old| &base[old]).or(new.map(|new| &head[new]));
            let label = check.map_or_else(String::new, |check| labels.next(check.label()));
            pairs.push(Pair { label, base: old, head: new });
        }
    }
    pairs
}

/// The numbers of the checks of either spec that are of one kind and about the same.
type Alike = BTreeMap<String, (Vec<usize>, Vec<usize>)>;

fn alike(base: &[Check], head: &[Check]) -> Alike {
    let key = |check: &Check| json!([check.name, check.about()]).to_string();
    let mut alike = Alike::new();
    for (index, check) in base.iter().enumerate() {
        alike.entry(key(check)).or_default().0.push(index);
    }
    for (index, check) in head.iter().enumerate() {
        alike.entry(key(check)).or_default().1.push(index);
    }
    alike
}

fn paired(base: &[Check], head: &[Check], olds: &[usize], mut news: Vec<usize>) -> Vec<(Option<usize>, Option<usize>)> {
    let mut equal = |old: &usize| {
        let found = news.iter().position(|new| head[*new] == base[*old])?;
        Some(news.remove(found))
    };
    let partners: Vec<_> = olds.iter().map(|old| (*old, equal(old))).collect();
    let mut rest = news.into_iter();
    let mut pairs: Vec<_> =
        partners.into_iter().map(|(old, partner)| (Some(old), partner.or_else(|| rest.next()))).collect();
    pairs.extend(rest.map(|new| (None, Some(new))));
    pairs
}

/// Numbers labels that occur again: `performance.metric[metric=roc_auc]#2`.
#[derive(Default)]
pub(super) struct Labels(BTreeMap<String, usize>);

impl Labels {
    /// This label, or the first numbered one that nothing has yet.
    pub(super) fn next(&mut self, label: String) -> String {
        let Some(count) = self.0.get(&label) else {
            self.0.insert(label.clone(), 1);
            return label;
        };
        let free = (count + 1..).find(|number| !self.0.contains_key(&format!("{label}#{number}")));
        let number = free.unwrap_or(*count);
        let numbered = format!("{label}#{number}");
        self.0.insert(label, number);
        self.0.insert(numbered.clone(), 1);
        numbered
    }
}
