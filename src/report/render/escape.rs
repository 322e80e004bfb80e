//! One escaping function per surface. Templates escape by default: a value is escaped unless a filter marks it safe.
//!
//! What a pull request controls is hostile: names, data values, paths, messages. Every surface shows such a text as it
//! is and does nothing else with it; characters that hide or reorder others are shown as escapes, and what is long is cut.

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, Output, State};

/// The most characters of a value in Markdown, where a comment as a whole has a limit.
const IN_MARKDOWN: usize = 300;
/// The most characters of a value on a page or a terminal: a message with its remedy, and no novel.
const ON_PAGE: usize = 2000;
/// The most characters of a label of a plot.
const IN_LABEL: usize = 24;
/// The digits of a digest that are shown.
const IN_DIGEST: usize = 12;
/// Stands between characters that GitHub would read together, and is not seen.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// The digits of a commit that GitHub does not yet make a link of.
const SHORTER_THAN_COMMIT: usize = 6;

/// Lets every template escape for its surface, by the ending of its name. A template takes its surface when it is added,
/// so this comes first.
pub(super) fn register(environment: &mut Environment<'_>) {
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => AutoEscape::Html,
        Some("md") => AutoEscape::Custom("md".into()),
        _ => AutoEscape::Custom("txt".into()),
    });
    environment.set_formatter(escape);
    environment.add_filter("digest", |text: &str| Value::from_safe_string(digest(text)));
    environment.add_filter("mermaid", |text: &str| Value::from_safe_string(mermaid(text)));
}

fn escape(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    if value.is_safe() || matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
        return write!(output, "{value}").map_err(Error::from);
    }
    let text = value.to_string();
    let escaped = match state.auto_escape() {
        AutoEscape::Html => html(&text),
        AutoEscape::Custom(surface) if surface == "md" => markdown(&text),
        _ => terminal(&text),
    };
    output.write_str(&escaped).map_err(Error::from)
}

/// Text that cannot move the cursor, change colours, or start a line.
#[must_use]
pub fn terminal(text: &str) -> String {
    cut(&visible(text), ON_PAGE)
}

/// Text that HTML shows as it is, between tags and between the quotes of an attribute.
#[must_use]
pub fn html(text: &str) -> String {
    HtmlEscape(&cut(&visible(text), ON_PAGE)).to_string()
}

/// Text that GitHub's Markdown shows as it is, wherever on a line: no formatting, HTML, image, link, mention,
/// reference, emoji, formula or table break.
///
/// Backslashes and entities are enough for Markdown. Mentions, references and the like are made after it, of the text
/// that it yields, so they are broken by a character that is not seen. Inside a line of HTML, such as a `<summary>`, the
/// backslashes would be seen.
#[must_use]
pub fn markdown(text: &str) -> String {
    let shown: Vec<char> = cut(&visible(text), IN_MARKDOWN).chars().collect();
    let mut escaped = String::with_capacity(2 * shown.len());
    let mut hexadecimal = 0;
    for (at, &c) in shown.iter().enumerate() {
        if c.is_ascii_hexdigit() && hexadecimal > 0 && hexadecimal % SHORTER_THAN_COMMIT == 0 {
            escaped.push(ZERO_WIDTH_SPACE);
        }
        hexadecimal = if c.is_ascii_hexdigit() { hexadecimal + 1 } else { 0 };
        push_markdown(&mut escaped, &shown[..at], c, shown.get(at + 1).copied());
    }
    escaped
}

fn push_markdown(escaped: &mut String, before: &[char], c: char, next: Option<char>) {
    match c {
        '&' => escaped.push_str("&amp;"),
        '<' => escaped.push_str("&lt;"),
        '>' => escaped.push_str("&gt;"),
        // GitHub's own advice; the backslash is for parsers that know formulas themselves.
        '$' => escaped.push_str("<span>\\$</span>"),
        // Within a word or before a space these are what they are, and a raw report stays readable.
        '_' if is_in_word(before, next) => escaped.push(c),
        ':' if next == Some(' ') => escaped.push(c),
        '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '|' | '~' => escaped.extend(['\\', c]),
        '@' | '#' | ':' => escaped.extend([c, ZERO_WIDTH_SPACE]),
        // Four spaces would be code, and more than one is shown as one.
        ' ' if before.last() == Some(&' ') => {}
        '-' | '+' | '=' | '.' if starts_block(before, c, next) => escaped.extend(['\\', c]),
        '-' if joins_reference(before, next) => escaped.extend([c, ZERO_WIDTH_SPACE]),
        // Whatever follows `www.` is a link.
        '.' if ends_in_www(before) => escaped.extend([ZERO_WIDTH_SPACE, c]),
        c => escaped.push(c),
    }
}

