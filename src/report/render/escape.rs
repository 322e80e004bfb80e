//! One escaping function per surface. Templates escape by default: a value is escaped unless a filter marks it safe.

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, Output, State};

/// Lets every template escape for its surface, by the ending of its name.
pub(super) fn register(environment: &mut Environment<'_>) {
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => AutoEscape::Html,
        Some("md") => AutoEscape::Custom("md".into()),
        _ => AutoEscape::Custom("txt".into()),
    });
    environment.set_formatter(escape);
}

fn escape(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match (state.auto_escape(), value.as_str()) {
        (AutoEscape::Custom(surface), Some(text)) if !value.is_safe() => {
            let escaped = if surface == "md" { markdown(text) } else { terminal(text) };
            output.write_str(&escaped).map_err(Error::from)
        }
        (AutoEscape::Custom(_), _) if value.is_undefined() || value.is_none() => Ok(()),
        (AutoEscape::Custom(_), _) => write!(output, "{value}").map_err(Error::from),
        _ => minijinja::escape_formatter(output, state, value),
    }
}

/// Text that cannot move the cursor or change colours: control characters are shown, not sent.
pub(super) fn terminal(text: &str) -> String {
    text.chars().flat_map(|c| if hostile(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

/// Text that Markdown shows as it is: no formatting, HTML, image, link, mention, reference or table break.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            // GitHub makes mentions, references and links of plain text; a zero-width space after the sign stops it.
            '@' | '#' | ':' => escaped.extend([c, '\u{200b}']),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '|' | '~' | '$' => escaped.extend(['\\', c]),
            c if hostile(c) => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Control characters, and those that reorder or hide text.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_played_with() {
        assert_eq!(terminal("a\u{1b}[31mred\u{202e}x\n"), "a\\u{1b}[31mred\\u{202e}x\\u{a}");
    }

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown("a|b\n<img src=x>"), "a\\|b &lt;img src=x&gt;");
        assert_eq!(markdown("@all #12 ![x](http://y)"), "@\u{200b}all #\u{200b}12 \\!\\[x\\]\\(http:\u{200b}//y\\)");
        assert_eq!(markdown("`code` *bold* a_b"), "\\`code\\` \\*bold\\* a\\_b");
    }
}
