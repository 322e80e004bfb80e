//! Which spec judges. On a pull request it is the one of the base commit: what a pull request could change would not
//! hold anyone back.
//!
//! The base's spec is read from the local repository where the checkout holds the commit, else through the API. Where
//! neither has it, nothing is judged.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::environment::Environment;
use super::event::{self, Event};
use super::github::GitHub;
use crate::artifact::git;
use crate::artifact::reach::Reach;
use crate::evidence::{Evidence, Finding, Limits, Subject};
use crate::gate::{Case, Reaches};
use crate::record::{Base, BaseSpec};
use crate::spec::Spec;
use crate::spec::change::{self, Change, Direction, line_in_head};
use crate::spec::written::{Scorer, Severity};
use crate::verdict::Statement;

/// The checkout, which is the current folder.
pub struct Workspace {
    /// The spec, relative to it.
    pub spec: String,
}

/// The spec of a base commit.
#[derive(Debug)]
pub enum AtBase {
    /// It can be used.
    Usable(Box<Spec>),
    /// It has problems.
    Invalid,
    /// There is none.
    Absent,
}

impl AtBase {
    /// The spec, if it can be used.
    #[must_use]
    pub fn spec(&self) -> Option<&Spec> {
        if let Self::Usable(spec) = self { Some(spec) } else { None }
    }
}

/// What judges, and where its lines stand in the file that the reader has.
#[derive(Debug)]
pub struct Judging {
    /// What judges.
    pub case: Case,
    /// Its lines.
    pub lines: Lines,
}

/// Where the lines of the spec that judged stand in the spec of the pull request, if the two are not one.
#[derive(Debug, Default)]
pub struct Lines(Option<BTreeMap<usize, usize>>);

impl Lines {
    /// The line for the reader; the first one where the pull request removed it.
    #[must_use]
    pub fn of(&self, line: usize) -> usize {
        self.0.as_ref().map_or(line, |lines| lines.get(&line).copied().unwrap_or(1))
    }

    fn between(base: &Spec, head: &Spec) -> Self {
        let lines = base.checks().filter_map(|at| Some((base.document.line(&at), line_in_head(base, &at, head)?)));
        Self(Some(lines.collect()))
    }
}

impl Workspace {
    /// Makes the workspace that the runner names the current folder.
    ///
    /// # Errors
    /// When it is not there, or the spec lies outside.
    pub fn enter(environment: &Environment, spec: &str) -> Result<Self> {
        if let Some(folder) = environment.get("GITHUB_WORKSPACE") {
            std::env::set_current_dir(folder).with_context(|| format!("the workspace `{folder}` is not there"))?;
        }
        Self::of(environment, spec)
    }

    fn of(environment: &Environment, spec: &str) -> Result<Self> {
        let folder = environment.get("GITHUB_WORKSPACE").unwrap_or(".");
        let relative = Path::new(spec).strip_prefix(folder).unwrap_or(Path::new(spec));
        let mut parts = Vec::new();
        for component in relative.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
                Component::CurDir => {}
                _ => bail!("the input `spec` is {spec:?}: name a file in the workspace, relative to it"),
            }
        }
        ensure!(!parts.is_empty(), "the input `spec` names no file");
        Ok(Self { spec: parts.join("/") })
    }

    /// What git says, where it says something.
    fn git(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        git::git(Path::new(""), arguments)
    }

    /// The spec at a commit that the checkout holds: `None` without the commit, `Some(None)` without a spec in it.
    fn spec_at(&self, commit: &str) -> Option<Option<Vec<u8>>> {
        self.git(&["cat-file", "-e", &format!("{commit}^{{commit}}")])?;
        Some(self.git(&["cat-file", "blob", &format!("{commit}:{}", self.spec)]))
    }

    /// Makes sure that the checkout is the base's.
    ///
    /// # Errors
    /// When it is another commit, or git cannot tell.
    fn ensure_trusted(&self, event: &Event, environment: &Environment) -> Result<()> {
        let head = match self.git(&["rev-parse", "HEAD"]) {
            Some(head) => String::from_utf8_lossy(&head).trim().to_owned(),
            None if Path::new(".git").exists() => "a commit that git cannot tell".to_owned(),
            None => return Ok(()),
        };
        let trusted = [environment.get("GITHUB_SHA"), event.base.as_deref()];
        ensure!(
            trusted.contains(&Some(head.as_str())),
            "the workspace holds {head} and not the base: on `pull_request_target`, whose token may write, nothing of a \
             pull request is run; use `pull_request`, and `workflow_run` to publish"
        );
        Ok(())
    }
}

/// The spec of the base commit of a pull request.
///
/// # Errors
/// When nobody has the commit.
pub async fn of_base(workspace: &Workspace, base: &str, github: Option<&GitHub>) -> Result<AtBase> {
    let bytes = match workspace.spec_at(base) {
        Some(found) => found,
        None => fetched(workspace, base, github).await?,
    };
    Ok(match bytes.map(|bytes| Spec::parse(&bytes, Path::new(&workspace.spec))) {
        Some(Ok(spec)) => AtBase::Usable(Box::new(spec)),
        Some(Err(_)) => AtBase::Invalid,
        None => AtBase::Absent,
    })
}

