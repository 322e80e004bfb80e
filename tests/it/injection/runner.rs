//! How the runner reads a log and an output file, written from its rules. Stricter than it where that is simpler.

use std::collections::BTreeMap;

/// The commands that the runner knows.
const KNOWN: [&str; 16] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "internal-set-repo-path",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// A command that the runner would carry out.
#[derive(Debug, PartialEq)]
pub(super) struct Command {
    pub(super) name: String,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) data: String,
}

/// How the runner compares text: character by character, or as people read, to whom what is not seen is not there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Exact,
    AsRead,
}

/// The lines of a log. The first loses a byte order mark.
pub(super) fn lines(log: &str) -> Vec<&str> {
    let log = log.strip_prefix('\u{feff}').unwrap_or(log);
    log.split("\r\n").flat_map(|line| line.split(['\r', '\n'])).collect()
}

/// The command of a line: the newer syntax is tried before the older one.
pub(super) fn command(line: &str, by: Comparison) -> Option<Command> {
    let line: Vec<char> = line.chars().collect();
    newer(&line, by).or_else(|| older(&line, by))
}

/// `::name key=value,key=value::data`, after white space.
fn newer(line: &[char], by: Comparison) -> Option<Command> {
    let start = line.iter().position(|c| !c.is_whitespace())?;
    let line = &line[start..];
    if !stands_at(line, 0, "::", by) {
        return None;
    }
    let end = find(line, 2, "::", by)?;
    parse(&line[2..end], ',', true, &line[end + 2..], &[("%0D", "\r"), ("%0A", "\n")], &[("%3A", ":"), ("%2C", ",")])
}

/// `##[name key=value;key=value]data`, anywhere.
fn older(line: &[char], by: Comparison) -> Option<Command> {
    let start = find(line, 0, "##[", by)?;
    let end = (start..line.len()).find(|at| line[*at] == ']')?;
    let escapes = [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]")];
    parse(line.get(start + 3..end)?, ';', false, &line[end + 1..], &escapes, &[])
}

fn parse(
    told: &[char],
    separator: char,
    trimmed: bool,
    data: &[char],
    escapes: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Option<Command> {
    let told: String = told.iter().collect();
    let (name, properties) = told.split_once(' ').unwrap_or((&told, ""));
    if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return None;
    }
    let properties = if trimmed { properties.trim() } else { properties };
    let both = [escapes, more].concat();
    let pair = |property: &str| {
        let (key, value) = property.trim_start_matches('=').split_once('=')?;
        let value = value.trim_start_matches('=');
        (!value.is_empty()).then(|| (key.to_ascii_lowercase(), unescaped(value, &both)))
    };
    Some(Command {
        name: name.to_ascii_lowercase(),
        properties: properties.split(separator).filter_map(pair).collect(),
        data: unescaped(&data.iter().collect::<String>(), escapes),
    })
}

fn unescaped(text: &str, escapes: &[(&str, &str)]) -> String {
    escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)).replace("%25", "%")
}

fn find(line: &[char], from: usize, sign: &str, by: Comparison) -> Option<usize> {
    (from..line.len()).find(|at| stands_at(line, *at, sign, by))
}

fn stands_at(line: &[char], at: usize, sign: &str, by: Comparison) -> bool {
    let mut rest = line[at..].iter().filter(|c| by == Comparison::Exact || !unseen(**c));
    sign.chars().all(|wanted| rest.next() == Some(&wanted))
}

/// Characters without weight in the order of the Unicode Collation Algorithm.
fn unseen(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The entries of an output file, or what is wrong with it.
pub(super) fn outputs(file: &str) -> Result<Vec<(String, String)>, String> {
    let mut entries = Vec::new();
    let mut rest = file;
    while let Some(line) = next_line(&mut rest) {
        match (line.find('='), line.find("<<")) {
            _ if line.is_empty() => {}
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                entries.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            }
            (_, Some(heredoc)) => {
                let (name, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
                if name.is_empty() || delimiter.is_empty() {
                    return Err(format!("neither name nor delimiter may be empty: {line}"));
                }
                entries.push((name.to_owned(), until(&mut rest, delimiter)?));
            }
            _ => return Err(format!("no entry: {line}")),
        }
    }
    Ok(entries)
}

fn until(rest: &mut &str, delimiter: &str) -> Result<String, String> {
    let mut value = Vec::new();
    loop {
        match next_line(rest) {
            Some(line) if line == delimiter => return Ok(value.join("\n")),
            Some(line) => value.push(line),
            None => return Err(format!("no line {delimiter}")),
        }
    }
}

/// On Linux, where containers run, only a line feed ends a line.
fn next_line<'t>(rest: &mut &'t str) -> Option<&'t str> {
    if rest.is_empty() {
        return None;
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = after;
    Some(line)
}

#[test]
fn the_runner_is_read_right() {
    let told = |line| command(line, Comparison::Exact);
    let some = |name: &str, properties: &[(&str, &str)], data: &str| {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Some(Command { name: name.to_owned(), properties, data: data.to_owned() })
    };
    assert_eq!(
        told("\u{2003} ::ERROR file=a%2Cb,line=1::c%0Ad%3A"),
        some("error", &[("file", "a,b"), ("line", "1")], "c\nd%3A")
    );
    assert_eq!(told("x ##[set-output name=a;b]c%5D"), some("set-output", &[("name", "a")], "c]"));
    assert_eq!(told("x ::error::"), None);
    assert_eq!(told("::made-up::##[debug]x"), some("debug", &[], "x"));
    assert_eq!(told("::error"), None);
    assert_eq!(command(":\u{200b}:error::x", Comparison::AsRead), None);
    assert_eq!(lines("a\rb\r\nc\n"), ["a", "b", "c", ""]);
    let read = outputs("a=b<<c\nd<<e=f\ng\nh=i\ne=f\n\nj=").unwrap();
    let read: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(read, [("a", "b<<c"), ("d", "g\nh=i"), ("j", "")]);
    assert!(outputs("a<<b\nc").is_err() && outputs("a").is_err());
}
