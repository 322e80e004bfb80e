//! A hostile text and how it is shown: escaped, line by line, and cut to a window.

use std::ops::Range;

/// Characters of the marked text, and of its line before and after, that are shown.
const MARKED: usize = 60;
const BEFORE: usize = 90;
const AFTER: usize = 50;
/// Characters of a found text that a message repeats.
const QUOTED: usize = 40;

/// A named text and the byte at which each of its lines starts.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    starts: Vec<usize>,
}

impl Source {
    /// Takes in a text under the name that messages show.
    pub fn new(name: &str, text: String) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = [0].into_iter().chain(after_breaks).collect();
        Self { name: escaped(name), text, starts }
    }

    /// The name that messages show, escaped.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of a byte, counted from 1; bytes beyond the end stand on the last line.
    pub fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte)
    }

    /// The bytes of a line without its line break.
    fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// What to show of the text around a span, of which the part on its first line is marked.
    pub fn window(&self, span: &Range<usize>) -> Window {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let number = self.line(start);
        let line = self.line_range(number);
        let start = start.min(line.end);
        let end = self.text.floor_char_boundary(span.end.clamp(start, line.end));
        let (before, marked, after) =
            (&self.text[line.start..start], &self.text[start..end], &self.text[end..line.end]);
        let (head, body) = (ending(before, BEFORE), beginning(marked, MARKED));
        let tail = if body.len() < marked.len() { "" } else { beginning(after, AFTER) };
        let prefix = format!("{}{}", dots(head.len() < before.len()), escaped(head));
        let marked = escaped(body);
        let mark = prefix.len()..prefix.len() + marked.len();
        let shown = format!("{prefix}{marked}{}{}", escaped(tail), dots(start + body.len() + tail.len() < line.end));
        Window { line: number, column: before.chars().count() + 1, shown, mark }
    }
}

/// The part of a line that is shown.
pub struct Window {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// The escaped text.
    pub shown: String,
    /// The bytes of `shown` that are marked.
    pub mark: Range<usize>,
}

/// A found text for a message: escaped, shortened, between backticks.
pub fn quoted(text: &str) -> String {
    let head = beginning(text, QUOTED);
    format!("`{}{}`", escaped(head), dots(head.len() < text.len()))
}

/// The name that was probably meant: the nearest one, if a third of the name or less has to change.
///
/// The distance counts inserted, dropped, changed and swapped characters (optimal string alignment); of equally near
/// names the first wins.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.len() / 3).max(1);
    let distance = |known: &'a str| {
        let near = known.len().abs_diff(name.len()) <= most;
        near.then(|| (strsim::osa_distance(name, known), known))
    };
    let near = known.into_iter().filter_map(distance).filter(|(distance, _)| *distance <= most);
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// The text with every character visible that could steer a terminal or hide: `\n`, `\u{1b}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, separators of lines, and characters that have no width or turn the direction of writing.
fn hidden(character: char) -> bool {
    let invisible = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    character.is_control() || invisible
}

fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn ending(text: &str, most: usize) -> &str {
    text.char_indices().rev().nth(most.saturating_sub(1)).map_or(text, |(start, _)| &text[start..])
}

fn dots(cut: bool) -> &'static str {
    if cut { "..." } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["max_drop", "max_rise", "metric", "min", "performance.metric"];
        let cases = [
            ("max_dorp", Some("max_drop")),
            ("max-drop", Some("max_drop")),
            ("metrics", Some("metric")),
            ("performance.metrics", Some("performance.metric")),
            ("mn", Some("min")),
            ("maxdrop", Some("max_drop")),
            ("slices", None),
            ("x", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(nearest("ac", ["ab", "ad"]), Some("ab"));
    }

    #[test]
    fn a_quoted_text_is_short_and_visible() {
        assert_eq!(quoted("abc"), "`abc`");
        assert_eq!(quoted("a\u{1b}\n\u{202e}"), "`a\\u{1b}\\n\\u{202e}`");
        assert_eq!(quoted(&"é".repeat(41)), format!("`{}...`", "é".repeat(40)));
    }

    #[test]
    fn lines_are_counted_from_one() {
        let source = Source::new("x", "a\r\n\nb".to_owned());
        assert_eq!([0, 2, 3, 4, 5, 99].map(|byte| source.line(byte)), [1, 1, 2, 3, 3, 3]);
        assert_eq!(Source::new("x", String::new()).line(0), 1);
    }
}
