//! Pairs of specs that differ in one edit, and what each difference means.

use std::fs;
use std::path::Path as FilePath;

use proptest::prelude::*;

use super::Direction::{Neutral, Tightening, Weakening};
use super::*;

const BASE: &str = r#"version: 1
model:
  name: flights
  task: binary
  tier: medium
  owners: ["@acme/delays", "@acme/data"]
candidate: { onnx: models/candidate.onnx }
baseline: { onnx: models/baseline.onnx }
columns:
  id: flight_id
  label: delayed
  time: scheduled_at
  entity: tail_number
  features: [carrier, origin, distance]
  protected: [age, sex]
data:
  train: data/train.parquet
  test: data/test.parquet
  history: [data/a.parquet, data/b.parquet]
slices:
  - by: carrier
  - by: [origin, season]
  - { name: long-haul, where: "distance > 1500" }
policy:
  false_block: 0.04
  min_rows: 200
  on_inconclusive: { overall: fail, slice: warn }
suites:
  check-in: { on: [pull_request, merge_group], checks: ["performance.*", data.schema] }
  release: { on: ["tag:v*", release], checks: ["*"] }
checks:
  - performance.metric: { metric: roc_auc, min: 0.70, slices: [carrier, long-haul] }
  - performance.regression: { metric: roc_auc, max_drop: 0.01, slices: all }
  - performance.regression: { metric: log_loss, max_rise: 1%, severity: warn }
  - data.schema: { columns: { distance: { type: integer }, carrier: { type: text, nullable: true } } }
  - drift.prediction: { max_distance: 0.2, max_flips: 12% }
  - drift.feature: { features: [dep_hour, temp], max_distance: 0.15 }
  - robustness.sensitivity: { noise: 0.1, max_loss: 0.02 }
  - leakage.overlap: { between: [train, test], max_share: 0.1 }
  - backtest: { window: month, embargo: 7d, metric: roc_auc, max_drop: 0.02, worst_factor: 3 }
"#;

