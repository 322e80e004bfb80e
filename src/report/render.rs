//! Renders a report through the templates: the terminal, Markdown, HTML. The only place that names minijinja.
//!
//! Every value that a pull request controls passes one escaping function per surface.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};

use super::budget::{self, Shown};
use super::plan::View;
use super::{Report, chart};
use crate::calibrate::Calibration;
use crate::engine::Refused;
use crate::record::{ClaimRecord, Record};
use crate::spec::Spec;
use crate::spec::problem::Problems;

pub mod escape;
mod format;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// The report for a terminal, with ANSI colours.
///
/// # Errors
/// When a template does not fit the report, which is a defect of ours.
pub fn terminal(report: &Report, files: &[PathBuf]) -> Result<String> {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    render("report.txt", context! { report => Value::from(Serde(report)), files })
}

/// The report in Markdown, with as many rows as fit into so many bytes.
///
/// # Errors
/// As [`terminal`].
pub fn markdown(report: &Report, most: usize) -> Result<String> {
    let (told, chart) = (Value::from(Serde(report)), Value::from(Serde(chart::of(&report.record))));
    let context =
        |shown| context! { report => told.clone(), chart => chart.clone(), shown => Value::from(Serde(shown)) };
    budget::fit(Shown::all(&report.record), most, |shown| render("report.md", context(shown)))
}

/// A verdict in one line.
///
/// # Errors
/// As [`terminal`].
pub fn title(record: &Record) -> Result<String> {
    Ok(render("title.txt", context! { r => Value::from(Serde(record)) })?.trim().to_owned())
}

/// What is said of a claim beside the line of the spec that demands it.
///
/// # Errors
/// As [`terminal`].
pub fn annotation(claim: &ClaimRecord) -> Result<String> {
    Ok(render("annotation.txt", context! { c => Value::from(Serde(claim)) })?.trim().to_owned())
}

/// A run without a verdict, in Markdown: it was cancelled, or there was nothing to do.
///
/// # Errors
/// As [`terminal`].
pub fn note(gate: Option<&str>, sign: &str, title: &str, why: &str) -> Result<String> {
    render("note.md", context! { gate, sign, title, why })
}

/// An error in Markdown.
///
/// # Errors
/// As [`terminal`].
pub fn error_markdown(gate: Option<&str>, error: &anyhow::Error) -> Result<String> {
    let problems = error.downcast_ref::<Problems>().map(|problems| problems.render(false));
    render("error.md", context! { gate, problems, causes => causes(error) })
}

/// Why something did not reach GitHub, and what to do about it.
///
/// # Errors
/// As [`terminal`].
pub fn undelivered(channel: &str, trouble: &str, permissions: &[&str]) -> Result<String> {
    Ok(render("undelivered.txt", context! { channel, trouble, permissions => Value::from(Serde(permissions)) })?
        .trim()
        .to_owned())
}

/// That a file of a cache of scores was not taken, and why.
///
/// # Errors
/// As [`terminal`].
pub fn refused(refused: &Refused) -> Result<String> {
    render("refused.txt", context! { refused => Value::from(Serde(refused)) })
}

/// The report as one page that needs no network.
///
/// # Errors
/// As [`terminal`].
pub fn html(report: &Report) -> Result<String> {
    render("report.html", context! { report => Value::from(Serde(report)) })
}

/// What is said of a spec without problems.
///
/// # Errors
/// As [`terminal`].
pub fn validated(spec: &Spec) -> Result<String> {
    render(
        "validated.txt",
        context! { path => spec.path.display().to_string(), spec => Value::from(Serde(&spec.written)) },
    )
}

/// What a run would read and ask, and what the data can show.
///
/// # Errors
/// As [`terminal`].
pub fn plan(suite: &str, plan: &View) -> Result<String> {
    render("plan.txt", context! { suite, plan => Value::from(Serde(plan)) })
}

/// What came of putting the gate on trial.
///
/// # Errors
/// As [`terminal`].
pub fn calibration(calibration: &Calibration, file: &Path) -> Result<String> {
    render("calibrate.txt", context! { c => Value::from(Serde(calibration)), file => file.display().to_string() })
}

/// An error that is no problem of the spec, with its causes.
#[must_use]
pub fn error(error: &anyhow::Error) -> String {
    render("error.txt", context! { causes => causes(error) }).unwrap_or_else(|_| format!("error: {error:#}\n"))
}

fn causes(error: &anyhow::Error) -> Vec<String> {
    error.chain().map(ToString::to_string).collect()
}

fn render(template: &str, context: Value) -> Result<String> {
    Ok(TEMPLATES.get_template(template)?.render(context)?)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    if let Ok(syntax) =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()
    {
        environment.set_syntax(syntax);
    }
    format::register(&mut environment);
    escape::register(&mut environment);
    macro_rules! templates {
        ($($name:literal),*) => {
            $(environment.add_template($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name)))
                .unwrap_or_else(|error| unreachable!("{}: {error}", $name));)*
        };
    }
    templates!(
        "report.txt",
        "report.md",
        "report.html",
        "title.txt",
        "annotation.txt",
        "note.md",
        "error.md",
        "error.txt",
        "undelivered.txt",
        "validated.txt",
        "plan.txt",
        "calibrate.txt",
        "refused.txt",
        "unstable.txt"
    );
    // The same words on each surface, escaped for it.
    for name in ["origin.txt", "origin.md", "origin.html"] {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/origin.jinja"));
        environment.add_template(name, text).unwrap_or_else(|error| unreachable!("{name}: {error}"));
    }
    environment
}
