//! Whether a document has the shape of our own types: its values against their JSON Schema, every problem in one run.
//!
//! The schemas are ours and use the part of JSON Schema 2020-12 that `schemars` writes; other keywords, `pattern` among
//! them, say nothing here. Alternatives are tried one by one; when none fits, the one that was meant is reported: by
//! its kind, by its discriminating key, by the keys it shares with the value. One annotation is our own: `x-noun`
//! names what a key or a value stands for, so that a message says "unknown check" and not "unknown key".

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::{Map, Number, Value};

use super::kind::{self, Kind, Schema};
use super::problem::{At, Path, Problem, Step};
use super::source::{nearest, quoted};
use super::yaml::Document;

/// Schemas applied to values; far above what a document of the largest permitted size needs.
const MOST_VISITS: usize = 200_000;
/// Schemas inside schemas, references followed.
const DEEPEST: usize = 200;
/// Names that a message lists.
const MOST_NAMES: usize = 24;

/// Checks a whole document against a schema.
pub fn check(document: &Document, schema: &Value) -> Vec<Problem> {
    check_at(document, &Path::root(), schema, schema)
}

/// Checks the part of a document at `path` against a schema whose references lead into the `$defs` of `root`.
pub fn check_at(document: &Document, path: &Path, schema: &Value, root: &Value) -> Vec<Problem> {
    let Some(value) = document.at(path) else {
        return vec![Problem::key(path, format!("there is nothing at `{path}`"))];
    };
    let mut walk = Walk { root, path: path.clone(), depth: 0, visits: 0, problems: Vec::new() };
    walk.visit(value, schema);
    walk.problems
}

