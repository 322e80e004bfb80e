//! A spec as a tree of what it means: defaults written out, lists as sets, everything under a name instead of a number.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use serde_json::{Map, Value, json};

use super::pair::{self, Check};
use super::rule::{self, FIXED, Rule, TAKES_OVER};
use crate::spec::event::overlap;
use crate::spec::problem::Path;
use crate::spec::source::quoted;
use crate::spec::written::{AllOrNone, Data, Slice, Slices, Threshold};
use crate::spec::{Spec, grouping, matches};

/// Characters of a name that a path repeats as they are.
const PLAIN: usize = 64;

/// A part of what a spec means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) rule: Rule,
    /// What a report shows of it.
    pub(super) value: Value,
    /// Where it stands.
    pub(super) at: Path,
    pub(super) inside: BTreeMap<Step, Self>,
}

/// One step into the tree. Steps are compared as they are, and only shown shortened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// To an entry of a mapping.
    Key(String),
    /// To an item of a list.
    Item(String),
    /// To a check, by its label.
    Check(String),
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{}", plain(key, ",")),
            Self::Item(item) => write!(f, "[{}]", plain(item, ".,")),
            Self::Check(label) => write!(f, ".{label}"),
        }
    }
}

/// A name that cannot be taken for anything else, as it is or else quoted; `besides` may stand in it here.
pub(super) fn plain(name: &str, besides: &str) -> String {
    let is_plain = |character: char| {
        character.is_ascii_alphanumeric() || "_-@/:*".contains(character) || besides.contains(character)
    };
    if !name.is_empty() && name.len() <= PLAIN && name.chars().all(is_plain) { name.to_owned() } else { quoted(name) }
}

/// One of two specs that are compared.
pub(super) struct Side<'s> {
    spec: &'s Spec,
    other: &'s Spec,
    /// The slices that both declare: what becomes of the others is a difference of `slices`.
    slices: BTreeSet<String>,
    /// The kinds of checks that both have: what becomes of the others is a difference of `checks`.
    kinds: BTreeSet<&'s str>,
}

