//! Renders a report through the templates: the terminal, Markdown, HTML. The only place that names minijinja.
//!
//! Every value that a pull request controls passes one escaping function per surface.

use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};

use super::Report;
use crate::gate::Prepared;
use crate::spec::Spec;
use crate::target::Target;

mod escape;
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

/// The report for a pull-request comment.
///
/// # Errors
/// As [`terminal`].
pub fn markdown(report: &Report) -> Result<String> {
    render("report.md", context! { report => Value::from(Serde(report)) })
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

/// What a run would read and ask.
///
/// # Errors
/// As [`terminal`].
pub fn plan(target: &Target, suite: &str, prepared: &Prepared<'_>) -> Result<String> {
    render("plan.txt", context! { suite, plan => Value::from(Serde(super::plan::View::new(target, prepared))) })
}

/// An error that is no problem of the spec, with its causes.
#[must_use]
pub fn error(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    render("error.txt", context! { causes }).unwrap_or_else(|_| format!("error: {error:#}\n"))
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
    macro_rules! templates {
        ($($name:literal),*) => {
            $(environment.add_template($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name)))
                .unwrap_or_else(|error| unreachable!("{}: {error}", $name));)*
        };
    }
    templates!("report.txt", "report.md", "report.html", "validated.txt", "plan.txt", "error.txt");
    format::register(&mut environment);
    escape::register(&mut environment);
    environment
}
