//! The table against the schemas: no key without a row, no row without a key; and what each rule says of two values.

use schemars::SchemaGenerator;

use super::*;
use crate::checks::CHECKS;

/// Every place of a schema that the table can be asked for: its keys, down to those that have a row and none below.
fn places(root: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return places(root, target, place, found);
    }
    if !place.is_empty() && !has_rows(place) {
        return found.push(place.to_owned());
    }
    if ROWS.iter().any(|(row, _)| *row == place) {
        found.push(place.to_owned());
    }
    for (key, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        places(root, inner, &below(place, key), found);
    }
    for form in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        places(root, form, place, found);
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        places(root, inner, &below(place, "NAME"), found);
    }
}

/// The places of the whole spec, those of the checks below their names.
fn all_places() -> Vec<String> {
    let root = crate::docs::schema();
    let mut found = Vec::new();
    for (key, section) in root.get("properties").unwrap().as_object().unwrap() {
        match key.as_str() {
            "checks" | "slices" => {}
            _ => places(&root, section, key, &mut found),
        }
    }
    for kind in CHECKS {
        let schema = root.pointer(&format!("/properties/checks/items/properties/{}", kind.name)).unwrap();
        for (key, inner) in schema.get("properties").unwrap().as_object().unwrap() {
            if key != "severity" {
                places(&root, inner, &format!("checks.{}.{key}", kind.name), &mut found);
            }
        }
    }
    found.extend(["slices.*", "checks.*", "checks.*.severity"].map(str::to_owned));
    found
}

#[test]
fn every_key_of_every_check_and_section_has_a_row() {
    let missing: Vec<_> = all_places().into_iter().filter(|place| !ROWS.iter().any(|(row, _)| row == place)).collect();
    assert!(missing.is_empty(), "say in `ROWS` what a difference of these keys means: {missing:#?}");
}

#[test]
fn every_check_is_looked_at() {
    let places = all_places();
    for kind in CHECKS {
        let schema = (kind.schema)(&mut SchemaGenerator::default()).to_value();
        for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
            let place = format!("checks.{}.{key}", kind.name);
            let below = format!("{place}.");
            assert!(places.iter().any(|found| *found == place || found.starts_with(&below)), "{place}");
        }
    }
}

#[test]
fn every_row_is_a_key_and_stands_once() {
    let places = all_places();
    for (index, (row, _)) in ROWS.iter().enumerate() {
        assert!(places.iter().any(|place| place == row), "`{row}` is no key of a spec");
        assert!(ROWS[..index].iter().all(|(other, _)| other != row), "`{row}` has two rows");
    }
    for (mapping, key, _) in LEFT_OUT {
        assert!(ROWS.iter().any(|(row, _)| *row == join(mapping, key)), "{mapping}.{key}");
    }
}

#[test]
fn what_no_row_knows_is_a_weakening() {
    for place in ["waivers", "policy.new", "checks.performance.metric.new", "checks.unheard.of", "model.name.first"] {
        let rule = of(place);
        assert_eq!(rule.direction(None, Some(&json!(1))), Some(Weakening), "{place}");
        assert_eq!(rule.direction(Some(&json!(1)), Some(&json!(2))), Some(Weakening), "{place}");
        assert_eq!(rule.direction(Some(&json!(1)), None), Some(Weakening), "{place}");
    }
}

#[test]
fn bounds_and_words() {
    const WORDS: Rule = Rule::Words(&["warn", "block"]);
    let cases = [
        (Rule::AtMost, json!(0.01), json!(0.02), Some(Weakening)),
        (Rule::AtMost, json!(0.02), json!(0.01), Some(Tightening)),
        (Rule::AtMost, json!(1), json!(1.0), None),
        (Rule::AtMost, json!("1%"), json!("2%"), Some(Weakening)),
        (Rule::AtMost, json!("2%"), json!("1.5%"), Some(Tightening)),
        (Rule::AtMost, json!(0.01), json!("1%"), Some(Weakening)),
        (Rule::AtMost, json!("1%"), json!(0.0), Some(Weakening)),
        (Rule::AtMost, json!(0.1), json!("a word"), Some(Weakening)),
        (Rule::AtMost, json!(0.1), json!(null), Some(Weakening)),
        (Rule::AtMostShare, json!(0.05), json!("5%"), None),
        (Rule::AtMostShare, json!("1.1%"), json!(0.011), None),
        (Rule::AtMostShare, json!(0.05), json!("6%"), Some(Weakening)),
        (Rule::AtMostShare, json!("6%"), json!(0.05), Some(Tightening)),
        (Rule::AtLeast, json!(0.7), json!(0.6), Some(Weakening)),
        (Rule::AtLeast, json!(0.6), json!(0.7), Some(Tightening)),
        (Rule::AtLeast, json!(-1.5), json!(-2), Some(Weakening)),
        (WORDS, json!("block"), json!("warn"), Some(Weakening)),
        (WORDS, json!("warn"), json!("block"), Some(Tightening)),
        (WORDS, json!("block"), json!("shrug"), Some(Weakening)),
        (Rule::Words(&["true", "false"]), json!(false), json!(true), Some(Weakening)),
    ];
    for (rule, before, after, expected) in cases {
        assert_eq!(rule.direction(Some(&before), Some(&after)), expected, "{rule:?}: {before} to {after}");
        assert_eq!(rule.direction(Some(&before), Some(&before)), None, "{rule:?}: {before}");
    }
}
