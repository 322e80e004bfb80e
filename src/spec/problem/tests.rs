//! How problems look, and that no text and no span can spoil it.

use proptest::prelude::*;

use super::*;

fn rendered(text: &str, problems: Vec<Problem>) -> String {
    Problems::of_source(Arc::new(Source::new("modelgate.yaml", text.to_owned())), problems).to_string()
}

#[test]
fn a_path_reads_as_it_is_written() {
    let path = Path::root().key("checks").index(2).key("performance.metric").key("max_drop");
    assert_eq!(path.to_string(), "checks[2].performance.metric.max_drop");
    assert_eq!(Path::root().to_string(), "");
}

#[test]
fn problems_are_ordered_by_place_and_told_once() {
    let at = |start, message: &str| Problem::span(start..start + 1, message);
    let problems = vec![at(6, "c"), at(0, "b"), Problem::nowhere("e"), at(0, "a"), at(6, "c")];
    let problems = Problems::of_source(Arc::new(Source::new("x", "one\ntwo three".to_owned())), problems);
    let messages: Vec<_> = problems.messages().collect();
    assert_eq!(messages, [(None, "e"), (Some(1), "a"), (Some(1), "b"), (Some(2), "c")]);
}

#[test]
fn a_problem_shows_its_line_and_its_remedy() {
    let text = "checks:\n  - performance.regression: { metric: roc_auc, max_dorp: 0.01 }\n";
    let document = Document::read("modelgate.yaml", text.as_bytes()).unwrap();
    let check = Path::root().key("checks").index(0).key("performance.regression");
    let problem =
        Problem::key(&check.key("max_dorp"), "unknown key `max_dorp`").label("not a key of performance.regression");
    let problems =
        Problems::new(&document, vec![problem.remedy("did you mean `max_drop`?"), Problem::nowhere("no models")]);
    let expected = "\
error: no models
--> modelgate.yaml

error: unknown key `max_dorp`
 --> modelgate.yaml:2:48
  |
2 |   - performance.regression: { metric: roc_auc, max_dorp: 0.01 }
  |                                                ^^^^^^^^ not a key of performance.regression
  |
  = help: did you mean `max_drop`?

2 problems in modelgate.yaml";
    assert_eq!(problems.to_string(), expected);
    assert!(problems.render(true).contains("\u{1b}["));
}

#[test]
fn what_could_steer_a_terminal_is_shown_as_text() {
    let text = "a: \u{1b}[31m\u{202e}b\tc\u{9b}\u{200b}\r\n";
    let problem = Problem::span(3..4, "bad \u{1b}]0;x\u{7}").label("\u{8}").remedy("no\nmore");
    let source = Source::new("x\u{1b}[2J.yaml", text.to_owned());
    let expected = "\
error: bad \\u{1b}]0;x\\u{7}
 --> x\\u{1b}[2J.yaml:1:4
  |
1 | a: \\u{1b}[31m\\u{202e}b\\tc\\u{9b}\\u{200b}
  |    ^^^^^^ \\u{8}
  |
  = help: no\\nmore

1 problem in x\\u{1b}[2J.yaml";
    assert_eq!(Problems::of_source(Arc::new(source), vec![problem]).to_string(), expected);
}

#[test]
fn a_long_line_is_cut_and_its_column_is_still_right() {
    let text = format!("{}<here>{}", "é".repeat(5_000), "x".repeat(5_000));
    let shown = rendered(&text, vec![Problem::span(10_000..10_006, "far out")]);
    let marked = format!("...{}<here>{}...\n", "é".repeat(90), "x".repeat(50));
    assert!(shown.contains("modelgate.yaml:1:5001\n"), "{shown}");
    assert!(shown.contains(&marked), "{shown}");
    let shown = rendered(&text, vec![Problem::span(0..20_000, "all of it")]);
    assert!(shown.contains(&format!("1 | {}...\n", "é".repeat(60))), "{shown}");
}

#[test]
fn only_the_first_line_of_a_part_is_marked() {
    let expected = "\
error: a part
 --> modelgate.yaml:1:4
  |
1 | a: |
  |    ^

1 problem in modelgate.yaml";
    assert_eq!(rendered("a: |\r\n  x\r\n  y\r\n", vec![Problem::span(3..14, "a part")]), expected);
}

#[test]
fn a_flood_of_problems_is_counted_and_not_shown() {
    let problems = (0..5_000).map(|at| Problem::span(at..at + 1, "again")).collect();
    let shown = rendered(&"x\n".repeat(2_500), problems);
    assert!(shown.ends_with("5000 problems in modelgate.yaml, the first 100 are shown"), "{shown}");
    assert_eq!(shown.matches("error: again").count(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_span_of_any_text_is_shown(
        text in "(.|\\n|\r|é|\u{1b}){0,60}",
        spans in prop::collection::vec((0..200_usize, 0..200_usize), 1..6),
        word in ".{0,20}",
    ) {
        let at = |start, end| At::Span(Range { start, end });
        let problem = |(start, end)| {
            Problem::new(at(start, end), &word).label(&word).remedy(&word).also(at(end, start), &word)
        };
        let shown = rendered(&text, spans.into_iter().map(problem).collect());
        prop_assert!(shown.chars().all(|character| character == '\n' || !character.is_control()), "{shown:?}");
    }
}