async fn fetched(workspace: &Workspace, base: &str, github: Option<&GitHub>) -> Result<Option<Vec<u8>>> {
    let remedy = "check out with `fetch-depth: 2`, or give the job `permissions: contents: read`";
    let github = github.with_context(|| format!("no token, and the checkout lacks the base commit {base}; {remedy}"));
    let found = github?.file(&workspace.spec, base).await;
    found.with_context(|| format!("the spec of the base commit {base}, whose policy judges, cannot be read; {remedy}"))
}

/// What judges an event that is no pull request: the spec of the checkout.
///
/// # Errors
/// Every problem of the spec.
pub fn of_checkout(workspace: &Workspace) -> Result<Judging> {
    Ok(Judging { case: Spec::read(Path::new(&workspace.spec))?.into(), lines: Lines::default() })
}

/// What judges a pull request, given the spec of its base.
///
/// # Errors
/// Every problem of the pull request's spec.
pub async fn of_pull_request(
    workspace: &Workspace,
    event: &Event,
    base: AtBase,
    github: Option<&GitHub>,
) -> Result<Judging> {
    let commit = event.base.clone().unwrap_or_default();
    let head = Spec::read(Path::new(&workspace.spec))?;
    match base {
        AtBase::Usable(base) => against(commit, &base, &head, event, github).await,
        AtBase::Invalid => unjudged(head, commit, BaseSpec::Invalid),
        AtBase::Absent => unjudged(head, commit, BaseSpec::Absent),
    }
}

/// What judges on `pull_request_target`, whose token may write: the spec of the base, and nothing of the pull request runs.
///
/// # Errors
/// When the base has no spec, the checkout is not the base's, or a model is given.
pub fn of_target(
    workspace: &Workspace,
    event: &Event,
    environment: &Environment,
    base: AtBase,
    candidate: Option<&str>,
) -> Result<Judging> {
    workspace.ensure_trusted(event, environment)?;
    let runs = candidate.is_some_and(|given| matches!(Scorer::given(given), Scorer::Onnx(_) | Scorer::Http(_)));
    ensure!(!runs, "on `pull_request_target` a model that is given is not run: give its predictions");
    let AtBase::Usable(spec) = base else {
        bail!("on `pull_request_target` the spec of the base judges, and the base has none that can be used")
    };
    let commit = event.base.clone().unwrap_or_default();
    Ok(alone(*spec, Base { commit, spec: BaseSpec::Judges, changes: Vec::new() }))
}

/// A spec that judges as it is.
fn alone(spec: Spec, base: Base) -> Judging {
    Judging { case: Case { base: Some(base), ..spec.into() }, lines: Lines::default() }
}

/// The spec of a pull request whose base allows it nothing.
fn unjudged(spec: Spec, commit: String, of_base: BaseSpec) -> Result<Judging> {
    let named = Reach::Named { workspace: std::env::current_dir()?, allowed: Vec::new() };
    let mut judging = alone(spec, Base { commit, spec: of_base, changes: Vec::new() });
    judging.case.reaches = Reaches { candidate: named.clone(), agreed: named };
    Ok(judging)
}

/// What the candidate may reach: what the pull request names, unless the base names the same.
fn reach_of_candidate(base: &Spec, head: &Spec) -> Result<Reach> {
    let workspace = std::env::current_dir()?;
    let allowed = base.written.policy.allowed_hosts.clone();
    Ok(match head.written.candidate.sources() == base.written.candidate.sources() {
        true => Reach::Agreed { workspace, allowed },
        false => Reach::Named { workspace, allowed },
    })
}

/// The base's spec, and what the pull request changes in it.
async fn against(commit: String, base: &Spec, head: &Spec, event: &Event, github: Option<&GitHub>) -> Result<Judging> {
    let changes = change::changes(base, head);
    let approver = approver(base, event, &changes, github).await;
    let statements = changes.iter().filter_map(|change| statement(change, &approver)).collect();
    let spec = change::effective(base, head)?;
    let lines = Lines::between(base, head);
    let allowed = base.written.policy.allowed_hosts.clone();
    let agreed = Reach::Agreed { workspace: std::env::current_dir()?, allowed };
    let reaches = Reaches { candidate: reach_of_candidate(base, head)?, agreed };
    let base = Some(Base { commit, spec: BaseSpec::Judges, changes });
    Ok(Judging { case: Case { spec, base, statements, reaches }, lines })
}