/// A walk over a value and a schema at the same time; `path` leads to the value.
pub(super) struct Walk<'a> {
    root: &'a Value,
    pub(super) path: Path,
    depth: usize,
    visits: usize,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    pub(super) fn visit(&mut self, value: &Value, schema: &'a Value) {
        self.visits += 1;
        if self.visits > MOST_VISITS || self.depth > DEEPEST {
            let problem = Problem::value(&self.path, "this part is too intricate to check");
            return self.problems.push(problem.remedy("write it with fewer parts inside one another"));
        }
        self.depth += 1;
        match schema {
            Value::Object(schema) => self.apply(value, schema),
            Value::Bool(false) => self.report(Problem::value(&self.path, "nothing may stand here").remedy("remove it")),
            _ => {}
        }
        self.depth -= 1;
    }

    fn apply(&mut self, value: &Value, schema: &'a Schema) {
        let expected = kind::expected(schema);
        if !Kind::of(value).fits(&expected) {
            return self.wrong_kind(value, &expected);
        }
        if let Some(choices) = kind::choices(schema)
            && !choices.contains(&value)
        {
            self.no_choice(&self.path.clone(), value, &choices, noun(schema));
        }
        if let Some(target) = schema.get("$ref").and_then(|name| self.resolve(name)) {
            self.visit(value, target);
        }
        match value {
            Value::Number(number) => self.number(number, schema),
            Value::String(text) => self.text(text, schema),
            Value::Array(items) => self.list(items, schema),
            Value::Object(entries) => self.mapping(entries, schema),
            Value::Null | Value::Bool(_) => {}
        }
        for part in alternatives(schema, "allOf") {
            self.visit(value, part);
        }
        for keyword in ["anyOf", "oneOf"] {
            if schema.contains_key(keyword) {
                self.choose(value, schema, alternatives(schema, keyword));
            }
        }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn resolve(&self, reference: &Value) -> Option<&'a Value> {
        self.root.pointer(reference.as_str()?.strip_prefix('#')?)
    }

    /// The schema behind references, if it is more than `true` or `false`.
    pub(super) fn behind(&self, schema: &'a Value) -> Option<&'a Schema> {
        let follow = |schema: &&'a Value| schema.get("$ref").and_then(|name| self.resolve(name));
        std::iter::successors(Some(schema), follow).take(DEEPEST).last().and_then(Value::as_object)
    }

    /// Goes into a part of the value.
    fn enter(&mut self, path: Path, value: &Value, schema: &'a Value) {
        let outer = std::mem::replace(&mut self.path, path);
        self.visit(value, schema);
        self.path = outer;
    }

    pub(super) fn wrong_kind(&mut self, value: &Value, expected: &BTreeSet<Kind>) {
        let expected_words = kind::in_words(expected);
        let message = format!("expected {expected_words}, found {}", kind::found(value));
        let problem = Problem::value(&self.path, message).label(format!("expected {expected_words}"));
        let remedy = kind::remedy(value, expected);
        self.report(Problem { remedy, ..problem });
    }

    pub(super) fn no_choice(&mut self, path: &Path, value: &Value, choices: &[&Value], noun: Option<&str>) {
        let shown: Vec<_> = choices.iter().map(|choice| kind::shown(choice)).collect();
        let label = if shown.len() > MOST_NAMES { listed(&shown) } else { kind::joined(&shown) };
        let problem = match (value, noun) {
            (Value::String(text), noun) => format!("unknown {} {}", noun.unwrap_or("value"), quoted(text)),
            (other, _) => format!("expected {}, found {}", kind::joined(&shown), kind::found(other)),
        };
        let problem = Problem::value(path, problem).label(format!("expected {label}"));
        let texts = choices.iter().filter_map(|choice| choice.as_str());
        let near = value.as_str().and_then(|text| nearest(text, texts));
        self.report(Problem { remedy: near.map(did_you_mean), ..problem });
    }

    fn number(&mut self, number: &Number, schema: &Schema) {
        type Holds = fn(f64, f64) -> bool;
        let bounds: [(&str, &str, Holds); 4] = [
            ("minimum", "at least", |value, bound| value >= bound),
            ("exclusiveMinimum", "more than", |value, bound| value > bound),
            ("maximum", "at most", |value, bound| value <= bound),
            ("exclusiveMaximum", "less than", |value, bound| value < bound),
        ];
        for (keyword, words, holds) in bounds {
            let Some(bound) = schema.get(keyword) else { continue };
            if !number.as_f64().zip(bound.as_f64()).is_none_or(|(value, bound)| holds(value, bound)) {
                let expected = format!("expected a number of {words} {bound}");
                self.report(Problem::value(&self.path, format!("{expected}, found {number}")).label(expected));
            }
        }
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        if whole.zip(range(schema)).is_some_and(|(whole, range)| !range.contains(&whole)) {
            let problem = Problem::value(&self.path, format!("the number {number} is out of range"));
            self.report(problem.label("out of range").remedy("write a number nearer to 0"));
        }
    }

    fn text(&mut self, text: &str, schema: &Schema) {
        let length = text.chars().count();
        self.amount("character", length, bound(schema, "minLength"), bound(schema, "maxLength"));
    }

    fn list(&mut self, items: &[Value], schema: &'a Schema) {
        self.amount("item", items.len(), bound(schema, "minItems"), bound(schema, "maxItems"));
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.unique(items);
        }
        if let Some(inner) = schema.get("items") {
            for (position, item) in items.iter().enumerate() {
                self.enter(self.path.index(position), item, inner);
            }
        }
    }

    fn unique(&mut self, items: &[Value]) {
        let mut seen = BTreeMap::new();
        for (position, item) in items.iter().enumerate() {
            let first = *seen.entry(item.to_string()).or_insert(position);
            if first != position {
                let problem =
                    Problem::value(&self.path.index(position), format!("{} is listed twice", kind::found(item)));
                let problem = problem.label("again").also(At::Value(self.path.index(first)), "first here");
                self.report(problem.remedy("keep one of them"));
            }
        }
    }

    fn mapping(&mut self, entries: &Map<String, Value>, schema: &'a Schema) {
        let noun = noun(schema).unwrap_or("key");
        self.amount(noun, entries.len(), bound(schema, "minProperties"), bound(schema, "maxProperties"));
        let properties = properties(schema);
        let known: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let mut meant = BTreeSet::new();
        for (key, value) in entries {
            match (properties.and_then(|properties| properties.get(key)), schema.get("additionalProperties")) {
                (Some(inner), _) => self.enter(self.path.key(key), value, inner),
                (None, Some(Value::Bool(false))) => meant.extend(self.unknown(key, &known, entries, noun)),
                (None, Some(inner)) => self.enter(self.path.key(key), value, inner),
                (None, None) => {}
            }
        }
        for key in required(schema).filter(|key| !entries.contains_key(*key) && !meant.contains(key)) {
            self.missing(key, properties);
        }
    }

    /// Reports an unknown key, and returns the key that was probably meant.
    pub(super) fn unknown<'k>(
        &mut self,
        key: &str,
        known: &[&'k str],
        entries: &Map<String, Value>,
        noun: &str,
    ) -> Option<&'k str> {
        let free = known.iter().copied().filter(|known| !entries.contains_key(*known));
        let near = nearest(key, free);
        let label = if noun == "key" { format!("not a key of {}", self.owner()) } else { format!("not a {noun}") };
        let problem = Problem::key(&self.path.key(key), format!("unknown {noun} {}", quoted(key))).label(label);
        let names: Vec<_> = known.iter().map(|name| quoted(name)).collect();
        let remedy = near.map_or_else(|| format!("known {noun}s: {}", listed(&names)), did_you_mean);
        let remedy = if known.is_empty() { "remove it, nothing may stand here".to_owned() } else { remedy };
        self.report(problem.remedy(remedy));
        near
    }

    fn missing(&mut self, key: &str, properties: Option<&'a Map<String, Value>>) {
        let schema = properties.and_then(|properties| properties.get(key)).and_then(|schema| self.behind(schema));
        let problem = Problem::key(&self.path, format!("missing key {}", quoted(key)));
        self.report(problem.label(format!("needs {}", quoted(key))).remedy(kind::line_to_add(key, schema)));
    }

    /// What an entry belongs to, for "not a key of ...".
    fn owner(&self) -> String {
        match self.path.steps().last() {
            None => "the spec".to_owned(),
            Some(Step::Key(key)) => key.clone(),
            Some(Step::Index(_)) => self.path.to_string(),
        }
    }

    pub(super) fn amount(&mut self, noun: &str, found: usize, least: Option<usize>, most: Option<usize>) {
        let (least_fits, most_fits) = (least.is_none_or(|least| found >= least), most.is_none_or(|most| found <= most));
        let expected = match (least, most) {
            (Some(least), Some(most)) if least == most && !(least_fits && most_fits) => count(least, noun),
            (Some(least), _) if !least_fits => format!("at least {}", count(least, noun)),
            (_, Some(most)) if !most_fits => format!("at most {}", count(most, noun)),
            _ => return,
        };
        let problem = Problem::value(&self.path, format!("expected {expected}, found {found}"));
        let problem = problem.label(format!("expected {expected}"));
        let remedy = match self.path.steps().last() {
            _ if most != Some(1) || found < 2 => None,
            Some(Step::Index(_)) => Some(format!("start each {noun} with `- `")),
            _ => Some("keep one of them".to_owned()),
        };
        self.report(Problem { remedy, ..problem });
    }
}

pub(super) fn alternatives<'a>(schema: &'a Schema, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn properties(schema: &Schema) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

pub(super) fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    alternatives(schema, "required").iter().filter_map(Value::as_str)
}

pub(super) fn noun(schema: &Schema) -> Option<&str> {
    schema.get("x-noun").and_then(Value::as_str)
}

/// What a whole number's type can hold, where its schema tells by a format only and not by a bound.
fn range(schema: &Schema) -> Option<RangeInclusive<i128>> {
    match schema.get("format")?.as_str()? {
        "int32" => Some(i32::MIN.into()..=i32::MAX.into()),
        "uint32" => Some(i128::MIN..=u32::MAX.into()),
        "int" | "int64" => Some(i64::MIN.into()..=i64::MAX.into()),
        _ => None,
    }
}

fn bound(schema: &Schema, keyword: &str) -> Option<usize> {
    schema.get(keyword).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok())
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean {}?", quoted(name))
}

pub(super) fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let head = names[..names.len() - more].join(", ");
    if more == 0 { head } else { format!("{head} and {more} more") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
