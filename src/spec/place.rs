//! Where each node of a YAML text stands, found in one bounded pass over the parser's events.
//!
//! The pass comes before anything is expanded: it knows how large the document would be with every alias written out,
//! and stops at the first event beyond a bound. What it accepts is small enough for any later walk.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::problem::{At, Path, Problem, Step};
use super::source::quoted;

/// Lists and mappings inside one another.
const DEEPEST: usize = 32;
/// Keys, values, lists and mappings, with every alias written out.
const MOST_NODES: usize = 10_000;
/// Bytes of a key.
const LONGEST_KEY: usize = 256;
/// Bytes of a spec, and of its keys and values with every alias written out.
pub const MOST_BYTES: usize = 1 << 20;

/// A node's place in the text, and the places of what is inside.
#[derive(Debug, Clone)]
pub struct Place {
    /// The bytes of the node; for an alias, of the alias.
    pub span: Range<usize>,
    /// What is inside; shared by an anchor and its aliases.
    pub inside: Arc<Inside>,
}

/// What is inside a node.
#[derive(Debug)]
pub enum Inside {
    /// Nothing: the node is a scalar.
    Scalar,
    /// The items of a list.
    Items(Vec<Place>),
    /// The entries of a mapping.
    Entries(Entries),
}

/// The entries of a mapping, in the order of the text, found by key.
#[derive(Debug, Default)]
pub struct Entries {
    /// The entries, in the order of the text.
    pub list: Vec<Entry>,
    index: HashMap<String, usize>,
}

/// One entry of a mapping.
#[derive(Debug)]
pub struct Entry {
    /// The text of the key.
    pub key: String,
    /// The bytes of the key.
    pub span: Range<usize>,
    /// The place of the value.
    pub value: Place,
}

impl Place {
    /// The spans of the key and of the value at a path, or those of its nearest existing ancestor.
    pub fn spans(&self, path: &Path) -> (Range<usize>, Range<usize>) {
        let mut spans = (self.span.clone(), self.span.clone());
        let mut place = self;
        for step in path.steps() {
            let (key, value) = match (step, &*place.inside) {
                (Step::Index(index), Inside::Items(items)) => match items.get(*index) {
                    Some(item) => (&item.span, item),
                    None => break,
                },
                (Step::Key(key), Inside::Entries(entries)) => match entries.get(key) {
                    Some(entry) => (&entry.span, &entry.value),
                    None => break,
                },
                _ => break,
            };
            spans = (key.clone(), value.span.clone());
            place = value;
        }
        spans
    }
}

impl Entries {
    fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).and_then(|at| self.list.get(*at))
    }

    fn push(&mut self, entry: Entry) {
        self.index.insert(entry.key.clone(), self.list.len());
        self.list.push(entry);
    }
}

/// The size of a node with every alias in it written out.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// An anchored node that is complete, so that an alias to it is not a circle.
struct Anchored {
    inside: Arc<Inside>,
    size: Size,
    height: usize,
}

/// A list or a mapping whose end has not come yet.
struct Open {
    span: Range<usize>,
    anchor: usize,
    inside: Inside,
    key: Option<(String, Range<usize>)>,
    before: Size,
    height: usize,
}

/// Builds the places of one document from events; each method refuses what is beyond a bound, which ends the pass.
///
/// Anchors are numbers, 0 for none.
#[derive(Default)]
pub struct Builder {
    open: Vec<Open>,
    anchored: BTreeMap<usize, Anchored>,
    size: Size,
    root: Option<Place>,
    problems: Vec<Problem>,
}

impl Builder {
    /// Notes a problem that does not end the pass.
    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// What was found: the place of the root, if there was a document, and all problems.
    pub fn finish(self) -> (Option<Place>, Vec<Problem>) {
        (self.root, self.problems)
    }

    /// A list starts.
    pub fn open_list(&mut self, span: Range<usize>, anchor: usize) -> Result<(), Problem> {
        self.open(span, anchor, Inside::Items(Vec::new()))
    }

    /// A mapping starts.
    pub fn open_mapping(&mut self, span: Range<usize>, anchor: usize) -> Result<(), Problem> {
        self.open(span, anchor, Inside::Entries(Entries::default()))
    }

    fn open(&mut self, span: Range<usize>, anchor: usize, inside: Inside) -> Result<(), Problem> {
        if self.expects_key() {
            return Err(written_out(span));
        }
        if self.open.len() >= DEEPEST {
            return Err(too_deep(span));
        }
        let before = self.size;
        self.grow(&span, Size { nodes: 1, bytes: 0 })?;
        self.open.push(Open { span, anchor, inside, key: None, before, height: 1 });
        Ok(())
    }

