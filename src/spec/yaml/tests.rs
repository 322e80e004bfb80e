//! What is read, what is refused with which message at which line, and that no bytes take long or panic.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Document, Problems> {
    Document::read("modelgate.yaml", text.as_bytes())
}

/// The line and the message of every problem.
fn refused(text: &str) -> Vec<(usize, String)> {
    let problems = read(text).unwrap_err();
    problems.messages().map(|(line, message)| (line.unwrap_or(0), message.to_owned())).collect()
}

fn only(line: usize, message: &str) -> Vec<(usize, String)> {
    vec![(line, message.to_owned())]
}

#[test]
fn values_keep_their_kind_and_order() {
    let text = "b: 1\na: [0.5, true, null, ~, x, 1%, \"2\", 2026-11-23, yes]\nlong: |\n  two\n  lines\n";
    let expected =
        json!({"b": 1, "a": [0.5, true, null, null, "x", "1%", "2", "2026-11-23", "yes"], "long": "two\nlines\n"});
    let document = read(text).unwrap();
    assert_eq!(document.value().to_string(), expected.to_string());
}

#[test]
fn every_path_has_a_key_and_a_value_in_the_text() {
    let text =
        "é: {ü: 'ö' }\r\nlist:\r\n  - drift.feature: &a [1, {z: 2}]\r\n  - *a\r\n  - |\r\n    text\r\n\r\nend:\r\n";
    let document = read(text).unwrap();
    let list = Path::root().key("list");
    let first = list.index(0).key("drift.feature");
    let cases = [
        (Path::root().key("é").key("ü"), "ü", "'ö'"),
        (first.clone(), "drift.feature", "&a [1, {z: 2}]"),
        (first.index(1).key("z"), "z", "2"),
        (list.index(1), "*a", "*a"),
        (list.index(1).index(1).key("z"), "z", "2"),
        (list.index(2), "text", "text"),
        (Path::root().key("end"), "end", ""),
        (first.key("none"), "drift.feature", "&a [1, {z: 2}]"),
        (first.index(7).key("none"), "drift.feature", "&a [1, {z: 2}]"),
    ];
    for (path, key, value) in cases {
        assert_eq!(&text[document.key_span(&path)], key, "the key of {path}");
        assert_eq!(&text[document.value_span(&path)], value, "the value of {path}");
    }
    assert_eq!(document.line(&first), 3);
    assert_eq!(document.at(&list.index(1).index(0)), Some(&json!(1)));
    assert_eq!(document.at(&list.index(9)), None);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let document = read("\u{feff}version: 1\n").unwrap();
    assert_eq!(document.value(), &json!({"version": 1}));
    assert_eq!(document.key_span(&Path::root().key("version")), 0..7);
}

