//! A hostile YAML text becomes a document: plain values, and the place of each of them.
//!
//! What a text means is decided by `serde_yaml`; where its nodes stand, by an event pass that also holds all bounds
//! and comes first. The two readers have to agree on every list and every key, so a text cannot mean one thing to the bounds
//! and another to the gate. No other file names a YAML crate.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use serde_yaml::Value as Yaml;

use super::file;
use super::place::{Builder, Entries, Inside, Place, too_deep};
use super::problem::{Path, Problem, Problems, Step};
use super::source::{Source, quoted};

/// A YAML document: its text, its values and their places.
#[derive(Debug, Clone)]
pub struct Document {
    source: Arc<Source>,
    value: Value,
    place: Place,
}

impl Document {
    /// Reads a spec from a file, of which no more than the permitted size is loaded.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, or [`Document::read`] refuses it.
    pub fn read_file(path: &std::path::Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let bytes = file::load(path).map_err(|problem| refuse(&name, String::new(), vec![problem]))?;
        Self::read(&name, &bytes)
    }

    /// Reads a spec from bytes; `name` is what messages call it.
    ///
    /// # Errors
    /// When it is not UTF-8, too large, too deep, not YAML, or YAML of which a gate makes no use: several documents,
    /// tags, merge keys, keys that are not texts, duplicate keys, numbers that are not finite.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Problems> {
        let text = file::decode(bytes).map_err(|(text, problems)| refuse(name, text, problems))?;
        let source = Arc::new(Source::new(name, text));
        match parse(source.text()) {
            Ok((value, place)) => Ok(Self { source, value, place }),
            Err(problems) => Err(Problems::of_source(source, problems)),
        }
    }

    /// The name and the text, shared with the problems that are found in it.
    pub fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// The text, without a byte order mark.
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The values, in the order of the text.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value at a path.
    pub fn at(&self, path: &Path) -> Option<&Value> {
        path.steps().iter().try_fold(&self.value, |value, step| match step {
            Step::Key(key) => value.as_object()?.get(key),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }

    /// The bytes of the key of a mapping's entry, or of the value where there is no key.
    ///
    /// A path that does not exist stands where its nearest existing ancestor stands.
    pub fn key_span(&self, path: &Path) -> Range<usize> {
        self.place.spans(path).0
    }

    /// The bytes of the value at a path, or of its nearest existing ancestor.
    pub fn value_span(&self, path: &Path) -> Range<usize> {
        self.place.spans(path).1
    }

    /// The line of [`Document::key_span`], counted from 1.
    pub fn line(&self, path: &Path) -> usize {
        self.source.line(self.key_span(path).start)
    }
}

fn refuse(name: &str, text: String, problems: Vec<Problem>) -> Problems {
    Problems::of_source(Arc::new(Source::new(name, text)), problems)
}

fn parse(text: &str) -> Result<(Value, Place), Vec<Problem>> {
    let bytes = Bytes::new(text);
    let place = places(text, &bytes)?;
    let yaml: Yaml = serde_yaml::from_str(text).map_err(|error| vec![unlike(text, &bytes, &error)])?;
    let mut problems = Vec::new();
    match to_json(yaml, &place, &mut problems) {
        Value::Null if problems.is_empty() => Err(vec![nothing()]),
        value if problems.is_empty() => Ok((value, place)),
        _ => Err(problems),
    }
}

/// The byte of each character: the parsers count characters. There is no list for a text in which both are the same.
struct Bytes<'a> {
    text: &'a str,
    starts: Option<Vec<usize>>,
}

impl<'a> Bytes<'a> {
    fn new(text: &'a str) -> Self {
        let starts = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { text, starts }
    }

    fn at(&self, character: usize) -> usize {
        let listed = |starts: &Vec<usize>| starts.get(character).copied().unwrap_or(self.text.len());
        self.starts.as_ref().map_or(character, listed).min(self.text.len())
    }

    /// The bytes of a node, without the white space that the parser counts to its end.
    fn span(&self, span: Span) -> Range<usize> {
        let start = self.at(span.start.index());
        let end = self.at(span.end.index()).max(start);
        start..start + self.text[start..end].trim_end().len()
    }
}

fn places(text: &str, bytes: &Bytes) -> Result<Place, Vec<Problem>> {
    let mut builder = Builder::default();
    if let Err(problem) = build(text, bytes, &mut builder) {
        builder.note(problem);
    }
    match builder.finish() {
        (Some(place), problems) if problems.is_empty() => Ok(place),
        (None, problems) if problems.is_empty() => Err(vec![nothing()]),
        (_, problems) => Err(problems),
    }
}

fn nothing() -> Problem {
    Problem::nowhere("the spec is empty").remedy("begin with `version: 1`; `modelgate schema` shows what may follow")
}

/// Feeds the builder until the end of the document or the first event that ends the pass.
fn build(text: &str, bytes: &Bytes, builder: &mut Builder) -> Result<(), Problem> {
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| not_yaml(text, bytes.at(error.marker().index()), error.info()))?;
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
        }
        let span = bytes.span(span);
        if documents > 1 {
            return Err(
                Problem::span(span, "a second document starts here").remedy("keep one spec in one file, without `---`")
            );
        }
        take(event, span, builder)?;
    }
    Ok(())
}

fn take(event: Event, span: Range<usize>, builder: &mut Builder) -> Result<(), Problem> {
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            refuse_tag(tag.is_some(), &span, builder);
            refuse_merge(&text, style, &span, builder);
            builder.scalar(&text, span, anchor)
        }
        Event::SequenceStart(anchor, tag) => {
            refuse_tag(tag.is_some(), &span, builder);
            builder.open_list(span, anchor)
        }
        Event::MappingStart(anchor, tag) => {
            refuse_tag(tag.is_some(), &span, builder);
            builder.open_mapping(span, anchor)
        }
        Event::SequenceEnd | Event::MappingEnd => {
            builder.close(span);
            Ok(())
        }
        Event::Alias(anchor) => builder.alias(anchor, span),
        Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
    }
}

