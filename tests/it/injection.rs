//! Hostile text on every surface: over a million generated strings, each judged by a reader of the surface that knows nothing
//! of how it was escaped. And a run of the whole gate in which everything that can have a name has a hostile one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use modelgate::artifact::Version;
use modelgate::artifact::world::Found;
use modelgate::deliver::runner::{self, Annotation, Level, OUTPUTS};
use modelgate::evidence::{Estimate, Subject};
use modelgate::record::{self, Base, BaseSpec, ClaimRecord, Inputs, NotTested, Record, Rows, Source, Waived};
use modelgate::report::render::{self, escape};
use modelgate::report::{Report, budget, junit};
use modelgate::score::served::Description;
use modelgate::spec::change::{Change, Direction};
use modelgate::spec::written::{Class, Model, Policy, Task};
use modelgate::target::FirstRelease;
use modelgate::verdict::Verdict;
use parquet::arrow::ArrowWriter;
use quick_xml::XmlVersion;
use quick_xml::events::Event;
use serde_json::json;
use tempfile::TempDir;

use self::log::Comparison;

mod hostile;
#[path = "injection/runner.rs"]
mod log;
mod page;

/// Judges the pieces and so many generated strings, over two threads.
fn every(count: u64, judge: fn(&str)) {
    hostile::pieces().for_each(judge);
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || (first..count).step_by(2).for_each(|number| judge(&hostile::text(number))));
        }
    });
}

/// Nothing that is written is a command, however the runner compares.
#[track_caller]
fn no_command(written: &str, text: &str) {
    for line in log::lines(written) {
        for by in [Comparison::Exact, Comparison::AsRead] {
            assert_eq!(log::command(line, by), None, "{text:?} became {written:?}");
        }
        assert!(!line.contains("::") && !line.contains("##["), "{text:?} became {written:?}");
    }
}

#[test]
fn inert_text_is_no_command() {
    every(300_000, |text| {
        let written = runner::inert(text);
        no_command(&written, text);
        no_command(&anstream::adapter::strip_str(&written).to_string(), text);
        assert_eq!(written.replace(page::ZERO_WIDTH_SPACE, ""), text.replace(page::ZERO_WIDTH_SPACE, ""));
    });
}

#[test]
fn inert_parts_make_an_inert_whole() {
    every(50_000, |text| {
        let parts = text.chars().map(|c| runner::inert(&c.to_string())).collect::<String>();
        no_command(&parts, text);
    });
}

/// The one command that a line is meant to be.
#[track_caller]
fn one_command(line: &str, name: &str, text: &str) -> log::Command {
    let whole = line.strip_suffix('\n').unwrap();
    assert_eq!(log::lines(whole).len(), 1, "{text:?} became {line:?}");
    let end = whole[2..].find("::").unwrap() + 4;
    assert!(whole[..end - 2].chars().next_back().unwrap().is_ascii_alphanumeric(), "{line:?}");
    assert!(whole[end..].chars().next().is_none_or(|c| c.is_ascii()), "a mark may hide the sign: {line:?}");
    let [exact, as_read] = [Comparison::Exact, Comparison::AsRead].map(|by| log::command(whole, by).unwrap());
    assert_eq!(exact, as_read, "{text:?} became {line:?}");
    assert_eq!(exact.name, name, "{text:?} became {line:?}");
    exact
}

fn said(text: &str) -> String {
    let text: String = text.chars().take(4000).collect();
    text.lines().map(|line| page::shown(line, usize::MAX)).collect::<Vec<_>>().join("\n")
}

fn seen(text: &str) -> String {
    text.replace(page::ZERO_WIDTH_SPACE, "")
}

#[test]
fn an_annotation_is_one_command() {
    every(120_000, |text| {
        let remark = Annotation { level: Level::Error, path: text, line: 12, title: text, message: text };
        let command = one_command(&runner::annotation(&remark), "error", text);
        // The runner drops equals signs at the beginning of a value, and forgets an empty one.
        let value = |longest| page::shown(text, longest).trim_start_matches('=').to_owned();
        let expected = [("file", value(usize::MAX)), ("line", "12".to_owned()), ("title", value(200))];
        let found = command.properties.iter().map(|(key, value)| (key.as_str(), seen(value)));
        assert!(found.eq(expected.into_iter().filter(|(_, value)| !value.is_empty())), "{text:?}: {command:?}");
        assert_eq!(seen(&command.data).trim_start_matches(' '), said(text).trim_start_matches(' '), "{text:?}");
        no_command(&command.data, text);
    });
}

#[test]
fn a_message_is_one_command() {
    every(80_000, |text| {
        for (level, name) in [(Level::Notice, "notice"), (Level::Warning, "warning")] {
            let command = one_command(&runner::message(level, text), name, text);
            assert!(command.properties.is_empty());
            no_command(&command.data, text);
        }
    });
}

