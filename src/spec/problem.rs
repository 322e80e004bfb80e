//! What is wrong with a spec, where, and what to do about it; all of it at once, as a compiler shows it.
//!
//! Every text in a problem is escaped, and of the spec's own text only a window around the place is shown, so that a
//! hostile file can neither steer a terminal nor flood it.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::source::{Source, Window, escaped};
pub use super::source::{nearest, quoted};
use super::yaml::Document;

/// Problems that are written out; the count line tells how many there are.
const MOST_SHOWN: usize = 100;
/// Above what a window can need, so that the renderer does not cut a second time.
const TERMINAL_WIDTH: usize = 4096;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// To the value of a mapping's entry.
    Key(String),
    /// To an item of a list, counted from 0.
    Index(usize),
}

/// The way from the root of a document to one of its nodes, shown as `checks[2].performance.metric.max_drop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path and then an entry of a mapping.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// This path and then an item of a list, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(f, "{}", escaped(key))?,
                Step::Key(key) => write!(f, ".{}", escaped(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Where a problem stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// At the key of a mapping's entry; for an item of a list and for the root, at the value.
    Key(Path),
    /// At the value.
    Value(Path),
    /// At these bytes of the text.
    Span(Range<usize>),
    /// At no place in the text, such as a file that is not there.
    Nowhere,
}

/// One thing that is wrong: a message, its place with a label, perhaps a second place, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub at: At,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What is written under the marked text; may be empty.
    pub label: String,
    /// What to write instead.
    pub remedy: Option<String>,
    /// A second place that explains the first, with its label.
    pub also: Option<Box<(At, String)>>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), label: String::new(), remedy: None, also: None }
    }

    /// A problem at the key of a mapping's entry.
    pub fn key(path: &Path, message: impl Into<String>) -> Self {
        Self::new(At::Key(path.clone()), message)
    }

    /// A problem at a value.
    pub fn value(path: &Path, message: impl Into<String>) -> Self {
        Self::new(At::Value(path.clone()), message)
    }

    /// A problem at bytes of the text.
    pub fn span(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(At::Span(span), message)
    }

    /// A problem of the file as a whole.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self::new(At::Nowhere, message)
    }

    /// Adds what is written under the marked text.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Adds a second place.
    #[must_use]
    pub fn also(self, at: At, label: impl Into<String>) -> Self {
        Self { also: Some(Box::new((at, label.into()))), ..self }
    }
}

/// A problem whose place is known as bytes of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    span: Option<Range<usize>>,
    message: String,
    label: String,
    remedy: Option<String>,
    also: Option<(Range<usize>, String)>,
}

/// All problems of one spec, ordered by place and then by message, each one once.
#[derive(Debug, Clone)]
pub struct Problems {
    source: Arc<Source>,
    list: Vec<Placed>,
}

impl Problems {
    /// The problems of a document that could be read.
    pub fn new(document: &Document, problems: Vec<Problem>) -> Self {
        Self::resolve(document.source(), problems, |at| match at {
            At::Key(path) => Some(document.key_span(path)),
            At::Value(path) => Some(document.value_span(path)),
            At::Span(span) => Some(span.clone()),
            At::Nowhere => None,
        })
    }

    /// The problems of a text that could not be read as a document; paths lead nowhere in it.
    pub fn of_source(source: Arc<Source>, problems: Vec<Problem>) -> Self {
        Self::resolve(source, problems, |at| match at {
            At::Span(span) => Some(span.clone()),
            At::Key(_) | At::Value(_) | At::Nowhere => None,
        })
    }

    fn resolve(source: Arc<Source>, problems: Vec<Problem>, span: impl Fn(&At) -> Option<Range<usize>>) -> Self {
        let place = |problem: Problem| Placed {
            span: span(&problem.at),
            message: escaped(&problem.message),
            label: escaped(&problem.label),
            remedy: problem.remedy.as_deref().map(escaped),
            also: problem.also.and_then(|also| Some((span(&also.0)?, escaped(&also.1)))),
        };
        let mut list: Vec<_> = problems.into_iter().map(place).collect();
        list.sort_by_cached_key(|placed| {
            (placed.span.as_ref().map(|span| (span.start, span.end)), placed.message.clone(), placed.label.clone())
        });
        list.dedup();
        Self { source, list }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The line of each problem, counted from 1, if it has a place, and its message.
    pub fn messages(&self) -> impl Iterator<Item = (Option<usize>, &str)> {
        let line = |span: &Range<usize>| self.source.line(span.start);
        self.list.iter().map(move |placed| (placed.span.as_ref().map(line), placed.message.as_str()))
    }

    /// Every problem as a compiler shows it, and how many there are; with terminal colours if asked for.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(TERMINAL_WIDTH);
        let render = |placed| renderer.render(&[self.group(placed)]) + "\n\n";
        let shown: String = self.list.iter().take(MOST_SHOWN).map(render).collect();
        shown + &self.count()
    }

    fn group<'a>(&'a self, placed: &'a Placed) -> Group<'a> {
        let Placed { span, message, label, remedy, also } = placed;
        let mut group = Group::with_title(Level::ERROR.primary_title(message));
        group = match span {
            Some(span) => self.snippet(group, span, label, AnnotationKind::Primary),
            None => group.element(Origin::path(self.source.name())),
        };
        if let Some((span, label)) = also {
            group = self.snippet(group, span, label, AnnotationKind::Context);
        }
        group.elements(remedy.as_ref().map(|remedy| Level::HELP.message(remedy)))
    }

    fn snippet<'a>(&'a self, group: Group<'a>, span: &Range<usize>, label: &'a str, kind: AnnotationKind) -> Group<'a> {
        let Window { line, column, shown, mark } = self.source.window(span);
        let counts_right = shown[..mark.start].chars().count() + 1 == column;
        let annotation = kind.span(mark).label((!label.is_empty()).then_some(label));
        let snippet = Snippet::source(shown).line_start(line).annotation(annotation);
        let name = self.source.name();
        if counts_right {
            return group.element(snippet.path(name));
        }
        group.element(Origin::path(name).line(line).char_column(column)).element(snippet)
    }

    fn count(&self) -> String {
        let name = self.source.name();
        match self.list.len() {
            1 => format!("1 problem in {name}"),
            many if many > MOST_SHOWN => format!("{many} problems in {name}, the first {MOST_SHOWN} are shown"),
            many => format!("{many} problems in {name}"),
        }
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