    /// The innermost list or mapping ends: with its bracket, or else with its last node.
    pub fn close(&mut self, bracket: Range<usize>) {
        let Some(Open { span, anchor, inside, before, height, .. }) = self.open.pop() else { return };
        let size = Size { nodes: self.size.nodes - before.nodes, bytes: self.size.bytes - before.bytes };
        let end = if bracket.is_empty() { span.end } else { bracket.end };
        let place = Place { span: span.start..end, inside: Arc::new(inside) };
        self.anchor(anchor, Anchored { inside: Arc::clone(&place.inside), size, height });
        self.add(place, height);
    }

    /// A scalar: a key, if a mapping is waiting for one.
    pub fn scalar(&mut self, text: &str, span: Range<usize>, anchor: usize) -> Result<(), Problem> {
        let size = Size { nodes: 1, bytes: text.len() };
        self.grow(&span, size)?;
        let inside = Arc::new(Inside::Scalar);
        self.anchor(anchor, Anchored { inside: Arc::clone(&inside), size, height: 0 });
        if self.expects_key() {
            return self.key(text, span);
        }
        self.add(Place { span, inside }, 0);
        Ok(())
    }

    /// An alias to an anchor.
    pub fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<(), Problem> {
        if self.expects_key() {
            return Err(written_out(span));
        }
        let Some(Anchored { inside, size, height }) = self.anchored.get(&anchor) else {
            return Err(
                Problem::span(span, "this alias contains itself").remedy("write the part out, without an alias")
            );
        };
        let (inside, size, height) = (Arc::clone(inside), *size, *height);
        if self.open.len() + height > DEEPEST {
            return Err(too_deep(span));
        }
        self.grow(&span, size)?;
        self.add(Place { span, inside }, height);
        Ok(())
    }

    /// Whether the next node is a key.
    pub fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.inside, Inside::Entries(_)) && open.key.is_none())
    }

    fn key(&mut self, text: &str, span: Range<usize>) -> Result<(), Problem> {
        if text.len() > LONGEST_KEY {
            let message = format!("the key {} is longer than {LONGEST_KEY} bytes", quoted(text));
            return Err(Problem::span(span, message).remedy("shorten the key"));
        }
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        if let Inside::Entries(entries) = &open.inside
            && let Some(first) = entries.get(text)
        {
            let first = At::Span(first.span.clone());
            let problem = Problem::span(span.clone(), format!("duplicate key {}", quoted(text)));
            self.problems.push(problem.label("stands here again").also(first, "first here").remedy("keep one of them"));
        }
        open.key = Some((text.to_owned(), span));
        Ok(())
    }

    fn anchor(&mut self, anchor: usize, anchored: Anchored) {
        if anchor != 0 {
            self.anchored.insert(anchor, anchored);
        }
    }

    fn grow(&mut self, span: &Range<usize>, by: Size) -> Result<(), Problem> {
        self.size.nodes = self.size.nodes.saturating_add(by.nodes);
        self.size.bytes = self.size.bytes.saturating_add(by.bytes);
        if self.size.nodes <= MOST_NODES && self.size.bytes <= MOST_BYTES {
            return Ok(());
        }
        let message =
            format!("the document is larger than {MOST_NODES} nodes or {MOST_BYTES} bytes, aliases written out");
        Err(Problem::span(span.clone(), message)
            .label("it grows too large here")
            .remedy("split it or use fewer aliases"))
    }

    fn add(&mut self, place: Place, height: usize) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(place);
            return;
        };
        open.height = open.height.max(height + 1);
        open.span.end = open.span.end.max(place.span.end);
        match &mut open.inside {
            Inside::Items(items) => items.push(place),
            Inside::Entries(entries) => {
                if let Some((key, span)) = open.key.take() {
                    open.span.end = open.span.end.max(span.end);
                    entries.push(Entry { key, span, value: place });
                }
            }
            Inside::Scalar => {}
        }
    }
}

/// What is said of lists and mappings beyond [`DEEPEST`].
pub fn too_deep(span: Range<usize>) -> Problem {
    Problem::span(span, format!("lists and mappings are nested deeper than {DEEPEST}")).remedy("nest less")
}

fn written_out(span: Range<usize>) -> Problem {
    Problem::span(span, "a key must be a text").label("not a text").remedy("write the key out, as in `name: value`")
}