#[test]
fn an_output_is_one_entry() {
    every(120_000, |text| {
        let texts = [text, "", "verdict=fail", "\n", text];
        let written: String = OUTPUTS.iter().zip(texts).map(|(name, value)| runner::output(name, value)).collect();
        let expected: Vec<(String, String)> =
            OUTPUTS.iter().zip(texts).map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect();
        assert_eq!(log::outputs(&written), Ok(expected), "{text:?} became {written:?}");
    });
}

/// A page of Markdown with a value everywhere that values stand.
fn document(value: &str) -> String {
    format!(
        "## ✅ {value}: fail\n\nbefore\n{value}\nafter\n\n{value}\n\n| claim | rows |\n|---|---|\n| {value} | 1 |\n| x | {value} |\n\n\
         - {value} (line 3): {value}\n- {value}\n\nend {value}\n\n<details><summary>What passed</summary>\n\n{value}\n</details>\n"
    )
}

/// The page that this must be.
fn page_of(shown: &str) -> String {
    let t = page::escaped(shown);
    format!(
        "<h2>✅ {t}: fail</h2>\n<p>before\n{t}\nafter</p>\n<p>{t}</p>\n<table>\n<thead>\n<tr>\n<th>claim</th>\n<th>rows</th>\n</tr>\n\
         </thead>\n<tbody>\n<tr>\n<td>{t}</td>\n<td>1</td>\n</tr>\n<tr>\n<td>x</td>\n<td>{t}</td>\n</tr>\n</tbody>\n</table>\n<ul>\n\
         <li>{t} (line 3): {t}</li>\n<li>{t}</li>\n</ul>\n<p>end {t}</p>\n<details><summary>What passed</summary>\n<p>{t}</p>\n</details>\n"
    )
}

#[test]
fn markdown_shows_the_text_and_does_nothing() {
    every(60_000, |text| {
        let shown = page::shown(text, 300);
        if shown.trim().is_empty() {
            return;
        }
        let written = document(&escape::markdown(text));
        let page = page::rendered(&written);
        assert_eq!(page::normal(&page), page::normal(&page_of(&shown)), "{text:?} became\n{written}");
        assert_eq!(page::active(&page), None, "{text:?} became\n{written}");
    });
}

#[test]
fn html_shows_the_text_and_does_nothing() {
    every(120_000, |text| {
        let written = escape::html(text);
        assert!(!written.contains(['<', '>', '"', '\'']), "{text:?} became {written:?}");
        assert_eq!(page::unescaped(&written), page::shown(text, 2000));
    });
}

#[test]
fn a_terminal_shows_the_text_and_does_nothing() {
    every(120_000, |text| assert_eq!(escape::terminal(text), page::shown(text, 2000)));
}

#[test]
fn a_label_does_not_leave_its_quotes() {
    every(120_000, |text| {
        let label = escape::mermaid(text);
        let inside = |c: char| c.is_alphanumeric() || "?… _.=,-".contains(c);
        assert!(label.chars().all(inside) && (1..=24).contains(&label.chars().count()), "{text:?} became {label:?}");
    });
}

/// A report in which every text is this one.
fn report(text: &str) -> Report {
    let own = || text.to_owned();
    let version = Version { title: Some(own()), time: Some("2026-01-01T00:00:00Z".to_owned()), rule: Some(own()) };
    let found = Found { name: own(), identity: Some(own()), sha256: "0".repeat(64), version };
    let source = || Source {
        source: own(),
        sha256: Some("0".repeat(64)),
        rule: Some(own()),
        found: vec![found.clone()],
        served: Some(Description { name: own(), versions: vec![own()], platform: Some(own()) }),
        unstable: None,
    };
    let inputs = Inputs {
        spec: record::File { path: own(), sha256: "0".repeat(64) },
        candidate: source(),
        baseline: Some(source()),
        first_release: Some(FirstRelease { baseline: own(), why: own() }),
        data: vec![Rows { name: own(), rows: 12, sha256: "0".repeat(64), found: Vec::new() }],
    };
    let model = Model {
        name: own(),
        task: Task::Binary,
        tier: None,
        owners: vec![own()],
        classes: vec![Class::Text(own())],
        threshold: None,
    };
    let claims = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive].map(|verdict| claim(text, verdict)).to_vec();
    let not_tested = vec![NotTested { claim: own(), why: own() }];
    let waived = vec![Waived { claim: own(), by: own() }];
    let change = Change {
        path: own(),
        direction: Direction::Weakening,
        before: Some(json!(text)),
        after: Some(json!([text])),
        line: Some(3),
    };
    let base = Some(Base { commit: "0".repeat(40), spec: BaseSpec::Judges, changes: vec![change] });
    let (version, verdict, policy) = (1, Verdict::Fail, Policy::default());
    let (gate, suite) = (own(), own());
    Report::new(
        Record { version, gate, suite, verdict, model, policy, base, inputs, claims, not_tested, waived },
        None,
        SystemTime::now(),
    )
}

