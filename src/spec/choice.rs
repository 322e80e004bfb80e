//! Alternatives in a schema: which one fits a value, and when none does, which one was meant.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::kind::{self, Kind, Schema};
use super::problem::Problem;
use super::shape::{Walk, alternatives, listed, noun, properties, required};
use super::source::quoted;

/// Alternatives inside alternatives.
const MOST_LEVELS: usize = 8;

impl<'a> Walk<'a> {
    /// Finds an alternative that fits, or reports the one that was meant.
    pub(super) fn choose(&mut self, value: &Value, schema: &'a Schema, branches: &'a [Value]) {
        if branches.contains(&Value::Bool(true)) {
            return;
        }
        let mut flat = Vec::new();
        self.flatten(branches, MOST_LEVELS, &mut flat);
        let kinds: BTreeSet<_> = flat.iter().flat_map(|(_, branch)| kind::expected(branch)).collect();
        flat.retain(|(_, branch)| Kind::of(value).fits(&kind::expected(branch)));
        let mut attempts = Vec::with_capacity(flat.len());
        for (branch, _) in &flat {
            let before = std::mem::take(&mut self.problems);
            self.visit(value, branch);
            let found = std::mem::replace(&mut self.problems, before);
            if found.is_empty() {
                return;
            }
            attempts.push(found);
        }
        let flat: Vec<_> = flat.into_iter().map(|(_, branch)| branch).collect();
        match value {
            _ if flat.is_empty() => self.wrong_kind(value, &kinds),
            Value::Object(entries) => self.meant_mapping(entries, schema, &flat, attempts),
            _ => self.meant_value(value, schema, &flat, attempts),
        }
    }

    /// The alternatives with references followed, and alternatives of alternatives beside them.
    fn flatten(&self, branches: &'a [Value], depth: usize, flat: &mut Vec<(&'a Value, &'a Schema)>) {
        for branch in branches {
            let Some(schema) = self.behind(branch) else { continue };
            let inner = ["anyOf", "oneOf"].iter().find(|keyword| schema.contains_key(**keyword));
            match inner {
                Some(keyword) if depth > 0 && !schema.contains_key("type") => {
                    self.flatten(alternatives(schema, keyword), depth - 1, flat);
                }
                _ => flat.push((branch, schema)),
            }
        }
    }

    fn meant_value(&mut self, value: &Value, schema: &Schema, branches: &[&'a Schema], attempts: Vec<Vec<Problem>>) {
        let choices: Option<Vec<_>> = branches.iter().map(|branch| kind::choices(branch)).collect();
        match choices {
            Some(choices) => self.no_choice(&self.path.clone(), value, &choices.concat(), noun(schema)),
            None => self.problems.extend(attempts.into_iter().min_by_key(Vec::len).unwrap_or_default()),
        }
    }

    fn meant_mapping(
        &mut self,
        entries: &Map<String, Value>,
        schema: &'a Schema,
        branches: &[&'a Schema],
        attempts: Vec<Vec<Problem>>,
    ) {
        if let Some((key, value, choices)) = self.discriminator(entries, branches) {
            return self.no_choice(&self.path.key(key), value, &choices, noun(schema));
        }
        let shared = |branch: &Schema| {
            properties(branch).map_or(0, |known| known.keys().filter(|key| entries.contains_key(*key)).count())
        };
        let best = branches.iter().zip(attempts).min_by_key(|(branch, found)| (Reverse(shared(branch)), found.len()));
        match best {
            Some((branch, _)) if shared(branch) == 0 => {
                self.no_known_key(entries, branches, noun(schema).unwrap_or("key"))
            }
            Some((branch, _))
                if is_single(branch) && entries.len() > 1 && branches.iter().all(|branch| is_single(branch)) =>
            {
                self.amount(noun(schema).unwrap_or("key"), entries.len(), Some(1), Some(1));
            }
            Some((_, problems)) => self.problems.extend(problems),
            None => {}
        }
    }

    /// The key that tells the alternatives apart by a constant, if the value has it with none of the constants.
    fn discriminator<'v>(
        &self,
        entries: &'v Map<String, Value>,
        branches: &[&'a Schema],
    ) -> Option<(&'v str, &'v Value, Vec<&'a Value>)> {
        let constant = |branch: &&'a Schema, key: &str| properties(branch)?.get(key)?.get("const");
        entries.iter().find_map(|(key, value)| {
            let choices = branches.iter().map(|branch| constant(branch, key)).collect::<Option<Vec<_>>>()?;
            (choices.len() > 1 && !choices.contains(&value)).then_some((key.as_str(), value, choices))
        })
    }

    /// Alternatives of which not one has a key of the value.
    fn no_known_key(&mut self, entries: &Map<String, Value>, branches: &[&'a Schema], noun: &str) {
        let mut known: Vec<_> =
            branches.iter().filter_map(|branch| properties(branch)).flat_map(Map::keys).map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        known.retain(|key| seen.insert(*key));
        for key in entries.keys() {
            self.unknown(key, &known, entries, noun);
        }
        if entries.is_empty() {
            let names: Vec<_> = known.iter().map(|name| quoted(name)).collect();
            let problem = Problem::value(&self.path, format!("expected a {noun}, found an empty mapping"));
            self.report(problem.label("empty").remedy(format!("known {noun}s: {}", listed(&names))));
        }
    }
}

/// Whether a mapping of this schema has one key, as a variant that holds a value does.
fn is_single(schema: &Schema) -> bool {
    properties(schema).is_some_and(|properties| properties.len() == 1) && required(schema).count() == 1
}
