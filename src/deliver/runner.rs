//! What is said to the runner of GitHub Actions: commands on its log, entries of its output file, and plain text.
//!
//! The runner reads both streams of a step by lines, which end at a line feed, a carriage return or both. A line is a
//! command if `::` follows its leading white space, up to the next `::`, or else if `##[` stands anywhere in it, up to
//! the next `]`, and if the name that follows the sign is known. What is written here says only what it is meant to say.

use crate::artifact::path::sha256_of_bytes;
use crate::report::render::escape::{cut, visible};

/// The outputs of the action.
pub const OUTPUTS: [&str; 7] = ["verdict", "record", "report", "html", "check-url", "comment-url", "failed-claims"];

/// Breaks a sign, and is not seen.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// The most characters of a title, which GitHub limits to 255.
const TITLE: usize = 200;
/// The most characters of a message.
const MESSAGE: usize = 4000;

/// How loud an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For information.
    Notice,
    /// Something to look at.
    Warning,
    /// Something that blocks.
    Error,
}

impl Level {
    fn command(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A remark on a line of a file of the repository.
#[derive(Debug, Clone, Copy)]
pub struct Annotation<'a> {
    /// How loud it is.
    pub level: Level,
    /// The file, relative to the repository.
    pub path: &'a str,
    /// The line, from 1.
    pub line: usize,
    /// The title.
    pub title: &'a str,
    /// What is remarked; it may have several lines.
    pub message: &'a str,
}

/// The command that makes an annotation: a line that ends in a line feed.
#[must_use]
pub fn annotation(annotation: &Annotation<'_>) -> String {
    let Annotation { level, path, line, title, message } = annotation;
    let (title, path) = (property(title, TITLE), property(path, usize::MAX));
    // The number stands last: no character of a text can join the sign that ends the properties.
    format!("::{} title={title},file={path},line={line}::{}\n", level.command(), data(message))
}

/// The command that says something without a place: a line that ends in a line feed.
#[must_use]
pub fn message(level: Level, text: &str) -> String {
    format!("::{}::{}\n", level.command(), data(text))
}

/// Text for either stream of which no line is a command.
///
/// A sign is broken wherever it stands, so it does not matter what the runner takes for white space or for the end of a
/// line. It is also broken where nothing is seen between its characters, such as a change of colour: that may be removed on
/// the way to the log. The parts of a text may be made inert one by one.
#[must_use]
pub fn inert(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        written.push(c);
        if completes_sign(c, characters.peek().copied()) {
            written.push(ZERO_WIDTH_SPACE);
        }
    }
    written
}

/// Whether a sign may go on after a character: only one that is seen, and is no part of the sign, ends it for certain.
fn completes_sign(c: char, next: Option<char>) -> bool {
    let ends = |next: char| matches!(next, ' ' | '\n' | ZERO_WIDTH_SPACE) || next.is_ascii_graphic();
    match c {
        ':' => !next.is_some_and(|next| ends(next) && next != ':'),
        '#' => !next.is_some_and(|next| ends(next) && next != '#' && next != '['),
        _ => false,
    }
}

/// An entry of the file that `GITHUB_OUTPUT` names, for one of [`OUTPUTS`].
///
/// The value stands between two lines that are the same. The line is made of the value's own SHA-256, so a value that
/// holds it would be a text that holds its own digest, which nobody can find; and equal runs still write equal bytes. A
/// name without `=` and `<<` makes the runner read the entry in this form.
#[must_use]
pub fn output(name: &str, value: &str) -> String {
    debug_assert!(OUTPUTS.contains(&name), "`{name}` is no output of the action");
    let delimiter = format!("end-{}", sha256_of_bytes(value.as_bytes()));
    format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")
}

/// A value of a property of a command.
fn property(text: &str, longest: usize) -> String {
    percent_encoded(&inert(&cut(&visible(text), longest))).replace(':', "%3A").replace(',', "%2C")
}

/// The text of a command. The runner prints its lines one by one, so they are made inert as well.
fn data(text: &str) -> String {
    let lines: Vec<String> = cut(text, MESSAGE).lines().map(visible).collect();
    let text = percent_encoded(&inert(&lines.join("\n")));
    // A mark that combines with the character before it could hide the sign that ends the properties.
    let apart = if text.starts_with(|first: char| first.is_ascii()) || text.is_empty() { "" } else { " " };
    format!("{apart}{text}")
}

fn percent_encoded(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_one_line() {
        let remark = Annotation {
            level: Level::Error,
            path: "a,b:c.yaml",
            line: 7,
            title: "50 %\n",
            message: "first\nsecond: ##[group]x",
        };
        assert_eq!(
            annotation(&remark),
            "::error title=50 %25 ,file=a%2Cb%3Ac.yaml,line=7::first%0Asecond: #\u{200b}#\u{200b}[group]x\n"
        );
        assert_eq!(message(Level::Warning, "\u{301}::x"), "::warning:: \u{301}:\u{200b}:x\n");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["error: `a` at 12:30\n  see https://example.org/#part, issue #4", "note: a, b\n\tc"] {
            assert_eq!(inert(text), text);
        }
    }

    #[test]
    fn signs_are_broken() {
        assert_eq!(inert("::error::x"), ":\u{200b}:error:\u{200b}:x");
        assert_eq!(inert("##[group]"), "#\u{200b}#\u{200b}[group]");
        assert_eq!(inert(":\u{1b}[0m:"), ":\u{200b}\u{1b}[0m:\u{200b}");
        assert_eq!(inert(&inert("::##[")), inert("::##["));
    }

    #[test]
    fn an_output_ends_at_its_own_line() {
        let entry = output("verdict", "pass\nverdict=fail");
        let (first, rest) = entry.split_once('\n').unwrap();
        let delimiter = first.strip_prefix("verdict<<").unwrap();
        assert_eq!(rest, format!("pass\nverdict=fail\n{delimiter}\n"));
    }
}