fn claim(text: &str, verdict: Verdict) -> ClaimRecord {
    let own = || text.to_owned();
    let estimate = || Some(Estimate { value: 0.5, low: Some(0.25), high: None });
    let window =
        json!({ "window": text, "rows": 1, "left_out": 0, "baseline": null, "candidate": null, "difference": null });
    let most = json!({ "where": "text", "value": text, "against": text, "share": 0.25, "share_against": 0.0 });
    ClaimRecord {
        id: own(),
        check: "performance.regression".to_owned(),
        line: 7,
        subject: Subject { dataset: own(), metric: Some(own()), slice: own(), column: Some(own()) },
        verdict,
        blocking: true,
        standing: "promised".to_owned(),
        candidate: estimate(),
        baseline: estimate(),
        difference: estimate(),
        limit: BTreeMap::new(),
        rows: 12,
        method: Some(own()),
        level: None,
        p_value: None,
        adjusted_p_value: None,
        reason: Some(own()),
        needs_rows: Some(3),
        needs_dataset_rows: Some(9),
        details: BTreeMap::from([("windows".to_owned(), json!([window])), ("most".to_owned(), most)]),
    }
}

/// The values of all attributes of XML, which is read to its end.
fn attributes(xml: &str) -> Vec<(String, String)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error} in {xml}")) {
            Event::Eof => return found,
            Event::Start(element) | Event::Empty(element) => {
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap_or_else(|error| panic!("{error} in {xml}"));
                    let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    let value = attribute
                        .normalized_value(XmlVersion::Implicit1_0)
                        .unwrap_or_else(|error| panic!("{error} in {xml}"));
                    found.push((key, value.into_owned()));
                }
            }
            _ => {}
        }
    }
}

/// The characters that XML 1.0 knows.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

#[test]
fn xml_shows_the_text_and_does_nothing() {
    every(30_000, |text| {
        let xml = junit::render(&report(text).record).unwrap();
        assert!(xml.chars().all(is_xml), "{text:?} became {xml}");
        let shown = page::shown(text, usize::MAX);
        let found = attributes(&xml);
        let texts =
            |key: &str| found.iter().filter(|(found, _)| found == key).map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(texts("name"), [&shown; 6], "{text:?} became {xml}");
        assert_eq!(texts("message"), [&shown; 3], "{text:?} became {xml}");
    });
}

/// The page without its chart, which is code, in which GitHub makes nothing of texts. It has one tag and no other.
#[track_caller]
fn without_chart(page: &str) -> String {
    let Some((before, rest)) = page.split_once("<pre><code class=\"language-mermaid\">") else {
        return page.to_owned();
    };
    let (chart, after) = rest.split_once("</code></pre>").unwrap();
    assert!(!chart.contains('<') && !after.contains("<pre>"), "{page}");
    format!("{before}{after}")
}

/// What the reports of the whole gate must be, whatever stands in them.
#[track_caller]
fn judge_reports(markdown: &str, html: &str, terminal: &str) {
    let page = page::rendered(markdown);
    let allowed = [
        "h2",
        "h3",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "details",
        "summary",
        "sub",
        "code",
        "pre",
        "code class=\"language-mermaid\"",
        "span",
    ];
    for tag in page::tags(&page) {
        let name = tag.trim_start_matches(['<', '/']).trim_end_matches('>');
        assert!(allowed.contains(&name), "{tag} in {page}\nof\n{markdown}");
    }
    assert_eq!(page::active(&page::without_numbers(&without_chart(&page))), None, "{markdown}");
    for tag in page::tags(html).into_iter().map(without_values) {
        let harmless = !tag.contains("://") && !tag.contains(" on") && !tag.contains("src") && !tag.contains("href");
        assert!(harmless && !tag.starts_with("<script"), "{tag} in {html}");
    }
    let plain = anstream::adapter::strip_str(terminal).to_string();
    assert!(plain.chars().all(|c| c == '\n' || page::shown(&c.to_string(), 9) == c.to_string()), "{plain:?}");
    no_command(&anstream::adapter::strip_str(&runner::inert(terminal)).to_string(), terminal);
}

