//! The catalogue of metrics, one of each kind, for tests that go through all of them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;

use modelgate::stats::Metric;
use serde_json::{Value, json};

/// One of each kind of metric.
pub(crate) fn every_metric() -> Vec<Metric> {
    let schema = serde_json::to_value(schemars::schema_for!(Metric)).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap();
    kinds.iter().flat_map(kind).map(|kind| serde_json::from_value(kind).unwrap()).collect()
}

/// The metrics of one alternative of the schema: a name, several, or a mapping of a name with its parameters.
fn kind(schema: &Value) -> Vec<Value> {
    if let Some(name) = schema.get("const") {
        return vec![name.clone()];
    }
    if let Some(names) = schema["enum"].as_array() {
        return names.clone();
    }
    let (name, parameters) = schema["properties"].as_object().unwrap().iter().next().unwrap();
    let parameters = parameters["properties"].as_object().unwrap().keys();
    let parameters = parameters.map(|parameter| (parameter.clone(), example(parameter))).collect();
    vec![json!({ name.clone(): Value::Object(parameters) })]
}

fn example(parameter: &str) -> Value {
    match parameter {
        "beta" | "false_positive" => json!(2.0),
        "false_negative" => json!(5.0),
        "true_positive" | "true_negative" => json!(0.0),
        "share" | "quantile" => json!(0.3),
        "k" => json!(3),
        "precision" | "specificity" => json!(0.6),
        "bins" => json!(5),
        "class" | "name" | "numerator" => json!("a"),
        "denominator" => json!("1"),
        "weights" => json!("linear"),
        "better" => json!("higher"),
        other => panic!("no example of the parameter `{other}`"),
    }
}

#[test]
fn every_metric_has_a_name_of_its_own() {
    let metrics = every_metric();
    let names = metrics.iter().map(Metric::name).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), metrics.len());
    assert!(metrics.len() >= 60 && names.contains("f_beta(beta=2)"), "{names:?}");
}