impl<'s> Side<'s> {
    pub(super) fn new(spec: &'s Spec, other: &'s Spec) -> Self {
        let slices = |spec: &Spec| spec.groupings().iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let kinds = |spec: &'s Spec| {
            spec.written.checks.iter().flat_map(Map::keys).map(String::as_str).collect::<BTreeSet<&'s str>>()
        };
        let common_slices = slices(spec).intersection(&slices(other)).cloned().collect();
        let common_kinds = kinds(spec).intersection(&kinds(other)).copied().collect();
        Self { spec, other, slices: common_slices, kinds: common_kinds }
    }

    /// The whole spec; `labelled` are its checks by their labels, with their numbers.
    pub(super) fn tree(&self, labelled: BTreeMap<String, (usize, &Check)>) -> Node {
        let root = Path::root();
        let mut sections = self.entries("", &self.plain_sections(), &root);
        let slices = self.spec.written.slices.iter().enumerate();
        let slices = slices.map(|(index, slice)| self.slice(slice, root.key("slices").index(index))).collect();
        let checks = labelled.into_iter().map(|(label, (index, check))| (Step::Check(label), self.check(check, index)));
        sections.insert(key("slices"), inside(root.key("slices"), slices));
        sections.insert(key("checks"), inside(root.key("checks"), checks.collect()));
        if let Some(suites) = sections.get_mut(&key("suites")) {
            self.mark_takeovers(suites);
        }
        inside(root, sections)
    }

    /// What is compared as it is written, or nearly so.
    fn plain_sections(&self) -> Map<String, Value> {
        let written = serde_json::to_value(&self.spec.written);
        let written = written.unwrap_or_else(|_| self.spec.document.value().clone());
        let mut sections = written.as_object().cloned().unwrap_or_default();
        sections.retain(|section, _| section != "slices" && section != "checks");
        if let Some(Threshold::PerModel(each)) = self.spec.written.model.threshold
            && each.candidate == each.baseline
        {
            sections["model"]["threshold"] = json!(each.candidate);
        }
        sections.insert("data".to_owned(), self.data());
        sections.insert("suites".to_owned(), self.suites());
        sections
    }

    /// The datasets: files are sorted and read once, however they are listed.
    fn data(&self) -> Value {
        let files = |data: &Data| {
            let mut patterns = data.patterns().to_vec();
            patterns.sort();
            patterns.dedup();
            if let [only] = patterns.as_slice() { json!(only) } else { json!(patterns) }
        };
        self.spec.written.data.iter().map(|(name, data)| (name.clone(), files(data))).collect()
    }

    /// The suites: without any, there is one that holds every check.
    fn suites(&self) -> Value {
        let suites = &self.spec.written.suites;
        if suites.is_empty() { json!({ "all": { "checks": ["*"] } }) } else { json!(suites) }
    }

    fn node(&self, place: &str, value: Value, at: Path) -> Node {
        let rule = match rule::of(place) {
            Rule::Inside | Rule::Whole { .. } if !value.is_object() => FIXED,
            rule => rule,
        };
        let inside = match (rule, &value) {
            (Rule::Items { .. } | Rule::Slices | Rule::Selected, list) => self.items(rule, list, &at),
            (Rule::Inside | Rule::Whole { .. }, Value::Object(entries)) => self.entries(place, entries, &at),
            _ => BTreeMap::new(),
        };
        Node { rule, value, at, inside }
    }

    fn entries(&self, place: &str, entries: &Map<String, Value>, at: &Path) -> BTreeMap<Step, Node> {
        let written = entries.iter().map(|(key, value)| (key.clone(), value.clone()));
        let left_out = rule::left_out(place, self.spec).filter(|(key, _)| !entries.contains_key(*key));
        written
            .chain(left_out.map(|(key, value)| (key.to_owned(), value)))
            .map(|(key, value)| {
                let node = self.node(&rule::below(place, &key), value, at.key(&key));
                (Step::Key(key), node)
            })
            .collect()
    }

    fn items(&self, rule: Rule, list: &Value, at: &Path) -> BTreeMap<Step, Node> {
        let written = texts(self.spec.document.at(at).unwrap_or(&Value::Null));
        let place = |name: &String| match written.iter().position(|text| text == name) {
            Some(index) => at.index(index),
            None => at.clone(),
        };
        let names = match rule {
            Rule::Slices => self.chosen_slices(list),
            Rule::Selected => self.selected(&texts(list)),
            _ => texts(list),
        };
        let item = |name: String| {
            let node = Node { rule: rule.of_item(), value: json!(name), at: place(&name), inside: BTreeMap::new() };
            (Step::Item(name), node)
        };
        names.into_iter().map(item).collect()
    }

    fn chosen_slices(&self, chosen: &Value) -> Vec<String> {
        match serde_json::from_value(chosen.clone()).unwrap_or_default() {
            Slices::Unset | Slices::Named(AllOrNone::None) => Vec::new(),
            Slices::Named(AllOrNone::All) => self.slices.iter().cloned().collect(),
            Slices::Some(names) => names.into_iter().filter(|name| self.slices.contains(name)).collect(),
        }
    }

    fn selected(&self, patterns: &[String]) -> Vec<String> {
        let is_selected = |kind: &&&str| patterns.iter().any(|pattern| matches(pattern, kind));
        self.kinds.iter().filter(is_selected).map(|kind| (*kind).to_owned()).collect()
    }

    fn slice(&self, slice: &Slice, at: Path) -> (Step, Node) {
        let value = match slice {
            Slice::By(by) => json!({ "by": by.by.names() }),
            Slice::Where(slice) => json!({ "where": slice.condition }),
        };
        (Step::Key(grouping(slice).to_string()), self.node("slices.*", value, at))
    }

    fn check(&self, check: &Check, index: usize) -> Node {
        let at = pair::place(check, index);
        let mut inside = self.entries(&format!("checks.{}", check.name), &check.config, &at);
        let severity = self.node("checks.*.severity", check.severity.clone(), at.key("severity"));
        inside.insert(key("severity"), severity);
        let written = self.spec.written.checks.get(index).and_then(|written| written.get(&check.name));
        let value = written.cloned().unwrap_or_default();
        Node { rule: rule::of("checks.*"), value, at, inside }
    }

    /// A suite is picked by name, by event or by default, so a new one may run where another, larger one did.
    fn mark_takeovers(&self, suites: &mut Node) {
        for (step, suite) in &mut suites.inside {
            let Step::Key(name) = step else { continue };
            let takes_events = suite.inside.get_mut(&key("on")).is_some_and(|events| self.mark_events(name, events));
            let is_new = !suites_of(self.other).contains(&name.as_str());
            if is_new && (takes_events || self.is_new_default(name)) {
                suite.rule = TAKES_OVER;
            }
        }
    }

    fn mark_events(&self, suite: &str, events: &mut Node) -> bool {
        let mut any = false;
        for (step, event) in &mut events.inside {
            if let Step::Item(name) = step
                && self.is_taken_over(suite, name)
            {
                event.rule = TAKES_OVER;
                any = true;
            }
        }
        any
    }

    /// Whether this suite runs now on an event that ran another suite in the other spec.
    fn is_taken_over(&self, suite: &str, event: &str) -> bool {
        let suites = &self.other.written.suites;
        if suites.get(suite).is_some_and(|suite| suite.on.iter().any(|on| on == event)) {
            return false;
        }
        if suites.values().all(|suite| suite.on.is_empty()) {
            return default_suite(self.other) != Some(suite);
        }
        suites.iter().any(|(name, other)| name != suite && other.on.iter().any(|on| overlap(on, event)))
    }

    fn is_new_default(&self, suite: &str) -> bool {
        default_suite(self.spec) == Some(suite) && default_suite(self.other).is_some_and(|other| other != suite)
    }
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn inside(at: Path, inside: BTreeMap<Step, Node>) -> Node {
    Node { rule: Rule::Inside, value: Value::Null, at, inside }
}

/// The items of a list; a single value is a list of one.
fn texts(list: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match list {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    }
}

/// The names of the suites, as [`Spec::select`] sees them.
fn suites_of(spec: &Spec) -> Vec<&str> {
    let names: Vec<_> = spec.written.suites.keys().map(String::as_str).collect();
    if names.is_empty() { vec!["all"] } else { names }
}

/// The suite that runs when none is named, as [`Spec::select`] chooses it.
fn default_suite(spec: &Spec) -> Option<&str> {
    match suites_of(spec).as_slice() {
        [only] => Some(*only),
        several => several.iter().find(|name| **name == "check-in").copied(),
    }
}