/// Whether a character would make its line an item of a list, a rule, or the underline of a heading.
fn starts_block(before: &[char], c: char, next: Option<char>) -> bool {
    let mut line = before.iter().skip_while(|c| **c == ' ').peekable();
    if c == '.' {
        line.peek().is_some() && line.all(char::is_ascii_digit) && next.is_none_or(|next| next == ' ')
    } else {
        line.peek().is_none() && !next.is_some_and(|next| next.is_alphanumeric() || next == '.')
    }
}

fn is_in_word(before: &[char], next: Option<char>) -> bool {
    before.last().is_some_and(char::is_ascii_alphanumeric) && next.is_some_and(|next| next.is_ascii_alphanumeric())
}

/// Whether a hyphen is the joint of `GH-12`, or of a reference that the repository made up.
fn joins_reference(before: &[char], next: Option<char>) -> bool {
    before.last().is_some_and(char::is_ascii_alphabetic) && next.is_some_and(|next| next.is_ascii_digit())
}

fn ends_in_www(before: &[char]) -> bool {
    before.iter().rev().take(3).filter(|c| c.eq_ignore_ascii_case(&'w')).count() == 3
}

/// The beginning of a digest, which may stand where escapes would be seen, such as in code.
fn digest(text: &str) -> String {
    text.chars().filter(char::is_ascii_hexdigit).take(IN_DIGEST).collect()
}

/// Text that stands between the double quotes of a Mermaid diagram, without the means to leave them.
#[must_use]
pub fn mermaid(text: &str) -> String {
    let plain = |c: char| (c.is_alphanumeric() && !is_hidden(c)) || " _.=,-".contains(c);
    let label: String = text.chars().map(|c| if plain(c) { c } else { '?' }).collect();
    if label.is_empty() { "?".to_owned() } else { cut(&label, IN_LABEL) }
}

/// Text on one line without control characters, and without those that hide or reorder text: they are shown.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() => shown.push(' '),
            c if is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// The beginning of a text that is longer than so many characters.
#[must_use]
pub fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => text.chars().take(longest.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Control characters, those that reorder or hide text or take no room, and those that are no characters.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // soft hyphen, joiners, fillers and vowels without a shape
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            // marks of direction, zero width, embeddings, isolates, invisible operators
            | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            // selectors of variants, Mongolian and general
            | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
            // annotations, shorthand and musical controls, and what XML forbids
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_played_with() {
        assert_eq!(terminal("a\u{1b}[31mred\u{202e}x\r\n"), "a\\u{1b}[31mred\\u{202e}x  ");
    }

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown("a|b\n<img src=x>"), "a\\|b &lt;img src=x&gt;");
        assert_eq!(markdown("@all #12 ![x](http://y)"), "@\u{200b}all #\u{200b}12 \\!\\[x\\]\\(http:\u{200b}//y\\)");
        assert_eq!(markdown("`code` *bold* _a__b_"), "\\`code\\` \\*bold\\* \\_a\\_\\_b\\_");
        assert_eq!(markdown("GH-12 www.a.b 0a1b2c3d"), "GH-\u{200b}12 www\u{200b}.a.b 0a1b2c\u{200b}3d");
        assert_eq!(markdown("$x$"), "<span>\\$</span>x<span>\\$</span>");
    }

    #[test]
    fn markdown_of_plain_text_is_plain() {
        for text in
            ["performance.regression/roc_auc/carrier=UA", "flight-delay", "-0.1475", "too few: 1.5 of 20 %", "a, b = c"]
        {
            assert_eq!(markdown(text), text);
        }
    }

    #[test]
    fn no_value_starts_a_block() {
        assert_eq!(
            ["- a", "+ a", "---", "=", "1. a", "  12."].map(markdown),
            ["\\- a", "\\+ a", "\\---", "\\=", "1\\. a", " 12\\."]
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = "é".repeat(1_000_000);
        assert_eq!(markdown(&long), format!("{}…", "é".repeat(IN_MARKDOWN - 1)));
        assert_eq!(terminal(&long).chars().count(), ON_PAGE);
        assert_eq!(mermaid("shop=north and south and east"), "shop=north and south an…");
    }

    #[test]
    fn a_label_stays_between_its_quotes() {
        assert_eq!(mermaid("\"]\n```"), "??????");
        assert_eq!(mermaid("Größe=`x`"), "Größe=?x?");
        assert_eq!(mermaid(""), "?");
    }

    #[test]
    fn templates_escape() {
        let mut environment = Environment::new();
        register(&mut environment);
        for (name, expected) in [("a.md", "\\*&lt;"), ("a.txt", "*<"), ("a.html", "*&lt;")] {
            environment.add_template(name, "{% macro m(v) %}{{ v }}{% endmacro %}{{ m(v) }}").unwrap();
            let rendered = environment.get_template(name).unwrap().render(minijinja::context! { v => "*<" }).unwrap();
            assert_eq!(rendered, expected, "{name}");
        }
    }
}