/// What a change of the policy states: a weakening fails unless it is approved, a new check counts once it is merged.
fn statement(change: &Change, approver: &Result<String, String>) -> Option<Statement> {
    let (metric, finding) = match (change.direction, approver) {
        (Direction::Weakening, Ok(by)) => ("weakening", Finding::Waived { by: by.clone() }),
        (Direction::Weakening, Err(why)) => ("weakening", Finding::Fact { holds: false, reason: Some(why.clone()) }),
        (Direction::Tightening, _) if change.before.is_none() => {
            let reason = "it is new in this pull request and counts once it is merged".to_owned();
            ("tightening", Finding::NotTested { reason })
        }
        _ => return None,
    };
    let subject = Subject::column("spec", metric, &change.path);
    let line = change.line.unwrap_or(1);
    let evidence = Evidence::new(subject, Limits::new(), finding);
    Some(Statement { check: "policy", line, severity: Severity::Block, evidence })
}

/// Who approved the weakenings, or why nobody did.
async fn approver(base: &Spec, event: &Event, changes: &[Change], github: Option<&GitHub>) -> Result<String, String> {
    let approvers = &base.written.policy.weakening_approvers;
    let weakened = changes.iter().any(|change| change.direction == Direction::Weakening);
    let (true, Some(pull_request)) = (weakened, &event.pull_request) else { return Err(String::new()) };
    if approvers.is_empty() {
        return Err("it weakens the spec, and the base's `policy.weakening_approvers` names nobody".to_owned());
    }
    let wanted = format!("it weakens the spec; an approving review of {} is needed", approvers.join(" or "));
    let Some(github) = github else { return Err(format!("{wanted}, and without a token none can be looked up")) };
    let reviews = github.list::<Review>(&format!("pulls/{}/reviews", pull_request.number)).await;
    let reviews = reviews.map_err(|trouble| format!("{wanted}, and reviews cannot be looked up: {trouble}"))?;
    approved(&reviews, approvers, pull_request, &event.head).ok_or(wanted)
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Review {
    commit_id: Option<String>,
    state: String,
    user: Option<event::User>,
}

/// The first of the approvers whose newest review approves this very commit. Reviews come oldest first.
fn approved(reviews: &[Review], approvers: &[String], pull_request: &event::PullRequest, head: &str) -> Option<String> {
    let mut newest: BTreeMap<String, &Review> = BTreeMap::new();
    // A comment does not take an approval back.
    for review in reviews.iter().filter(|review| review.state != "COMMENTED" && review.state != "PENDING") {
        if let Some(user) = &review.user {
            newest.insert(user.login.to_lowercase(), review);
        }
    }
    let approves = |login: &str| {
        let author = login == pull_request.author.to_lowercase();
        let review = newest.get(login);
        !author && review.is_some_and(|r| r.state == "APPROVED" && r.commit_id.as_deref() == Some(head))
    };
    approvers.iter().find(|name| approves(&name.trim_start_matches('@').to_lowercase())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "1111111111111111111111111111111111111111";

    fn review(login: &str, state: &str, commit: &str) -> Review {
        let user = Some(event::User { login: login.to_owned() });
        Review { commit_id: Some(commit.to_owned()), state: state.to_owned(), user }
    }

    fn approves(reviews: &[Review]) -> bool {
        let pull_request = event::PullRequest { number: 1, author: "mallory".to_owned() };
        approved(reviews, &["@Alice".to_owned(), "mallory".to_owned()], &pull_request, HEAD).is_some()
    }

    #[test]
    fn only_the_newest_review_of_the_newest_commit_by_someone_named_approves() {
        assert!(approves(&[review("alice", "APPROVED", HEAD)]));
        assert!(approves(&[review("alice", "APPROVED", HEAD), review("alice", "COMMENTED", HEAD)]));
        assert!(!approves(&[review("alice", "APPROVED", HEAD), review("alice", "CHANGES_REQUESTED", HEAD)]));
        assert!(!approves(&[review("alice", "APPROVED", HEAD), review("alice", "DISMISSED", HEAD)]));
        assert!(!approves(&[review("alice", "APPROVED", "2222222222222222222222222222222222222222")]));
        assert!(!approves(&[review("bob", "APPROVED", HEAD)]), "not named");
        assert!(!approves(&[review("mallory", "APPROVED", HEAD)]), "the author");
        assert!(!approves(&[]));
    }

    #[test]
    fn a_spec_outside_the_workspace_is_refused() {
        let environment = [("GITHUB_WORKSPACE".to_owned(), "/github/workspace".to_owned())].into_iter().collect();
        for (written, expected) in [
            ("modelgate.yaml", Some("modelgate.yaml")),
            ("./models/a/modelgate.yaml", Some("models/a/modelgate.yaml")),
            ("/github/workspace/modelgate.yaml", Some("modelgate.yaml")),
            ("../modelgate.yaml", None),
            ("/etc/passwd", None),
            (".", None),
        ] {
            let spec = Workspace::of(&environment, written).ok().map(|workspace| workspace.spec);
            assert_eq!(spec.as_deref(), expected, "{written}");
        }
    }
}
