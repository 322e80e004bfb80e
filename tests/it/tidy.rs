//! Promises about the source that no compiler keeps: who may name whom, and what no file holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use modelgate::checks::CHECKS;

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file: its path below `src` and its text.
fn sources() -> Vec<(String, String)> {
    let (root, mut files, mut folders) = (source_folder(), Vec::new(), vec![source_folder()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 50, "only {} files below {}", files.len(), root.display());
    files
}

/// The lines of code of a file, numbered: comments may name anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether a file is the module `name` or lies below it.
fn within(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The places of all lines of code that break a rule.
fn offenders(breaks: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in sources() {
        let broken = code(&text).filter(|(_, line)| breaks(&file, line));
        found.extend(broken.map(|(number, line)| format!("src/{file}:{number}: {}", line.trim())));
    }
    found
}

#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether a line names a path of this crate that starts with none of these.
fn leaves(line: &str, allowed: &[&str]) -> bool {
    let starts = |path: &str, module: &&str| {
        path.strip_prefix(*module)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    };
    line.split("crate::").skip(1).any(|path| !allowed.iter().any(|module| starts(path, module)))
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file);
    none(&silent.collect::<Vec<_>>());
}

#[test]
fn layers_name_no_layer_above() {
    none(&offenders(|file, line| within(file, "stats") && leaves(line, &["stats"])));
    none(&offenders(|file, line| within(file, "summaries") && leaves(line, &["summary", "summaries"])));
    none(&offenders(|file, line| within(file, "checks") && line.contains("crate::engine")));
    none(&offenders(|file, line| within(file, "engine") && line.contains("crate::checks")));
}

#[test]
fn crates_stay_where_they_belong() {
    let rules: [(&[&str], &[&str]); 5] = [
        (&["serde_yaml", "saphyr"], &["spec/yaml"]),
        (&["minijinja"], &["report/render"]),
        (&["octocrab", "http::", "http_body"], &["deliver/github"]),
        (&["datafusion"], &["engine", "gate"]),
        (&["reqwest", "use object_store"], &["artifact"]),
    ];
    for (names, homes) in rules {
        let named = |line: &str| names.iter().any(|name| line.contains(name));
        let at_home = |file: &str| homes.iter().any(|home| within(file, home));
        none(&offenders(|file, line| named(line) && !at_home(file)));
    }
}

#[test]
fn every_check_is_a_file() {
    let listed: BTreeSet<String> = CHECKS.iter().map(|kind| kind.name.to_owned()).collect();
    let below = sources().into_iter().filter_map(|(file, _)| {
        let name = file.strip_prefix("checks/")?.strip_suffix(".rs")?.replace('/', ".");
        (name.split('.').next() != Some("shared")).then_some(name)
    });
    assert_eq!(listed.len(), CHECKS.len(), "two checks have one name");
    assert_eq!(listed, below.collect::<BTreeSet<_>>());
}

#[test]
fn nothing_is_printed_ignored_or_left_to_do() {
    // `print!(` is a part of `eprint!(`, `println!` of `eprintln!`.
    let forbidden = ["println!", "print!(", "#[ignore", "should_panic", "todo!("];
    none(&offenders(|_, line| forbidden.iter().any(|word| line.contains(word))));
}