fn spec(text: &str) -> Spec {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelgate.yaml");
    fs::write(&path, text).unwrap();
    Spec::read(&path).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The base with texts replaced, each of which it has once.
fn edited(edits: Edits<'_>) -> String {
    edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}

fn between(base: &str, head: &str) -> Vec<(String, Direction)> {
    changes(&spec(base), &spec(head)).into_iter().map(|change| (change.path, change.direction)).collect()
}

type Edits<'e> = &'e [(&'e str, &'e str)];
type Expected<'e> = &'e [(&'e str, Direction)];

#[track_caller]
fn expect(base: &str, head: &str, expected: Expected<'_>) {
    let expected: Vec<_> = expected.iter().map(|(path, direction)| ((*path).to_owned(), *direction)).collect();
    assert_eq!(between(base, head), expected, "\n{head}");
}

/// Each edit, what it means, and what it means to take it back.
fn both_ways(cases: &[(Edits<'_>, Expected<'_>, Expected<'_>)]) {
    for (edits, there, back) in cases {
        let head = edited(edits);
        expect(BASE, &head, there);
        expect(&head, BASE, back);
    }
}

fn one_way(cases: &[(Edits<'_>, Expected<'_>)]) {
    for (edits, there) in cases {
        expect(BASE, &edited(edits), there);
    }
}

#[test]
fn what_means_the_same_is_no_change() {
    let same: &[Edits<'_>] = &[
        &[],
        &[("version: 1\n", "# a comment\nversion:   1\n\n")],
        &[("  name: flights\n  task: binary\n", "  task: 'binary'\n  name: \"flights\"\n")],
        &[("max_rise: 1%", "max_rise: 1.0%")],
        &[("max_rise: 1%", "max_rise: \"1 %\"")],
        &[("min: 0.70", "min: 7.0e-1")],
        &[("max_flips: 12%", "max_flips: 0.12")],
        &[("tier: medium\n", "tier: medium\n  threshold: 0.5\n")],
        &[("tier: medium\n", "tier: medium\n  threshold: { candidate: 0.5, baseline: 0.5 }\n")],
        &[("min_rows: 200\n", "min_rows: 200\n  min_positives: 20\n  false_ship: 0.05\n")],
        &[("  on_inconclusive: { overall: fail, slice: warn }\n", "")],
        &[("min: 0.70,", "min: 0.70, data: test, severity: block,")],
        &[("{ noise: 0.1, max_loss: 0.02 }", "{ metric: roc_auc, max_loss: 0.02, max_flips: 0.05 }")],
        &[("between: [train, test],", "between: [train, test], on: [features, id, entity],")],
        &[("slices: all", "slices: [long-haul, carrier, \"origin,season\"]")],
        &[("max_rise: 1%,", "max_rise: 1%, slices: none,")],
        &[("- by: carrier", "- by: [carrier]")],
        &[("train: data/train.parquet", "train: [data/train.parquet]")],
        &[("[data/a.parquet, data/b.parquet]", "[data/b.parquet, data/a.parquet, data/b.parquet]")],
        &[("[\"performance.*\", data.schema]", "[data.schema, performance.regression, performance.metric]")],
        &[("checks: [\"*\"]", "checks: [\"*.*\", back*]")],
        &[("[pull_request, merge_group]", "[merge_group, pull_request]")],
        &[("[\"@acme/delays\", \"@acme/data\"]", "[\"@acme/data\", \"@acme/delays\"]")],
    ];
    for edits in same {
        expect(BASE, &edited(edits), &[]);
        expect(&edited(edits), BASE, &[]);
    }
}

#[test]
fn the_order_of_checks_and_slices_has_no_meaning() {
    let (start, checks) = BASE.split_once("checks:\n  - perf").unwrap();
    let checks = format!("  - perf{checks}");
    let reversed: String = checks.lines().rev().map(|line| format!("{line}\n")).collect();
    expect(BASE, &format!("{start}checks:\n{reversed}"), &[]);
    let slices = "  - by: carrier\n  - by: [origin, season]\n";
    expect(BASE, &edited(&[(slices, "  - by: [origin, season]\n  - by: carrier\n")]), &[]);
}

#[test]
fn the_model() {
    both_ways(&[
        (&[("name: flights", "name: planes")], &[("model.name", Weakening)], &[("model.name", Weakening)]),
        (
            &[("medium\n", "medium\n  threshold: 0.4\n")],
            &[("model.threshold", Weakening)],
            &[("model.threshold", Weakening)],
        ),
        (
            &[("medium\n", "medium\n  threshold: { candidate: 0.4, baseline: 0.5 }\n")],
            &[("model.threshold", Weakening)],
            &[("model.threshold", Weakening)],
        ),
        (
            &[("medium\n", "medium\n  threshold: { share: 0.1 }\n")],
            &[("model.threshold", Weakening)],
            &[("model.threshold", Weakening)],
        ),
        (&[("tier: medium", "tier: low")], &[("model.tier", Weakening)], &[("model.tier", Tightening)]),
        (&[("  tier: medium\n", "")], &[("model.tier", Weakening)], &[("model.tier", Tightening)]),
        (
            &[(", \"@acme/data\"]", "]")],
            &[("model.owners[@acme/data]", Weakening)],
            &[("model.owners[@acme/data]", Neutral)],
        ),
        (&[("candidate.onnx", "other.onnx")], &[("candidate.onnx", Neutral)], &[("candidate.onnx", Neutral)]),
        (
            &[("{ onnx: models/candidate.onnx }", "{ http: https://acme.com/invocations }")],
            &[
                ("candidate.http", Weakening),
                ("candidate.batch_rows", Neutral),
                ("candidate.concurrency", Neutral),
                ("candidate.onnx", Neutral),
                ("candidate.seconds", Neutral),
            ],
            &[
                ("candidate.batch_rows", Neutral),
                ("candidate.concurrency", Neutral),
                ("candidate.http", Neutral),
                ("candidate.onnx", Neutral),
                ("candidate.seconds", Neutral),
            ],
        ),
        (
            &[("{ onnx: models/candidate.onnx }", "{ mlflow: models:/delays@champion }")],
            &[
                ("candidate.mlflow", Weakening),
                ("candidate.memory_mib", Neutral),
                ("candidate.onnx", Neutral),
                ("candidate.seconds", Neutral),
            ],
            &[
                ("candidate.memory_mib", Neutral),
                ("candidate.mlflow", Neutral),
                ("candidate.onnx", Neutral),
                ("candidate.seconds", Neutral),
            ],
        ),
        (
            &[("{ onnx: models/candidate.onnx }", "{ column: score }")],
            &[("candidate.column", Weakening), ("candidate.onnx", Neutral)],
            &[("candidate.column", Neutral), ("candidate.onnx", Neutral)],
        ),
        (&[("baseline.onnx", "other.onnx")], &[("baseline.onnx", Weakening)], &[("baseline.onnx", Weakening)]),
        (
            &[("baseline.onnx }", "baseline.onnx, on_missing: absolute-only }")],
            &[("baseline.on_missing", Weakening)],
            &[("baseline.on_missing", Tightening)],
        ),
        (
            &[("baseline.onnx }", "baseline.onnx, allow_same: true }")],
            &[("baseline.allow_same", Weakening)],
            &[("baseline.allow_same", Tightening)],
        ),
        (&[("baseline.onnx }", "baseline.onnx, on_missing: fail, allow_same: false }")], &[], &[]),
        (
            &[("baseline: { onnx: models/baseline.onnx }\n", "")],
            &[("baseline", Weakening)],
            &[("baseline", Tightening)],
        ),
    ]);
}

#[test]
fn another_task() {
    let regression = BASE
        .replace("task: binary", "task: regression")
        .replace("roc_auc, m", "rmse, m")
        .replace("max_drop: 0.01", "max_rise: 0.01");
    let changed = between(BASE, &regression);
    assert!(changed.contains(&("model.task".to_owned(), Weakening)), "{changed:?}");
    // What is not written is another metric and no threshold.
    assert!(changed.contains(&("model.threshold".to_owned(), Weakening)), "{changed:?}");
    assert!(changed.contains(&("checks.robustness.sensitivity[metric=roc_auc]".to_owned(), Weakening)), "{changed:?}");
}

#[test]
fn the_columns() {
    both_ways(&[
        (&[("id: flight_id", "id: row_id")], &[("columns.id", Weakening)], &[("columns.id", Weakening)]),
        (&[("label: delayed", "label: late")], &[("columns.label", Weakening)], &[("columns.label", Weakening)]),
        (&[("time: scheduled", "time: landed")], &[("columns.time", Weakening)], &[("columns.time", Weakening)]),
        (&[("  time: scheduled_at\n", "")], &[("columns.time", Weakening)], &[("columns.time", Tightening)]),
        (
            &[("  label: delayed\n", "  label: delayed\n  known_at: landed_at\n")],
            &[("columns.known_at", Tightening)],
            &[("columns.known_at", Weakening)],
        ),
        // Without entities, no overlap of entities is claimed either.
        (
            &[("  entity: tail_number\n", "")],
            &[("checks.leakage.overlap[between=train,test].on[entity]", Weakening), ("columns.entity", Weakening)],
            &[("checks.leakage.overlap[between=train,test].on[entity]", Tightening), ("columns.entity", Tightening)],
        ),
        (
            &[("origin, distance]", "origin, seats]")],
            &[("columns.features[distance]", Neutral), ("columns.features[seats]", Neutral)],
            &[("columns.features[distance]", Neutral), ("columns.features[seats]", Neutral)],
        ),
        (
            &[("[carrier, origin, distance]", "[origin, carrier, distance]")],
            &[("columns.features", Neutral)],
            &[("columns.features", Neutral)],
        ),
        (
            &[("[carrier, origin, distance]", "[origin, carrier, distance, seats]")],
            &[("columns.features", Neutral), ("columns.features[seats]", Neutral)],
            &[("columns.features", Neutral), ("columns.features[seats]", Neutral)],
        ),
        (
            &[("[age, sex]", "[age]")],
            &[("columns.protected[sex]", Weakening)],
            &[("columns.protected[sex]", Tightening)],
        ),
    ]);
}

#[test]
fn no_features_are_no_overlap_of_features() {
    let changed = between(BASE, &edited(&[("features: [carrier, origin, distance]", "features: []")]));
    let lost = ("checks.leakage.overlap[between=train,test].on[features]".to_owned(), Weakening);
    assert_eq!(changed.first(), Some(&lost));
}

#[test]
fn the_data() {
    both_ways(&[
        (&[("data/test.parquet", "data/easy.parquet")], &[("data.test", Weakening)], &[("data.test", Weakening)]),
        (&[(", data/b.parquet]", "]")], &[("data.history", Weakening)], &[("data.history", Weakening)]),
        (
            &[("data:\n", "data:\n  extra: data/extra.parquet\n")],
            &[("data.extra", Neutral)],
            &[("data.extra", Weakening)],
        ),
    ]);
}

#[test]
fn the_slices() {
    both_ways(&[
        (&[("> 1500", "> 3000")], &[("slices.long-haul", Weakening)], &[("slices.long-haul", Weakening)]),
        (
            &[("  - by: [origin, season]\n", "")],
            &[("slices.origin,season", Weakening)],
            &[("slices.origin,season", Tightening)],
        ),
        (
            &[("- by: carrier", "- { name: carrier, where: \"true\" }")],
            &[("slices.carrier", Weakening)],
            &[("slices.carrier", Weakening)],
        ),
        // A slice that is gone is told once, and not again for each check that named it.
        (
            &[("  - { name: long-haul, where: \"distance > 1500\" }\n", ""), ("[carrier, long-haul]", "[carrier]")],
            &[("slices.long-haul", Weakening)],
            &[("slices.long-haul", Tightening)],
        ),
    ]);
    let none = BASE
        .replace("slices:\n  - by: carrier\n  - by: [origin, season]\n", "")
        .replace("  - { name: long-haul, where: \"distance > 1500\" }\n", "");
    let none = none.replace(", slices: [carrier, long-haul]", "");
    let all = [("slices.carrier", Weakening), ("slices.long-haul", Weakening), ("slices.origin,season", Weakening)];
    expect(BASE, &none, &all);
}

#[test]
fn the_policy() {
    both_ways(&[
        (
            &[("false_block: 0.04", "false_block: 0.01")],
            &[("policy.false_block", Weakening)],
            &[("policy.false_block", Tightening)],
        ),
        (
            &[("policy:\n", "policy:\n  false_ship: 0.1\n")],
            &[("policy.false_ship", Weakening)],
            &[("policy.false_ship", Tightening)],
        ),
        (
            &[("overall: fail", "overall: warn")],
            &[("policy.on_inconclusive.overall", Weakening)],
            &[("policy.on_inconclusive.overall", Tightening)],
        ),
        (
            &[("slice: warn", "slice: fail")],
            &[("policy.on_inconclusive.slice", Tightening)],
            &[("policy.on_inconclusive.slice", Weakening)],
        ),
        (&[("min_rows: 200", "min_rows: 1000")], &[("policy.min_rows", Weakening)], &[("policy.min_rows", Tightening)]),
        (
            &[("policy:\n", "policy:\n  min_positives: 50\n")],
            &[("policy.min_positives", Weakening)],
            &[("policy.min_positives", Tightening)],
        ),
    ]);
}

#[test]
fn who_may_approve_a_weakening() {
    let rule = rule::of("policy.weakening_approvers");
    let item = rule.of_item();
    let name = serde_json::json!("alice");
    assert!(rule.is_transparent());
    assert_eq!(item.direction(None, Some(&name)), Some(Weakening));
    assert_eq!(item.direction(Some(&name), None), Some(Tightening));
}

#[test]
fn the_suites() {
    both_ways(&[
        (
            &[("[\"performance.*\", data.schema]", "[\"performance.*\"]")],
            &[("suites.check-in.checks[data.schema]", Weakening)],
            &[("suites.check-in.checks[data.schema]", Tightening)],
        ),
        (
            &[("[\"performance.*\", data.schema]", "[\"*.metric\", data.schema]")],
            &[("suites.check-in.checks[performance.regression]", Weakening)],
            &[("suites.check-in.checks[performance.regression]", Tightening)],
        ),
        (
            &[("[pull_request, merge_group]", "[pull_request]")],
            &[("suites.check-in.on[merge_group]", Weakening)],
            &[("suites.check-in.on[merge_group]", Tightening)],
        ),
        (
            &[("on: [pull_request, merge_group], ", "")],
            &[("suites.check-in.on[merge_group]", Weakening), ("suites.check-in.on[pull_request]", Weakening)],
            &[("suites.check-in.on[merge_group]", Tightening), ("suites.check-in.on[pull_request]", Tightening)],
        ),
        (
            &[("suites:\n", "suites:\n  nightly: { on: [schedule], checks: [backtest] }\n")],
            &[("suites.nightly", Neutral)],
            &[("suites.nightly", Weakening)],
        ),
        (
            &[("suites:\n", "suites:\n  by-hand: { checks: [backtest] }\n")],
            &[("suites.by-hand", Neutral)],
            &[("suites.by-hand", Weakening)],
        ),
    ]);
}

#[test]
fn a_suite_that_steps_in_for_another_is_a_weakening() {
    one_way(&[
        (&[("suites:\n", "suites:\n  a: { on: [pull_request], checks: [data.schema] }\n")], &[("suites.a", Weakening)]),
        (&[("suites:\n", "suites:\n  a: { on: [\"tag:*\"], checks: [data.schema] }\n")], &[("suites.a", Weakening)]),
        (&[("suites:\n", "suites:\n  a: { on: [\"tag:v1*\"], checks: [data.schema] }\n")], &[("suites.a", Weakening)]),
        (
            &[("[pull_request, merge_group]", "[pull_request, merge_group, release]")],
            &[("suites.check-in.on[release]", Weakening)],
        ),
    ]);
}

#[test]
fn a_suite_that_becomes_the_default_is_a_weakening() {
    let (before, rest) = BASE.split_once("suites:\n").unwrap();
    let (_, checks) = rest.split_once("checks:\n  -").unwrap();
    let with = |suites: &str| format!("{before}{suites}checks:\n  -{checks}");
    let cases: &[(&str, &str, Expected<'_>)] = &[
        ("", "suites:\n  all: { checks: [\"*\"] }\n", &[]),
        ("suites:\n  all: { checks: [\"*\"] }\n", "", &[]),
        ("", "suites:\n  quick: { checks: [\"*\"] }\n", &[("suites.all", Weakening), ("suites.quick", Weakening)]),
        (
            "",
            "suites:\n  all: { checks: [\"*\"] }\n  check-in: { checks: [backtest] }\n",
            &[("suites.check-in", Weakening)],
        ),
        (
            "",
            "suites:\n  all: { checks: [\"*\"] }\n  quick: { on: [push], checks: [backtest] }\n",
            &[("suites.quick", Weakening)],
        ),
        (
            "suites:\n  release: { checks: [\"*\"] }\n",
            "suites:\n  release: { checks: [\"*\"] }\n  check-in: { checks: [backtest] }\n",
            &[("suites.check-in", Weakening)],
        ),
        (
            "suites:\n  check-in: { checks: [\"*\"] }\n  b: { checks: [backtest] }\n",
            "suites:\n  check-in: { checks: [\"*\"] }\n  b: { on: [push], checks: [backtest] }\n",
            &[("suites.b.on[push]", Weakening)],
        ),
        (
            "suites:\n  check-in: { checks: [\"*\"] }\n  b: { checks: [backtest] }\n",
            "suites:\n  check-in: { on: [push], checks: [\"*\"] }\n  b: { checks: [backtest] }\n",
            &[("suites.check-in.on[push]", Tightening)],
        ),
    ];
    for (base, head, expected) in cases {
        expect(&with(base), &with(head), expected);
    }
}

#[test]
fn the_limits_of_checks() {
    let limits = [
        ("min: 0.70", "min: 0.60", "performance.metric[metric=roc_auc].min"),
        ("max_drop: 0.01", "max_drop: 0.03", "performance.regression[metric=roc_auc].max_drop"),
        ("max_rise: 1%", "max_rise: 2%", "performance.regression[metric=log_loss].max_rise"),
        ("max_distance: 0.2", "max_distance: 0.3", "drift.prediction.max_distance"),
        ("max_distance: 0.15", "max_distance: 0.25", "drift.feature.max_distance"),
        ("max_flips: 12%", "max_flips: 13%", "drift.prediction.max_flips"),
        ("max_flips: 12%", "max_flips: 0.13", "drift.prediction.max_flips"),
        ("noise: 0.1", "noise: 0.05", "robustness.sensitivity[metric=roc_auc].noise"),
        ("max_loss: 0.02", "max_loss: 0.04", "robustness.sensitivity[metric=roc_auc].max_loss"),
        ("noise: 0.1", "noise: 0.1, max_flips: 8%", "robustness.sensitivity[metric=roc_auc].max_flips"),
        ("max_share: 0.1", "max_share: 0.2", "leakage.overlap[between=train,test].max_share"),
        ("max_drop: 0.02", "max_drop: 0.05", "backtest[metric=roc_auc].max_drop"),
        ("worst_factor: 3", "worst_factor: 4", "backtest[metric=roc_auc].worst_factor"),
    ];
    for (from, to, key) in limits {
        let (head, path) = (edited(&[(from, to)]), format!("checks.{key}"));
        expect(BASE, &head, &[(path.as_str(), Weakening)]);
        expect(&head, BASE, &[(path.as_str(), Tightening)]);
    }
    both_ways(&[
        (
            &[("min: 0.70", "min: 0.70, max: 0.99")],
            &[("checks.performance.metric[metric=roc_auc].max", Tightening)],
            &[("checks.performance.metric[metric=roc_auc].max", Weakening)],
        ),
        // A share of the baseline and an absolute amount cannot be compared.
        (
            &[("max_drop: 0.01", "max_drop: 0.1%")],
            &[("checks.performance.regression[metric=roc_auc].max_drop", Weakening)],
            &[("checks.performance.regression[metric=roc_auc].max_drop", Weakening)],
        ),
        // All features are more than any that a list names, and which of two lists is longer does not matter.
        (
            &[("features: [dep_hour, temp], ", "")],
            &[("checks.drift.feature.features", Weakening)],
            &[("checks.drift.feature.features", Weakening)],
        ),
        // A default that is left out is a limit too.
        (
            &[("max_distance: 0.2, ", "")],
            &[("checks.drift.prediction.max_distance", Tightening)],
            &[("checks.drift.prediction.max_distance", Weakening)],
        ),
    ]);
}

/// A margin that becomes wider, a cap on gains that is raised or gone, and one kind of margin for another.
#[test]
fn both_ends_of_a_margin_and_the_cap_on_gains() {
    let base = edited(&[("max_rise: 1%", "within: 1%, suspicious_gain: 10%"), ("max_drop: 0.02", "within: 0.02")]);
    let of = |key: &str| format!("checks.performance.regression[metric=log_loss].{key}");
    let (within, gain) = (of("within"), of("suspicious_gain"));
    let backtest = "checks.backtest[metric=roc_auc].within".to_owned();
    for (from, to, path) in [
        ("within: 1%", "within: 2%", &within),
        ("within: 0.02", "within: 0.03", &backtest),
        ("suspicious_gain: 10%", "suspicious_gain: 11%", &gain),
        (", suspicious_gain: 10%", "", &gain),
    ] {
        let head = base.replace(from, to);
        expect(&base, &head, &[(path.as_str(), Weakening)]);
        expect(&head, &base, &[(path.as_str(), Tightening)]);
    }
    let one_end = base.replace("within: 1%", "max_rise: 1%");
    expect(&base, &one_end, &[(&within, Weakening), (&of("max_rise"), Tightening)]);
}

#[test]
fn the_other_keys_of_checks() {
    both_ways(&[
        (
            &[("min: 0.70", "min: 0.70, severity: warn")],
            &[("checks.performance.metric[metric=roc_auc].severity", Weakening)],
            &[("checks.performance.metric[metric=roc_auc].severity", Tightening)],
        ),
        (
            &[("slices: all", "slices: none")],
            &[
                ("checks.performance.regression[metric=roc_auc].slices[carrier]", Weakening),
                ("checks.performance.regression[metric=roc_auc].slices[long-haul]", Weakening),
                ("checks.performance.regression[metric=roc_auc].slices[origin,season]", Weakening),
            ],
            &[
                ("checks.performance.regression[metric=roc_auc].slices[carrier]", Tightening),
                ("checks.performance.regression[metric=roc_auc].slices[long-haul]", Tightening),
                ("checks.performance.regression[metric=roc_auc].slices[origin,season]", Tightening),
            ],
        ),
        (
            &[("slices: [carrier, long-haul]", "slices: [carrier, \"origin,season\"]")],
            &[
                ("checks.performance.metric[metric=roc_auc].slices[long-haul]", Weakening),
                ("checks.performance.metric[metric=roc_auc].slices[origin,season]", Tightening),
            ],
            &[
                ("checks.performance.metric[metric=roc_auc].slices[origin,season]", Weakening),
                ("checks.performance.metric[metric=roc_auc].slices[long-haul]", Tightening),
            ],
        ),
        (
            &[("distance: { type: integer }, ", "")],
            &[("checks.data.schema.columns.distance", Weakening)],
            &[("checks.data.schema.columns.distance", Tightening)],
        ),
        (
            &[("{ type: integer }", "{ type: float }")],
            &[("checks.data.schema.columns.distance.type", Weakening)],
            &[("checks.data.schema.columns.distance.type", Weakening)],
        ),
        (
            &[("{ type: integer }", "{}")],
            &[("checks.data.schema.columns.distance.type", Weakening)],
            &[("checks.data.schema.columns.distance.type", Tightening)],
        ),
        (
            &[("{ type: integer }", "{ type: integer, nullable: true }")],
            &[("checks.data.schema.columns.distance.nullable", Weakening)],
            &[("checks.data.schema.columns.distance.nullable", Tightening)],
        ),
        (
            &[("max_share: 0.1", "max_share: 0.1, on: [id, entity]")],
            &[("checks.leakage.overlap[between=train,test].on[features]", Weakening)],
            &[("checks.leakage.overlap[between=train,test].on[features]", Tightening)],
        ),
        (
            &[("window: month", "window: year")],
            &[("checks.backtest[metric=roc_auc].window", Weakening)],
            &[("checks.backtest[metric=roc_auc].window", Weakening)],
        ),
        (
            &[("embargo: 7d", "embargo: 8d")],
            &[("checks.backtest[metric=roc_auc].embargo", Weakening)],
            &[("checks.backtest[metric=roc_auc].embargo", Weakening)],
        ),
    ]);
}

#[test]
fn another_check_is_one_removed_and_one_added() {
    let cases = [
        (
            "metric: roc_auc, min",
            "metric: accuracy, min",
            "performance.metric[metric=roc_auc]",
            "performance.metric[metric=accuracy]",
        ),
        (
            "min: 0.70",
            "min: 0.70, data: train",
            "performance.metric[metric=roc_auc]",
            "performance.metric[metric=roc_auc,data=train]",
        ),
        (
            "[train, test]",
            "[test, train]",
            "leakage.overlap[between=train,test]",
            "leakage.overlap[between=test,train]",
        ),
        (
            "noise: 0.1",
            "noise: 0.1, metric: brier",
            "robustness.sensitivity[metric=roc_auc]",
            "robustness.sensitivity[metric=brier]",
        ),
        (
            "window: month",
            "data: test, window: month",
            "backtest[metric=roc_auc]",
            "backtest[metric=roc_auc,data=test]",
        ),
        ("drift.prediction: {", "drift.prediction: { data: train,", "drift.prediction", "drift.prediction[data=train]"),
        ("drift.feature: {", "drift.feature: { against: history,", "drift.feature", "drift.feature[against=history]"),
        ("data.schema: {", "data.schema: { data: train,", "data.schema", "data.schema[data=train]"),
    ];
    for (from, to, removed, added) in cases {
        let (removed, added) = (format!("checks.{removed}"), format!("checks.{added}"));
        expect(BASE, &edited(&[(from, to)]), &[(&removed, Weakening), (&added, Tightening)]);
    }
}

#[test]
fn a_check_that_is_gone() {
    both_ways(&[
        (
            &[("  - drift.prediction: { max_distance: 0.2, max_flips: 12% }\n", "")],
            &[("checks.drift.prediction", Weakening)],
            &[("checks.drift.prediction", Tightening)],
        ),
        // A suite can no longer select it, which is not said again.
        (
            &[
                (
                    "  - data.schema: { columns: { distance: { type: integer }, carrier: { type: text, nullable: true } } }\n",
                    "",
                ),
                (", data.schema]", "]"),
            ],
            &[("checks.data.schema", Weakening)],
            &[("checks.data.schema", Tightening)],
        ),
    ]);
}

#[test]
fn checks_about_the_same_are_told_apart() {
    let two =
        edited(&[("slices: all }", "slices: all }\n  - performance.regression: { metric: roc_auc, max_drop: 0.5% }")]);
    let again = "checks.performance.regression[metric=roc_auc]#2";
    expect(BASE, &two, &[(again, Tightening)]);
    expect(&two, BASE, &[(again, Weakening)]);
    let swapped = two.replace("max_drop: 0.5%", "max_drop: 0.01, slices: all").replacen(
        "max_drop: 0.01, slices: all",
        "max_drop: 0.5%",
        1,
    );
    assert_ne!(swapped, two);
    expect(&two, &swapped, &[]);
    expect(&two, &two.replace("0.5%", "0.6%"), &[(&format!("{again}.max_drop"), Weakening)]);
    expect(
        &swapped,
        &swapped.replace("0.5%", "0.6%"),
        &[("checks.performance.regression[metric=roc_auc].max_drop", Weakening)],
    );
}

#[test]
fn weakenings_come_first_and_values_are_shown() {
    let head = edited(&[("min_rows: 200", "min_rows: 300"), ("min: 0.70", "min: 0.8"), ("candidate.onnx", "new.onnx")]);
    let changes = changes(&spec(BASE), &spec(&head));
    let shown: Vec<_> = changes.iter().map(|change| (change.path.as_str(), change.direction)).collect();
    let expected = [
        ("policy.min_rows", Weakening),
        ("candidate.onnx", Neutral),
        ("checks.performance.metric[metric=roc_auc].min", Tightening),
    ];
    assert_eq!(shown, expected);
    assert_eq!(changes[0].before, Some(200.into()));
    assert_eq!(changes[0].after, Some(300.into()));
    assert_eq!(changes[1].after, Some("models/new.onnx".into()));
    let written = serde_json::to_value(&changes).unwrap();
    assert_eq!(written[0]["direction"], "weakening");
    assert_eq!(serde_json::from_value::<Vec<Change>>(written).unwrap(), changes);
}

#[test]
fn what_is_not_even_of_one_form_is_a_weakening() {
    let node = |rule| Node { rule, value: serde_json::json!({}), at: Path::root(), inside: BTreeMap::new() };
    let (mapping, other) = (node(Rule::Inside), node(rule::FIXED));
    assert_eq!(direction(Rule::Inside, Some(&other), Some(&mapping)), Some(Weakening));
    assert_eq!(direction(rule::FIXED, Some(&mapping), Some(&other)), Some(Weakening));
    assert_eq!(direction(Rule::Inside, Some(&mapping), Some(&mapping)), None);
}

/// The line of the only text in it.
fn line_of(text: &str, part: &str) -> usize {
    assert_eq!(text.matches(part).count(), 1, "{part}");
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn lines_are_those_of_the_head() {
    let cases: &[(Edits<'_>, Option<&str>)] = &[
        (&[("min_rows: 200", "min_rows: 300")], Some("min_rows: 300")),
        (&[("  min_rows: 200\n", "")], Some("policy:")),
        (&[("max_drop: 0.02", "max_drop: 0.05")], Some("max_drop: 0.05")),
        (&[("max_flips: 12% }", "max_flips: 12% }\n  - backtest: { metric: brier, max_rise: 1% }")], Some("brier")),
        (&[("  - drift.prediction: { max_distance: 0.2, max_flips: 12% }\n", "")], Some("checks:\n")),
        (&[("> 1500", "> 2500")], Some("> 2500")),
        (&[("  tier: medium\n", "")], Some("model:")),
        (&[("[age, sex]", "\n    - age\n    - sex\n    - origin_of_parents")], Some("- origin_of_parents")),
        (&[("baseline: { onnx: models/baseline.onnx }\n", "")], None),
    ];
    for (edits, part) in cases {
        let head = format!("# one\n\n# three\n{}", edited(edits));
        let changes = changes(&spec(BASE), &spec(&head));
        // `checks:` also names a key of the suites.
        let expected = part.map(|part| line_of(&head.replace("checks:\n", "checks:\\n\n"), &part.replace('\n', "\\n")));
        assert_eq!(changes.iter().map(|change| change.line).collect::<Vec<_>>(), [expected], "{changes:?}");
    }
}

#[test]
fn a_check_of_the_base_is_found_in_the_head() {
    let drift = "  - drift.prediction: { max_distance: 0.2, max_flips: 12% }\n";
    let head = edited(&[(drift, ""), ("max_drop: 0.01", "max_drop: 0.02"), ("min: 0.70", "min: 0.70, data: train")]);
    let head = format!("# moved down\n{head}");
    let (base, other) = (spec(BASE), spec(&head));
    let entries = base.select(Some("release")).unwrap().entries;
    let lines: Vec<_> = entries.iter().map(|entry| line_in_head(&base, &entry.at, &other)).collect();
    let line = |part| Some(line_of(&head, part));
    let expected = [
        None,
        line("max_drop: 0.02, slices"),
        line("log_loss"),
        line("data.schema: {"),
        None,
        line("drift.feature"),
        line("robustness.sensitivity"),
        line("leakage.overlap"),
        line("backtest: {"),
    ];
    assert_eq!(lines, expected);
    let elsewhere = Path::root().key("slices").index(1);
    assert_eq!(line_in_head(&base, &elsewhere, &other), None);
    assert_eq!(line_in_head(&base, &Path::root().key("checks").index(99), &other), None);
}

#[test]
fn the_base_judges_but_for_the_candidate_and_its_features() {
    let (mut base, mut head) = (
        spec(BASE),
        spec(&edited(&[
            ("candidate.onnx", "new.onnx"),
            ("[carrier, origin, distance]", "[carrier, seats]"),
            ("baseline.onnx", "weak.onnx"),
            ("min: 0.70", "min: 0.10"),
            ("data/test.parquet", "data/easy.parquet"),
            ("min_rows: 200", "min_rows: 100000"),
            ("id: flight_id", "id: row_id"),
        ])),
    );
    base.path = "base.yaml".into();
    head.path = "models/modelgate.yaml".into();
    head.folder = "models".into();
    let judging = effective(&base, &head).unwrap();
    assert_eq!(
        (judging.path.as_path(), judging.folder.as_path()),
        (FilePath::new("models/modelgate.yaml"), FilePath::new("models"))
    );
    assert_eq!(judging.sha256, base.sha256);
    assert_eq!(judging.document.text(), BASE);
    let left: Vec<_> = changes(&base, &judging).into_iter().map(|change| change.path).collect();
    let candidate =
        ["candidate.onnx", "columns.features[distance]", "columns.features[origin]", "columns.features[seats]"];
    assert_eq!(left, candidate);
    let decided = changes(&judging, &head);
    assert!(
        decided.iter().all(|change| !change.path.starts_with("columns.features") && change.path != "candidate.onnx")
    );
    assert_eq!(decided.len(), 5);
}

#[test]
fn hostile_names_are_visible_and_every_path_is_its_own() {
    let long = "x".repeat(100);
    let head = edited(&[
        (
            "[age, sex]",
            &format!("[age, sex, \"{long}1\", \"{long}2\", \"a\\u001b]b\", \"\\u202e\", \"\", \"{long}3\"]"),
        ),
        ("suites:\n", "suites:\n  \"check-in.on[push]\": { checks: [\"*\"] }\n"),
        ("[pull_request, merge_group]", "[pull_request, merge_group, push]"),
        ("columns: { distance", "columns: { \"a.type\": {}, distance"),
    ]);
    let changes = changes(&spec(BASE), &spec(&head));
    let paths: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
    let cut = format!("columns.protected[`{}...`]", "x".repeat(40));
    let expected = [
        "suites.`check-in.on[push]`",
        "checks.data.schema.columns.`a.type`",
        "columns.protected[`\\u{202e}`]",
        "columns.protected[``]",
        "columns.protected[`a\\u{1b}]b`]",
        &cut,
        &format!("{cut}#2"),
        &format!("{cut}#3"),
        "suites.check-in.on[push]",
    ];
    assert_eq!(paths, expected);
}

/// The places of `BASE` that hold a limit, with what is written there, whether it is a percentage, and whether a larger
/// one asks for less.
const LIMITS: [(&str, &str, bool); 9] = [
    ("min: 0.70", "min: ", false),
    ("max_drop: 0.01", "max_drop: ", true),
    ("max_distance: 0.2", "max_distance: ", true),
    ("noise: 0.1", "noise: ", false),
    ("max_loss: 0.02", "max_loss: ", true),
    ("max_share: 0.1", "max_share: ", true),
    ("max_drop: 0.02", "max_drop: ", true),
    ("false_block: 0.04", "false_block: ", false),
    ("policy:\n", "policy:\n  false_ship: ", true),
];

fn limited(limit: usize, value: f64) -> String {
    let (from, to, _) = LIMITS[limit];
    let end = if from.ends_with('\n') { "\n" } else { "" };
    edited(&[(from, &format!("{to}{value}{end}"))])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_spec_does_not_differ_from_itself(limit in 0..LIMITS.len(), value in 0.001..0.499_f64) {
        let spec = spec(&limited(limit, value));
        prop_assert_eq!(changes(&spec, &spec), []);
    }

    #[test]
    fn taking_a_tightening_back_is_a_weakening(
        limit in 0..LIMITS.len(), one in 0.001..0.499_f64, other in 0.001..0.499_f64,
    ) {
        prop_assume!(one < other);
        let (small, large) = (spec(&limited(limit, one)), spec(&limited(limit, other)));
        let directions = |base, head| changes(base, head).iter().map(|change| change.direction).collect::<Vec<_>>();
        let larger = if LIMITS[limit].2 { Weakening } else { Tightening };
        let smaller = if LIMITS[limit].2 { Tightening } else { Weakening };
        prop_assert_eq!(directions(&small, &large), [larger]);
        prop_assert_eq!(directions(&large, &small), [smaller]);
    }

    #[test]
    fn space_and_comments_mean_nothing(
        noise in proptest::collection::vec((0..50_usize, prop_oneof!["\n", "# [a-z: ]{0,9}\n", " {1,9}# [a-z]{0,9}\n"]), 0..9),
        tail in "( |\t){0,3}(#[a-z: ]{0,9})?",
    ) {
        let mut lines: Vec<String> = BASE.lines().map(|line| format!("{line} {tail}\n")).collect();
        for (at, noise) in noise {
            lines.insert(at.min(lines.len()), noise);
        }
        prop_assert_eq!(changes(&spec(BASE), &spec(&lines.concat())), []);
    }
}
