//! Documents against the schemas of types as a spec has them: every message, its place and its remedy.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::spec::problem::Problems;

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
struct Spec {
    version: u32,
    model: Model,
    candidate: Scorer,
    baseline: Option<Baseline>,
    #[serde(default)]
    slices: Vec<Slice>,
    #[schemars(extend("minItems" = 1))]
    checks: Vec<Check>,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
struct Model {
    #[schemars(length(min = 1))]
    name: String,
    task: Task,
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    owners: Vec<String>,
}

#[derive(JsonSchema, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    /// Two classes.
    Binary,
    /// More than two.
    Multiclass,
    /// A number.
    Regression,
}

#[derive(JsonSchema, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
enum Scorer {
    Onnx(String),
    Column(String),
    Http { url: String },
}

#[derive(JsonSchema, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
enum Baseline {
    Word(Word),
    Registry { mlflow: String, on_missing: Option<Word> },
    Tagged(Tagged),
}

#[derive(JsonSchema, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Fail,
    AbsoluteOnly,
}

#[derive(JsonSchema, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
enum Tagged {
    File { path: String },
    Git { commit: String },
}

#[derive(JsonSchema, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
enum Slice {
    By(By),
    Where(Where),
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
struct By {
    by: Names,
}

#[derive(JsonSchema, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
struct Where {
    name: String,
    r#where: String,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-noun" = "check", "minProperties" = 1, "maxProperties" = 1))]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
struct Check {
    #[serde(rename = "performance.metric")]
    metric: Option<Metric>,
    #[serde(rename = "performance.regression")]
    regression: Option<Metric>,
    #[serde(rename = "data.schema")]
    schema: Option<bool>,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema and whether it can be decoded matter")]
struct Metric {
    metric: String,
    min: Option<f64>,
    #[schemars(range(min = 0.0, max = 1.0))]
    max_drop: Option<f64>,
}

const GOOD: &str = "\
version: 1
model: { name: flight-delay, task: binary, owners: [a, b] }
candidate: { onnx: models/candidate.onnx }
baseline: { mlflow: \"models:/m@champion\", on_missing: fail }
slices:
  - by: carrier
  - by: [origin, season]
  - { name: long-haul, where: \"distance > 1500\" }
checks:
  - performance.metric: { metric: roc_auc, min: 0.70 }
  - performance.regression: { metric: roc_auc, max_drop: 0.01 }
  - data.schema: true
";

fn problems(text: &str) -> Problems {
    let document = Document::read("modelgate.yaml", text.as_bytes()).unwrap();
    Problems::new(&document, check(&document, schema_for!(Spec).as_value()))
}

#[test]
fn what_has_the_shape_has_no_problem_and_can_be_decoded() {
    let variants =
        ["fail", "absolute-only", "~", "{ kind: git, commit: abc }", "{ kind: file, path: a }", "{ mlflow: a }"];
    for baseline in variants {
        let text = GOOD.replace("{ mlflow: \"models:/m@champion\", on_missing: fail }", baseline);
        let document = Document::read("modelgate.yaml", text.as_bytes()).unwrap();
        assert_eq!(problems(&text).to_string(), "0 problems in modelgate.yaml");
        assert!(serde_json::from_value::<Spec>(document.value().clone()).is_ok(), "{baseline}");
    }
}

/// A line of the good spec, what is written instead, the message, and the remedy or else the label.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("version: 1", "version: \"1\"", "expected a whole number, found the text `1`", "remove the quotes: 1"),
    ("version: 1", "version: 1.0", "expected a whole number, found the number 1.0", "expected a whole number"),
    ("version: 1", "version: -1", "expected a number of at least 0, found -1", "expected a number of at least 0"),
    ("version: 1", "version: 5000000000", "the number 5000000000 is out of range", "write a number nearer to 0"),
    ("version: 1\n", "", "missing key `version`", "add `version: <whole number>`"),
    ("task: binary, ", "", "missing key `task`", "add `task: ...`"),
    ("task: binary", "task: Binary", "unknown value `Binary`", "did you mean `binary`?"),
    ("task: binary", "task: rank", "unknown value `rank`", "expected `binary`, `multiclass` or `regression`"),
    ("task: binary", "task: 3", "expected a text, found the number 3", "put it in quotes: \"3\""),
    ("name: flight-delay", "name: ''", "expected at least 1 character, found 0", "expected at least 1 character"),
    ("owners: [a, b]", "owners: a", "expected a list, found the text `a`", "write a list: [a]"),
    ("owners: [a, b]", "owners: [a, b, a]", "the text `a` is listed twice", "keep one of them"),
    ("owners: [a, b]", "owners: { a: b }", "expected a list, found a mapping", "start each item with `- `"),
    ("{ onnx: ", "{ onxn: ", "unknown key `onxn`", "did you mean `onnx`?"),
    ("{ onnx: ", "{ docker: ", "unknown key `docker`", "known keys: `onnx`, `column`, `http`"),
    ("{ onnx: ", "{ column: a, onnx: ", "expected 1 key, found 2", "keep one of them"),
    (
        "{ onnx: models/candidate.onnx }",
        "{}",
        "expected a key, found an empty mapping",
        "known keys: `onnx`, `column`, `http`",
    ),
    ("{ onnx: models/candidate.onnx }", "{ http: { ulr: a } }", "unknown key `ulr`", "did you mean `url`?"),
    ("{ onnx: models/candidate.onnx }", "a.onnx", "expected a mapping, found the text `a.onnx`", "expected a mapping"),
    ("{ onnx: models/candidate.onnx }", "", "expected a mapping, found nothing", "expected a mapping"),
    ("on_missing: fail", "on_missing: fial", "unknown value `fial`", "did you mean `fail`?"),
    (
        "{ mlflow: \"models:/m@champion\", on_missing: fail }",
        "absolut-only",
        "unknown value `absolut-only`",
        "did you mean `absolute-only`?",
    ),
    (
        "{ mlflow: \"models:/m@champion\", on_missing: fail }",
        "{ kind: git }",
        "missing key `commit`",
        "add `commit: <text>`",
    ),
    (
        "{ mlflow: \"models:/m@champion\", on_missing: fail }",
        "[a]",
        "expected a text or a mapping, found a list",
        "expected a text or a mapping",
    ),
    ("by: carrier", "by: 3", "expected a text or a list, found the number 3", "put it in quotes: \"3\""),
    ("by: [origin, season]", "by: [origin, 3]", "expected a text, found the number 3", "put it in quotes: \"3\""),
    (", where: ", ", were: ", "unknown key `were`", "did you mean `where`?"),
    (", where: \"distance > 1500\"", "", "missing key `where`", "add `where: <text>`"),
    (
        "performance.metric:",
        "performance.metrics:",
        "unknown check `performance.metrics`",
        "did you mean `performance.metric`?",
    ),
    (
        "performance.metric:",
        "drift:",
        "unknown check `drift`",
        "known checks: `performance.metric`, `performance.regression`, `data.schema`",
    ),
    ("  - data.schema", "    data.schema", "expected 1 check, found 2", "start each check with `- `"),
    ("data.schema: true", "data.schema: yes", "expected `true` or `false`, found the text `yes`", "write `true`"),
    ("min: 0.70", "min: \"0.70\"", "expected a number, found the text `0.70`", "remove the quotes: 0.70"),
    ("min: 0.70", "min: abc", "expected a number, found the text `abc`", "expected a number"),
    (
        "max_drop: 0.01",
        "max_drop: 1.01",
        "expected a number of at most 1.0, found 1.01",
        "expected a number of at most 1.0",
    ),
    ("max_drop: 0.01", "max_dorp: 0.01", "unknown key `max_dorp`", "did you mean `max_drop`?"),
    ("max_drop: 0.01", "x: 1", "unknown key `x`", "known keys: `metric`, `min`, `max_drop`"),
    ("metric: roc_auc, max_drop", "max_drop", "missing key `metric`", "add `metric: <text>`"),
];

#[test]
fn each_fault_is_one_problem_with_its_remedy() {
    for (line, instead, message, remedy) in CASES {
        let text = GOOD.replacen(line, instead, 1);
        assert_ne!(text, GOOD, "{line:?} is not in the good spec");
        let problems = problems(&text);
        let shown = problems.to_string();
        assert_eq!(problems.messages().map(|(_, message)| message).collect::<Vec<_>>(), [*message], "{instead:?}");
        assert!(shown.contains(&format!(" {remedy}")), "{remedy:?} is not in\n{shown}");
    }
}

#[test]
fn every_problem_of_a_spec_is_shown_in_one_run() {
    let text = "\
version: 1
model: { nam: flight-delay, task: binary }
candidate: { onnx: a.onnx }
checks:
  - performance.regression: { metric: roc_auc, max_dorp: 0.01 }
  - performance.metrics: { metric: roc_auc }
  - performance.metric: { min: high }
";
    let expected = "\
error: unknown key `nam`
 --> modelgate.yaml:2:10
  |
2 | model: { nam: flight-delay, task: binary }
  |          ^^^ not a key of model
  |
  = help: did you mean `name`?

error: unknown key `max_dorp`
 --> modelgate.yaml:5:48
  |
5 |   - performance.regression: { metric: roc_auc, max_dorp: 0.01 }
  |                                                ^^^^^^^^ not a key of performance.regression
  |
  = help: did you mean `max_drop`?

error: unknown check `performance.metrics`
 --> modelgate.yaml:6:5
  |
6 |   - performance.metrics: { metric: roc_auc }
  |     ^^^^^^^^^^^^^^^^^^^ not a check
  |
  = help: did you mean `performance.metric`?

error: missing key `metric`
 --> modelgate.yaml:7:5
  |
7 |   - performance.metric: { min: high }
  |     ^^^^^^^^^^^^^^^^^^ needs `metric`
  |
  = help: add `metric: <text>`

error: expected a number, found the text `high`
 --> modelgate.yaml:7:32
  |
7 |   - performance.metric: { min: high }
  |                                ^^^^ expected a number

5 problems in modelgate.yaml";
    assert_eq!(problems(text).to_string(), expected);
}

#[test]
fn a_constant_that_tells_alternatives_apart_is_named() {
    let document = Document::read("modelgate.yaml", b"kind: gti\ncommit: abc\n").unwrap();
    let problems = Problems::new(&document, check(&document, schema_for!(Tagged).as_value()));
    assert_eq!(problems.messages().collect::<Vec<_>>(), [(Some(1), "unknown value `gti`")]);
    assert!(problems.to_string().contains("did you mean `git`?"));
}

#[test]
fn a_part_can_be_checked_alone() {
    let document = Document::read("modelgate.yaml", GOOD.as_bytes()).unwrap();
    let root = schema_for!(Spec).to_value();
    let path = Path::root().key("model");
    assert_eq!(check_at(&document, &path, &root["$defs"]["Model"], &root), []);
    let problems = check_at(&document, &path, &root["$defs"]["By"], &root);
    assert_eq!(problems.len(), 4);
    assert_eq!(check_at(&document, &path.key("none"), &json!(true), &root).len(), 1);
}

#[test]
fn schemas_that_turn_in_circles_end() {
    let document =
        Document::read("modelgate.yaml", format!("{}2{}", "[".repeat(32), "]".repeat(32)).as_bytes()).unwrap();
    let branch = json!({"type": "array", "items": {"$ref": "#"}});
    let circles = [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"anyOf": [branch, branch, branch, {"const": 1}]}),
    ];
    for schema in circles {
        assert!(!check(&document, &schema).is_empty(), "{schema}");
    }
}