/// The tags of a page do not depend on what its values say.
#[test]
fn reports_show_the_text_and_do_nothing() {
    let plain = report("plain");
    let [markdown_tags, html_tags] =
        [page::rendered(&render::markdown(&plain, budget::JOB_SUMMARY).unwrap()), render::html(&plain).unwrap()]
            .map(|page| page::tags(&page).into_iter().map(without_values).collect::<Vec<_>>());
    for number in 0..1000 {
        let text = format!("x{}x", hostile::text(number));
        let report = report(&text);
        let (markdown, html) =
            (render::markdown(&report, budget::JOB_SUMMARY).unwrap(), render::html(&report).unwrap());
        judge_reports(&markdown, &html, &render::terminal(&report, &[]).unwrap());
        let of = |page: &str| {
            page::tags(&page.replace("<span>$</span>", "$")).into_iter().map(without_values).collect::<Vec<_>>()
        };
        assert_eq!(of(&page::rendered(&markdown)), markdown_tags, "{text:?}");
        assert_eq!(of(&html), html_tags, "{text:?}");
    }
}

/// A tag with its values blanked.
fn without_values(tag: &str) -> String {
    tag.split('"').step_by(2).collect::<Vec<_>>().join("\"")
}

/// A hostile value that is short enough to be named.
const VALUE: &str = "</td></table><script>alert(1)</script>";

const NAME: &str = "@octocat #12 <!-- modelgate:1 --> <img src=x onerror=alert(1)> ![x](http://evil.example) | a | `b` :tada: $x$ ::error::x ##[error]x 0a1b2c3d4e\u{202e}\u{1b}[31m\n\n---\n";

/// A table with a hostile column of hostile values.
fn put(file: &Path, values: &[&str]) {
    let rows = 0..400_u32;
    let numbers = |value: fn(u32) -> f64| Arc::new(Float64Array::from_iter_values(rows.clone().map(value))) as ArrayRef;
    let label = |row: u32| i64::from(row % 5 < 2);
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.clone().map(i64::from)))),
        ("label", Arc::new(Int64Array::from_iter_values(rows.clone().map(label)))),
        ("old", numbers(|row| f64::from(row * 7919 % 400) / 400.0)),
        (NAME, numbers(|row| f64::from(row * 6007 % 401) / 401.0)),
        (
            "shop ::error::x | @all",
            Arc::new(StringArray::from_iter_values(rows.map(|row| values[row as usize % values.len()]))),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A spec as JSON, which YAML is a superset of.
fn hostile_spec() -> String {
    json!({
        "version": 1,
        "model": { "name": NAME, "task": "binary", "owners": ["@octocat"] },
        "candidate": { "column": NAME },
        "baseline": { "column": "old" },
        "columns": { "id": "id", "label": "label", "features": [NAME] },
        "data": { NAME: "test.parquet", "before @all": "before.parquet" },
        "slices": [{ "by": "shop ::error::x | @all" }, { "name": "##[group]<b>", "where": "id > 100" }],
        "policy": { "min_rows": 20, "min_positives": 5 },
        "suites": { NAME: { "checks": ["*"] } },
        "checks": [
            { "performance.regression": { "metric": "roc_auc", "max_drop": 0.05, "slices": "all", "data": NAME } },
            { "performance.metric": { "metric": "roc_auc", "min": 0.9, "data": NAME } },
            { "data.schema": { "data": NAME, "columns": { NAME: { "type": "text" } } } },
            { "drift.feature": { "data": NAME, "against": "before @all", "features": ["shop ::error::x | @all"] } },
        ],
    })
    .to_string()
}

#[test]
fn a_hostile_run_says_nothing_but_its_verdict() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    put(&at("test.parquet"), &[NAME, VALUE, VALUE, "::set-output name=verdict::pass", "a"]);
    put(&at("before.parquet"), &[NAME, "::set-output name=verdict::pass", "a"]);
    fs::write(at("@all <b>##[error]x.yaml"), hostile_spec()).unwrap();
    let run = |arguments: &[&str]| {
        let done =
            Command::new(env!("CARGO_BIN_EXE_modelgate")).current_dir(folder.path()).args(arguments).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, stdout, stderr) = run(&["run", "@all <b>##[error]x.yaml"]);
    assert_eq!(code, Some(1), "{stderr}");
    let read = |name: &str| fs::read_to_string(at(".modelgate").join(name)).unwrap();
    judge_reports(&read("report.md"), &read("report.html"), &stdout);
    let found = attributes(&read("junit.xml"));
    assert!(found.iter().any(|(_, value)| value.contains("</td></table><script>")), "{found:?}");
    let record: serde_json::Value = serde_json::from_str(&read("record.json")).unwrap();
    let known = record["claims"].as_array().unwrap().iter().any(|claim| claim["id"].as_str().unwrap().ends_with(NAME));
    let moved = record["claims"].as_array().unwrap().iter().find(|claim| claim["check"] == "drift.feature").unwrap();
    assert_eq!((&moved["verdict"], &moved["details"]["most"]["value"]), (&json!("fail"), &json!(VALUE)));
    assert!(known && record["gate"] == NAME, "the record keeps names as they are: {record}");
}
