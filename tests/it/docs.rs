//! The generated files are current, every check and every source has a whole page, and every example of a page is a valid
//! spec.

use std::path::{Path, PathBuf};

use modelgate::{artifact::SOURCES, checks::CHECKS, docs, spec::Spec};

const SECTIONS: [&str; 4] = ["## What it does", "## Why it matters", "## What it assumes", "## Example"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a generated file with what stands there, or writes it when `MODELGATE_GENERATE` is set.
fn current(path: &Path, content: &str) {
    if std::env::var_os("MODELGATE_GENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == content, "{} is not current; run `make generate`", path.display());
}

#[test]
fn the_schema_is_current() {
    current(&root().join("docs/modelgate.schema.json"), &format!("{:#}\n", docs::schema()));
}

#[test]
fn the_pages_are_current_and_no_other_is_there() {
    let folder = root().join("docs/checks");
    for kind in CHECKS {
        current(&folder.join(format!("{}.md", kind.name)), &docs::page(kind));
    }
    only(&folder, CHECKS.iter().map(|kind| kind.name));
    let folder = root().join("docs/sources");
    for kind in SOURCES {
        current(&folder.join(format!("{}.md", kind.name)), &docs::source_page(kind));
    }
    only(&folder, SOURCES.iter().map(|kind| kind.name));
}

/// No page is there but those of these names.
fn only<'a>(folder: &Path, names: impl Iterator<Item = &'a str>) {
    let pages = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = pages.map(|name| name.trim_end_matches(".md").to_owned()).collect();
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    pages.sort();
    names.sort();
    assert_eq!(pages, names);
}

#[test]
fn every_page_is_whole() {
    for kind in CHECKS {
        let page = docs::page(kind);
        for section in SECTIONS {
            assert!(page.contains(section), "{} lacks `{section}`:\n{page}", kind.name);
        }
        assert!(!page.contains("|  |\n"), "a key of {} has no doc comment:\n{page}", kind.name);
    }
}

#[test]
fn every_example_of_a_page_is_a_valid_spec() {
    for kind in CHECKS {
        let page = docs::page(kind);
        let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let example = example.unwrap_or_else(|| panic!("{} has no example", kind.name));
        let folder = tempfile::tempdir().unwrap();
        let path = spec_with(folder.path(), example);
        if let Err(problems) = Spec::read(&path) {
            panic!("the example of {}:\n{problems}", kind.name);
        }
    }
}

#[test]
fn every_page_of_a_source_is_whole_and_its_example_is_valid() {
    for kind in SOURCES {
        let page = docs::source_page(kind);
        for section in ["## Form", "## What it does", "## Identity", "## Example"] {
            assert!(page.contains(section), "{} lacks `{section}`:\n{page}", kind.name);
        }
        let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let (key, scorer) = example.trim().split_once(": ").unwrap();
        let others = if key == "candidate" { "" } else { "candidate: { column: s }\n" };
        let spec = format!(
            "version: 1\nmodel: {{ name: m, task: binary }}\n{others}{key}: {scorer}\ncolumns: {{ label: y }}\n\
             data: {{ test: a }}\nchecks: [{{ performance.metric: {{ metric: roc_auc, min: 0.5 }} }}]\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modelgate.yaml");
        std::fs::write(&path, spec).unwrap();
        if let Err(problems) = Spec::read(&path) {
            panic!("the example of {}:\n{problems}", kind.name);
        }
    }
}

fn spec_with(folder: &Path, checks: &str) -> PathBuf {
    let spec = format!(
        "version: 1\nmodel: {{ name: m, task: binary }}\ncandidate: {{ onnx: c.onnx }}\nbaseline: {{ onnx: b.onnx }}\n\
         columns: {{ id: id, label: y, time: t, known_at: k }}\ndata: {{ train: a, test: b, history: c }}\n\
         slices: [{{ by: carrier }}]\nchecks:\n{}",
        checks.lines().map(|line| format!("  {line}\n")).collect::<String>()
    );
    let path = folder.join("modelgate.yaml");
    std::fs::write(&path, spec).unwrap();
    path
}