#[test]
fn hostile_texts_are_refused_with_their_line() {
    let deep = "lists and mappings are nested deeper than 32";
    let large = "the document is larger than 10000 nodes or 1048576 bytes, aliases written out";
    let tab = "tabs may not indent YAML; use spaces";
    let cases = [
        ("", 0, "the spec is empty"),
        ("# only a comment\n", 0, "the spec is empty"),
        ("---\n", 0, "the spec is empty"),
        ("null\n", 0, "the spec is empty"),
        ("a: 1\n---\nb: 2\n", 2, "a second document starts here"),
        ("a: 1\n...\n---\nb: 2\n", 3, "a second document starts here"),
        ("a:\n  - !include x\n", 2, "tags are not allowed in a spec"),
        ("a: !!str 1\n", 1, "tags are not allowed in a spec"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", 3, "merge keys are not allowed in a spec"),
        ("a: 1\n2: 3\n", 2, "a key must be a text, `2` is not"),
        ("true: 3\n", 1, "a key must be a text, `true` is not"),
        ("~: 3\n", 1, "a key must be a text, `~` is not"),
        ("a: 1\n? [b]\n: 3\n", 2, "a key must be a text"),
        ("? {b: 1}\n: 3\n", 1, "a key must be a text"),
        ("a: &a x\n*a : 1\n", 2, "a key must be a text"),
        ("a: .nan\n", 1, "a number must be finite"),
        ("a: 1\nb: [-.inf]\n", 2, "a number must be finite"),
        ("a: 99999999999999999999\n", 1, "the number is too large"),
        ("a: &x [*x]\n", 1, "this alias contains itself"),
        ("a: *nowhere\n", 1, "this is not YAML: while parsing node, found unknown anchor"),
        ("a:\n\tb: 1\n", 2, tab),
        ("\ta: 1\n", 1, tab),
        ("a:\n  b: 1\n\tc: 2\n", 3, tab),
        ("-\ta: 1\n\tb: 2", 1, tab),
        ("a: \"x\nb: 1\n", 1, "this is not YAML: invalid indentation in quoted scalar"),
        ("a: 'x", 1, "this is not YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: b: c\n", 1, "this is not YAML: mapping values are not allowed in this context"),
        ("a: {b: 1\n", 2, "this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'"),
        ("&x: \n", 1, "YAML readers disagree on what stands here"),
        ("a: @b\n", 1, "this is not YAML: unexpected character: `@'"),
        ("a: \u{1b}[2J\n", 1, "the character U+001B may not stand in a spec"),
        ("a: 1\nb: \0\n", 2, "the character U+0000 may not stand in a spec"),
        ("a: 1 # \u{2028}b: 2\n", 1, "the character U+2028 may not stand in a spec"),
        ("a: 1 # \rb: 2\n", 1, "the character U+000D may not stand in a spec"),
        ("a: 1 # \u{85}b: 2\n", 1, "the character U+0085 may not stand in a spec"),
    ];
    for (text, line, message) in cases {
        assert_eq!(refused(text), only(line, message), "{text:?}");
    }
    assert_eq!(refused(&"[".repeat(33)), only(1, deep));
    assert_eq!(refused(&format!("{}1{}", "[".repeat(33), "]".repeat(33))), only(1, deep));
    assert_eq!(refused(&format!("a: &a {}1{}\nb: [[*a]]\n", "[".repeat(30), "]".repeat(30))), only(2, deep));
    assert_eq!(refused(&"- \n".repeat(10_000)), only(10_000, large));
    assert_eq!(refused(&format!("a: &a {}\nb: [*a, *a]\n", "x".repeat(400_000))), only(2, large));
    assert_eq!(
        refused(&format!("{}: 1\n", "k".repeat(257)))[0].1,
        format!("the key `{}...` is longer than 256 bytes", "k".repeat(40))
    );
}

#[test]
fn what_is_just_within_the_bounds_is_read() {
    assert!(read(&format!("{}1{}", "[".repeat(32), "]".repeat(32))).is_ok());
    assert!(read(&"- \n".repeat(9_999)).is_ok());
    assert!(read(&format!("{}: 1\n", "k".repeat(256))).is_ok());
    assert!(read(&format!("a: {}", "x".repeat((1 << 20) - 3))).is_ok());
    assert!(read(&format!("a: {}", "x".repeat((1 << 20) - 2))).is_err());
}

#[test]
fn aliases_are_written_out_within_the_bounds_and_never_beyond() {
    let document = read("a: &a [1, 2]\nb: {c: *a, d: *a}\n").unwrap();
    assert_eq!(document.value(), &json!({"a": [1, 2], "b": {"c": [1, 2], "d": [1, 2]}}));
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (outer, inner) in ('b'..='i').zip('a'..='h') {
        laughs += &format!("{outer}: &{outer} [{}]\n", vec![format!("*{inner}"); 9].join(", "));
    }
    assert_eq!(refused(&laughs)[0].0, 5);
}

#[test]
fn every_problem_is_told_at_once() {
    let text = "a: !t 1\na: 2\nb:\n  <<: {x: 1}\n  c: 1\n  c: 2\n";
    let expected = [
        (1, "tags are not allowed in a spec"),
        (2, "duplicate key `a`"),
        (4, "merge keys are not allowed in a spec"),
        (6, "duplicate key `c`"),
    ];
    assert_eq!(refused(text), expected.map(|(line, message)| (line, message.to_owned())));
}

#[test]
fn a_duplicate_key_shows_both_places() {
    let expected = "\
error: duplicate key `tier`
 --> modelgate.yaml:4:3
  |
4 |   tier: low
  |   ^^^^ stands here again
  |
 ::: modelgate.yaml:2:3
  |
2 |   tier: high
  |   ---- first here
  |
  = help: keep one of them

1 problem in modelgate.yaml";
    assert_eq!(read("model:\n  tier: high\n  name: a\n  tier: low\n").unwrap_err().to_string(), expected);
}

#[test]
fn bytes_that_are_not_utf8_are_located() {
    let problems = Document::read("modelgate.yaml", b"a: 1\nb: \xff\n").unwrap_err();
    let expected = "\
error: the text is not UTF-8 at byte 8 (0xff)
 --> modelgate.yaml:2:4
  |
2 | b: \u{fffd}
  |    ^
  |
  = help: save the file as UTF-8

1 problem in modelgate.yaml";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn a_file_is_looked_at_before_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modelgate.yaml");
    let message =
        |path: &std::path::Path| Document::read_file(path).unwrap_err().messages().next().unwrap().1.to_owned();
    assert_eq!(message(&path), "there is no such file");
    assert_eq!(message(folder.path()), "this is a folder, not a spec");
    let file = std::fs::File::create(&path).unwrap();
    assert_eq!(message(&path), "the spec is empty");
    file.set_len(100 << 30).unwrap();
    let start = Instant::now();
    assert_eq!(message(&path), "the file has 107374182400 bytes, a spec has at most 1048576");
    assert!(start.elapsed() < Duration::from_secs(1));
    std::fs::write(&path, "version: 1\n").unwrap();
    assert_eq!(Document::read_file(&path).unwrap().value(), &json!({"version": 1}));
}

