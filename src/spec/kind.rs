//! The kinds of values, in the words of a person: what was found, what a schema expects, what to write instead.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::source::quoted;

/// A JSON Schema that is not just `true` or `false`.
pub type Schema = Map<String, Value>;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Text.
    Text,
    /// A number without a fraction.
    Whole,
    /// A number with a fraction; where it is expected, a whole one fits too.
    Number,
    /// `true` or `false`.
    Truth,
    /// A list.
    List,
    /// A mapping.
    Mapping,
    /// No value.
    Nothing,
}

use Kind::{List, Mapping, Nothing, Number, Text, Truth, Whole};

impl Kind {
    const ALL: [Self; 6] = [Text, Number, Truth, List, Mapping, Nothing];

    /// The kind of a value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Nothing,
            Value::Bool(_) => Truth,
            Value::Number(number) if number.is_f64() => Number,
            Value::Number(_) => Whole,
            Value::String(_) => Text,
            Value::Array(_) => List,
            Value::Object(_) => Mapping,
        }
    }

    /// Whether a value of this kind stands where `expected` is expected.
    pub fn fits(self, expected: &BTreeSet<Self>) -> bool {
        expected.contains(&self) || (self == Whole && expected.contains(&Number))
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Text,
            "integer" => Whole,
            "number" => Number,
            "boolean" => Truth,
            "array" => List,
            "object" => Mapping,
            "null" => Nothing,
            _ => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Text => "a text",
            Whole => "a whole number",
            Number => "a number",
            Truth => "`true` or `false`",
            List => "a list",
            Mapping => "a mapping",
            Nothing => "nothing",
        }
    }

    fn placeholder(self) -> &'static str {
        match self {
            Text => "<text>",
            Whole => "<whole number>",
            Number => "<number>",
            Truth => "true",
            List => "[...]",
            Mapping => "{ ... }",
            Nothing => "null",
        }
    }
}

/// The kinds that a schema's own `type`, `const` or `enum` permits; all, if it has none of them.
pub fn expected(schema: &Schema) -> BTreeSet<Kind> {
    match schema.get("type") {
        Some(Value::String(name)) => Kind::named(name).into_iter().collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).filter_map(Kind::named).collect(),
        _ => match choices(schema) {
            Some(choices) => choices.into_iter().map(Kind::of).collect(),
            None => Kind::ALL.into(),
        },
    }
}

/// The values that a schema's own `const` or `enum` permits.
pub fn choices(schema: &Schema) -> Option<Vec<&Value>> {
    let listed = schema.get("enum").and_then(Value::as_array).map(|choices| choices.iter().collect());
    listed.or_else(|| schema.get("const").map(|only| vec![only]))
}

/// The kinds as in "a number or a list"; `nothing` only if nothing else may stand.
pub fn in_words(kinds: &BTreeSet<Kind>) -> String {
    let words: Vec<_> = kinds.iter().filter(|kind| **kind != Nothing).map(|kind| kind.words().to_owned()).collect();
    if words.is_empty() { Nothing.words().to_owned() } else { joined(&words) }
}

/// `a`, `b` or `c`.
pub fn joined(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A value as a message repeats it: "the text `abc`", "a list".
pub fn found(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {}", quoted(text)),
        Value::Number(number) => format!("the number {number}"),
        Value::Bool(truth) => format!("`{truth}`"),
        other => Kind::of(other).words().to_owned(),
    }
}

/// A choice as a message repeats it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => format!("`{other}`"),
    }
}

/// What to write where a value is of the wrong kind, if its text tells.
pub fn remedy(value: &Value, expected: &BTreeSet<Kind>) -> Option<String> {
    let wants = |kind| expected.contains(&kind);
    let scalar = !matches!(value, Value::Array(_) | Value::Object(_) | Value::Null);
    match value {
        Value::String(text) if text.parse::<f64>().is_ok_and(f64::is_finite) && (wants(Number) || wants(Whole)) => {
            Some(format!("remove the quotes: {text}"))
        }
        Value::String(text) if wants(Truth) && ["yes", "on"].contains(&text.as_str()) => {
            Some("write `true`".to_owned())
        }
        Value::String(text) if wants(Truth) && ["no", "off"].contains(&text.as_str()) => {
            Some("write `false`".to_owned())
        }
        Value::Number(_) | Value::Bool(_) if wants(Text) => Some(format!("put it in quotes: \"{value}\"")),
        _ if scalar && wants(List) => Some(format!("write a list: [{}]", plain(value))),
        Value::Object(_) if wants(List) => Some("start each item with `- `".to_owned()),
        _ => None,
    }
}

/// The line that adds a missing key.
pub fn line_to_add(key: &str, schema: Option<&Schema>) -> String {
    let Some(schema) = schema else { return format!("add `{key}: ...`") };
    if let Some(choices) = choices(schema) {
        let choices: Vec<_> = choices.into_iter().map(plain).collect();
        return match choices.as_slice() {
            [only] => format!("add `{key}: {only}`"),
            many => format!("add `{key}: ...` with one of {}", many.join(", ")),
        };
    }
    let kinds = expected(schema);
    let kind = if kinds.len() < Kind::ALL.len() { kinds.iter().find(|kind| **kind != Nothing) } else { None };
    format!("add `{key}: {}`", kind.map_or("...", |kind| kind.placeholder()))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| quoted(text).trim_matches('`').to_owned())
}