fn refuse_tag(tagged: bool, span: &Range<usize>, builder: &mut Builder) {
    if tagged {
        let problem = Problem::span(span.clone(), "tags are not allowed in a spec");
        builder.note(problem.label("has a tag").remedy("remove the tag; put a value in quotes to make it a text"));
    }
}

fn refuse_merge(text: &str, style: ScalarStyle, span: &Range<usize>, builder: &mut Builder) {
    if text == "<<" && style == ScalarStyle::Plain && builder.expects_key() {
        let problem = Problem::span(span.clone(), "merge keys are not allowed in a spec");
        builder.note(problem.label("a merge key").remedy("write the merged keys out, one per line"));
    }
}

/// A text that is not YAML at `at`; tabs and a few frequent causes get a remedy.
fn not_yaml(text: &str, at: usize, info: &str) -> Problem {
    if let Some(tab) = tab_near(text, at) {
        return Problem::span(tab, "tabs may not indent YAML; use spaces")
            .label("a tab")
            .remedy("replace it by spaces");
    }
    if info.contains("recursion limit") {
        return too_deep(at..at);
    }
    let problem = Problem::span(at..at, format!("this is not YAML: {info}")).label("the parser stopped here");
    match info {
        _ if info.contains("mapping values are not allowed") => {
            problem.remedy("align the key with its neighbours, or put a value that contains `: ` in quotes")
        }
        _ if info.contains("quoted scalar") => problem.remedy("close the quotes"),
        _ if info.contains("unexpected character") => problem.remedy("put the value in quotes"),
        _ if info.contains("unknown anchor") => {
            problem.remedy("define `&name` before `*name`, or put a text that starts with `*` in quotes")
        }
        _ if info.contains("or '}'") || info.contains("or ']'") => {
            problem.remedy("close the bracket, or add the missing comma")
        }
        _ => problem,
    }
}

/// A tab before the first character of the line of `at`, or of the next one, where a parser also stops for a tab.
fn tab_near(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let mut from = start;
    for line in text[start..].split_inclusive('\n').take(2) {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t', '-']).len()];
        if let Some(tab) = indent.find('\t') {
            return Some(from + tab..from + tab + 1);
        }
        from += line.len();
    }
    None
}

/// Reads what another program has written, whose places concern nobody. `serde_yaml` bounds its depth and its references.
///
/// # Errors
/// When it is not what is expected.
pub fn of_program<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_yaml::from_slice(bytes).context("it is not as expected")
}

/// What only the second reader refuses.
fn unlike(text: &str, bytes: &Bytes, error: &serde_yaml::Error) -> Problem {
    let at = error.location().map_or(0, |location| bytes.at(location.index()));
    let info = error.to_string();
    if info.contains("invalid type: integer") {
        return Problem::span(at..at, "the number is too large").remedy("put it in quotes to make it a text");
    }
    not_yaml(text, at, info.split(" at line ").next().unwrap_or(&info))
}

/// The plain value of a YAML value whose nodes stand at `place`.
fn to_json(yaml: Yaml, place: &Place, problems: &mut Vec<Problem>) -> Value {
    match (yaml, &*place.inside) {
        (Yaml::Null, Inside::Scalar) => Value::Null,
        (Yaml::Bool(truth), Inside::Scalar) => Value::Bool(truth),
        (Yaml::String(text), Inside::Scalar) => Value::String(text),
        (Yaml::Number(number), Inside::Scalar) => number_to_json(&number, &place.span, problems),
        (Yaml::Sequence(values), Inside::Items(items)) if values.len() == items.len() => {
            values.into_iter().zip(items).map(|(value, item)| to_json(value, item, problems)).collect()
        }
        (Yaml::Mapping(values), Inside::Entries(entries)) if values.len() == entries.list.len() => {
            mapping_to_json(values, entries, problems)
        }
        _ => {
            problems.push(ambiguous(&place.span));
            Value::Null
        }
    }
}

fn mapping_to_json(values: serde_yaml::Mapping, entries: &Entries, problems: &mut Vec<Problem>) -> Value {
    let mut map = Map::new();
    for ((key, value), entry) in values.into_iter().zip(&entries.list) {
        match key {
            Yaml::String(key) if key == entry.key => {
                map.insert(key, to_json(value, &entry.value, problems));
            }
            Yaml::String(_) => problems.push(ambiguous(&entry.span)),
            _ => problems.push(
                Problem::span(entry.span.clone(), format!("a key must be a text, {} is not", quoted(&entry.key)))
                    .label("not a text")
                    .remedy("put it in quotes"),
            ),
        }
    }
    Value::Object(map)
}

fn number_to_json(number: &serde_yaml::Number, span: &Range<usize>, problems: &mut Vec<Problem>) -> Value {
    let whole = number.as_u64().map(Number::from).or_else(|| number.as_i64().map(Number::from));
    match whole.or_else(|| number.as_f64().and_then(Number::from_f64)) {
        Some(number) => Value::Number(number),
        None => {
            let problem = Problem::span(span.clone(), "a number must be finite").label("not finite");
            problems.push(problem.remedy("write a finite number, or leave the key out"));
            Value::Null
        }
    }
}

fn ambiguous(span: &Range<usize>) -> Problem {
    Problem::span(span.clone(), "YAML readers disagree on what stands here")
        .remedy("write it more plainly, one key per line")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