#[test]
fn large_hostile_texts_take_no_time() {
    let size = 1 << 20;
    let seeds = [
        "[", "{", "a: ", "- ", "- \n", "a:\n", "a: {", "? ", ": ", "&a ", "'", "\"", "|\n", "#", "%a\n", "\n", " ",
        "\t", "é", "? a\n",
    ];
    for seed in seeds {
        let start = Instant::now();
        let shown =
            read(&seed.repeat(size / seed.len())).map_or_else(|problems| problems.to_string(), |_| String::new());
        assert!(start.elapsed() < Duration::from_secs(2), "{seed:?} took {:?}", start.elapsed());
        assert!(shown.len() < 100_000, "{seed:?} shows {} bytes", shown.len());
    }
}

/// Texts of the pieces that YAML is made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\r\n",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "!t ",
        "|",
        ">",
        "|2-\n",
        "'",
        "\"",
        "\\",
        "\\x1b",
        "#",
        " #",
        "? ",
        "<<",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "%TAG ! x\n",
        "~",
        ".nan",
        "1e9",
        "0x1",
        "é",
        "\u{1f600}",
        "\u{feff}",
        "\u{202e}",
        "\u{7}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn read_and_render(bytes: &[u8]) {
    match Document::read("modelgate.yaml", bytes) {
        Ok(document) => assert!(!document.value().is_null()),
        Err(problems) => assert!(
            !problems.is_empty() && !problems.render(true).is_empty() && !problems.render(false).contains('\u{1b}')
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_and_render(&bytes);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        read_and_render(text.as_bytes());
    }

    #[test]
    fn any_yaml_is_read_or_refused(text in pieces()) {
        read_and_render(text.as_bytes());
    }
}
