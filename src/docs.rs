//! Everything that is generated from the lists of checks and sources: the JSON Schema of the spec, the pages of the docs,
//! `explain`.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema as _, SchemaGenerator};
use serde_json::{Value, json};

use crate::artifact;
use crate::check::Kind;
use crate::checks::CHECKS;
use crate::spec::written::{Severity, Written};

/// The JSON Schema of `modelgate.yaml`.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let kinds: serde_json::Map<String, Value> =
        CHECKS.iter().map(|kind| (kind.name.to_owned(), with_severity(kind, &mut generator))).collect();
    let mut root = generator.into_root_schema_for::<Written>().to_value();
    if let Some(items) = root.pointer_mut("/properties/checks/items") {
        *items = json!({
            "type": "object",
            "properties": kinds,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "x-noun": "check",
        });
    }
    root
}

/// Every check takes a severity beside its own keys.
fn with_severity(kind: &Kind, generator: &mut SchemaGenerator) -> Value {
    let severity = generator.subschema_for::<Severity>().to_value();
    let mut schema = (kind.schema)(generator).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("severity".to_owned(), severity);
    }
    schema
}

/// The page of a check: its doc comment, and a table of its keys.
#[must_use]
pub fn page(kind: &Kind) -> String {
    let schema = (kind.schema)(&mut SchemaGenerator::default()).to_value();
    let mut page = format!("{}\n\n## Keys\n\n", text(kind.name, &schema));
    page.push_str("| key | default | meaning |\n|---|---|---|\n");
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let _ = writeln!(page, "| `{key}` | {} | {} |", default(&schema, key, property), meaning(property));
    }
    let _ = writeln!(
        page,
        "| `severity` | `block` | {} |",
        meaning(&Severity::json_schema(&mut SchemaGenerator::default()).to_value())
    );
    page
}

/// The page of a source: its doc comment.
#[must_use]
pub fn source_page(kind: &artifact::Kind) -> String {
    text(kind.name, &(kind.schema)(&mut SchemaGenerator::default()).to_value()) + "\n"
}

/// A doc comment as a page, its sections below the name.
fn text(name: &str, schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let (summary, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    format!("# {name}\n\n{summary}\n\n{}", rest.replace("\n# ", "\n## ").replacen("# ", "## ", 1))
}

/// The first line of a check's page.
#[must_use]
pub fn summary(kind: &Kind) -> String {
    let schema = (kind.schema)(&mut SchemaGenerator::default()).to_value();
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split("\n\n").next().unwrap_or_default().replace('\n', " ")
}

fn default(schema: &Value, key: &str, property: &Value) -> String {
    let required = schema.get("required").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|k| k == key));
    match property.get("default") {
        Some(value) if !value.is_null() => format!("`{}`", value.to_string().trim_matches('"')),
        _ if required => "required".to_owned(),
        _ => String::new(),
    }
}

fn meaning(property: &Value) -> String {
    let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}
