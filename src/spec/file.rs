//! A file becomes text: a regular file of a bounded size, in UTF-8, with no character that readers see differently.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::place::MOST_BYTES;
use super::problem::Problem;

/// Characters that may not stand in a text and are each reported.
const MOST_CHARACTERS: usize = 10;

/// The bytes of a regular file of a permitted size.
///
/// # Errors
/// When there is no such file, it may not be read, is not a regular file, or is too large; nothing is loaded then.
pub fn load(path: &Path) -> Result<Vec<u8>, Problem> {
    let facts = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if facts.is_dir() {
        return Err(
            Problem::nowhere("this is a folder, not a spec").remedy("name the file in it, such as `modelgate.yaml`")
        );
    }
    if !facts.is_file() {
        return Err(Problem::nowhere("this is not a regular file").remedy("name a file"));
    }
    if facts.len() > MOST_BYTES as u64 {
        return Err(too_large(facts.len()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => Problem::nowhere("there is no such file")
            .remedy("write a spec there, or name another one: `modelgate validate path/to/modelgate.yaml`"),
        ErrorKind::PermissionDenied => {
            Problem::nowhere("the file may not be read").remedy("give yourself permission to read it")
        }
        _ => Problem::nowhere(format!("the file cannot be read: {error}")),
    }
}

fn too_large(bytes: u64) -> Problem {
    Problem::nowhere(format!("the file has {bytes} bytes, a spec has at most {MOST_BYTES}"))
        .remedy("name the spec, not data; split a spec that is too large")
}

/// The text of the bytes, without a byte order mark; or a text to show, and what in it is not text.
///
/// # Errors
/// When it is too large, not UTF-8, or has characters that may not stand in a spec.
pub fn decode(bytes: &[u8]) -> Result<String, (String, Vec<Problem>)> {
    if bytes.len() > MOST_BYTES {
        return Err((String::new(), vec![too_large(bytes.len() as u64)]));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(error) => {
            return Err((String::from_utf8_lossy(bytes).into_owned(), vec![not_utf8(bytes, error.valid_up_to())]));
        }
    };
    let problems: Vec<_> = foreign_characters(&text).take(MOST_CHARACTERS).collect();
    if problems.is_empty() { Ok(text) } else { Err((text, problems)) }
}

fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let byte = bytes.get(at).copied().unwrap_or_default();
    let replacement = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
    Problem::span(replacement, format!("the text is not UTF-8 at byte {at} (0x{byte:02x})"))
        .remedy("save the file as UTF-8")
}

/// Characters that are no text, and those that only some readers and editors take for a line break.
fn foreign_characters(text: &str) -> impl Iterator<Item = Problem> {
    let foreign = move |(at, character): &(usize, char)| match character {
        '\t' | '\n' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        other => other.is_control(),
    };
    text.char_indices().filter(foreign).map(|(at, character)| {
        let message = format!("the character U+{:04X} may not stand in a spec", u32::from(character));
        Problem::span(at..at + character.len_utf8(), message)
            .remedy("delete it; inside double quotes it can be escaped")
    })
}
