//! The one comment on a pull request: found again by its marker and its author, edited quietly while nothing gets worse,
//! written anew when something does.
//!
//! Runs overlap, so a comment says which run wrote it, and an older run leaves the word of a newer one alone.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::github::GitHub;
use super::github::trouble::Trouble;
use super::inputs::CommentMode;
use crate::artifact::path::sha256_of_bytes;

const COMMENTS: &str = "query Comments($owner: String!, $name: String!, $number: Int!, $after: String) { \
    repository(owner: $owner, name: $name) { pullRequest(number: $number) { comments(first: 100, after: $after) { \
    pageInfo { hasNextPage endCursor } nodes { id databaseId body isMinimized viewerDidAuthor url } } } } }";
const MINIMIZE: &str = "mutation Minimize($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { \
    minimizedComment { isMinimized } } }";

/// How a run stands, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It passes.
    Pass,
    /// It passes, with something to see.
    Warn,
    /// It is inconclusive, and blocks.
    Inconclusive,
    /// It fails.
    Fail,
    /// Nothing was judged.
    Error,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Pass, Self::Warn, Self::Inconclusive, Self::Fail, Self::Error];

    /// The name in outputs and markers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

/// The first line of a comment: which gate and which run wrote it, and how things stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    gate: String,
    standing: Standing,
    head: String,
    run: u64,
    attempt: u64,
}

impl Marker {
    /// The marker of a run. Of the gate and its suite only a digest is kept: their names are the spec's.
    #[must_use]
    pub fn new(gate: &str, suite: &str, standing: Standing, head: &str, (run, attempt): (u64, u64)) -> Self {
        let digest = sha256_of_bytes(format!("{gate}\n{suite}").as_bytes());
        Self { gate: digest[..16].to_owned(), standing, head: head.to_owned(), run, attempt }
    }

    fn of(body: &str) -> Option<Self> {
        let line = body.lines().next()?;
        let fields = line.strip_prefix("<!-- modelgate:1 ")?.strip_suffix(" -->")?;
        let fields: Vec<(&str, &str)> = fields.split(' ').filter_map(|field| field.split_once('=')).collect();
        let [("gate", gate), ("verdict", verdict), ("head", head), ("run", run), ("attempt", attempt)] = fields[..]
        else {
            return None;
        };
        let standing = Standing::ALL.into_iter().find(|standing| standing.name() == verdict)?;
        let (run, attempt) = (run.parse().ok()?, attempt.parse().ok()?);
        Some(Self { gate: gate.to_owned(), standing, head: head.to_owned(), run, attempt })
    }

    fn order(&self) -> (u64, u64) {
        (self.run, self.attempt)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, standing, head, run, attempt } = self;
        let verdict = standing.name();
        write!(f, "<!-- modelgate:1 gate={gate} verdict={verdict} head={head} run={run} attempt={attempt} -->")
    }
}

/// A comment to deliver.
#[derive(Debug)]
pub struct Comment<'c> {
    /// The number of the pull request.
    pub pull_request: u64,
    /// The marker.
    pub marker: Marker,
    /// Markdown.
    pub text: &'c str,
}

/// A comment of ours that is there.
#[derive(Debug, Clone)]
struct Ours {
    node: String,
    id: u64,
    url: String,
    body: String,
    marker: Marker,
}

/// What to do about a comment.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Create,
    /// A new one, since things got worse; the one at this place is folded away.
    Replace(usize),
    Update(usize),
}

/// Delivers a comment: the address of what is there in the end, if there is one.
///
/// # Errors
/// [`Trouble`].
pub async fn deliver(github: &GitHub, mode: CommentMode, comment: &Comment<'_>) -> Result<Option<String>, Trouble> {
    if mode == CommentMode::Off {
        return Ok(None);
    }
    let ours = ours(github, comment).await?;
    let body = format!("{}\n{}", comment.marker, comment.text);
    match decide(mode, &ours, &comment.marker, &body) {
        Step::Nothing => Ok(ours.last().map(|kept| kept.url.clone())),
        Step::Update(at) => update(github, &ours[at], &body).await.map(Some),
        Step::Create => create(github, comment, &body, None).await.map(Some),
        Step::Replace(at) => {
            let url = create(github, comment, &body, Some(ours[at].id)).await?;
            let _: Value = github.query(MINIMIZE, &json!({ "id": ours[at].node })).await?;
            Ok(Some(url))
        }
    }
}

fn decide(mode: CommentMode, ours: &[Ours], marker: &Marker, body: &str) -> Step {
    let newest = ours.iter().enumerate().max_by_key(|(_, comment)| (comment.marker.order(), comment.id));
    let Some((at, there)) = newest else { return first(mode, marker.standing) };
    if there.marker.order() > marker.order() || there.body == body {
        Step::Nothing
    } else if marker.standing > there.marker.standing {
        Step::Replace(at)
    } else {
        Step::Update(at)
    }
}

fn first(mode: CommentMode, standing: Standing) -> Step {
    let wanted = match mode {
        CommentMode::Off => false,
        CommentMode::Failures => standing >= Standing::Inconclusive,
        CommentMode::OnChange => standing >= Standing::Warn,
        CommentMode::Always => true,
    };
    if wanted { Step::Create } else { Step::Nothing }
}

async fn update(github: &GitHub, there: &Ours, body: &str) -> Result<String, Trouble> {
    github.change(&format!("issues/comments/{}", there.id), &json!({ "body": body })).await?;
    Ok(there.url.clone())
}

#[derive(Debug, Deserialize)]
struct Made {
    id: u64,
    #[serde(default)]
    html_url: String,
}

async fn create(github: &GitHub, comment: &Comment<'_>, body: &str, replaced: Option<u64>) -> Result<String, Trouble> {
    let route = format!("issues/{}/comments", comment.pull_request);
    let find = async || {
        let there = ours(github, comment).await?.into_iter().find(|ours| ours.marker == comment.marker);
        Ok(there.map(|ours| Made { id: ours.id, html_url: ours.url }))
    };
    let made: Made = github.create(&route, &json!({ "body": body }), find).await?;
    settle(github, comment, body, made, replaced).await
}

/// Two runs that found no comment have made two. The oldest stays, and says what the newer run has to say.
async fn settle(
    github: &GitHub,
    comment: &Comment<'_>,
    body: &str,
    made: Made,
    replaced: Option<u64>,
) -> Result<String, Trouble> {
    let there = ours(github, comment).await?;
    let oldest = there.iter().filter(|ours| Some(ours.id) != replaced).min_by_key(|ours| ours.id);
    let Some(oldest) = oldest.filter(|oldest| oldest.id < made.id) else { return Ok(made.html_url) };
    github.delete(&format!("issues/comments/{}", made.id)).await?;
    if oldest.marker.order() <= comment.marker.order() {
        return update(github, oldest, body).await;
    }
    Ok(oldest.url.clone())
}

#[derive(Debug, Deserialize)]
struct Answer {
    repository: Option<RepositoryOf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositoryOf {
    pull_request: Option<PullRequestOf>,
}

#[derive(Debug, Deserialize)]
struct PullRequestOf {
    comments: Page,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    page_info: PageInfo,
    nodes: Vec<Option<Node>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    database_id: Option<u64>,
    body: String,
    is_minimized: bool,
    viewer_did_author: bool,
    url: String,
}

/// The comments of this gate that the token's own user wrote and that are not folded away, over all pages.
async fn ours(github: &GitHub, comment: &Comment<'_>) -> Result<Vec<Ours>, Trouble> {
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = page(github, comment.pull_request, after.as_deref()).await?;
        found.extend(page.nodes.into_iter().flatten().filter_map(|node| of_node(node, &comment.marker)));
        match page.page_info {
            PageInfo { has_next_page: true, end_cursor: Some(cursor) } => after = Some(cursor),
            _ => return Ok(found),
        }
    }
}

async fn page(github: &GitHub, number: u64, after: Option<&str>) -> Result<Page, Trouble> {
    let variables = json!({ "owner": github.owner, "name": github.name, "number": number, "after": after });
    let answer: Answer = github.query(COMMENTS, &variables).await?;
    let pull_request = answer.repository.and_then(|repository| repository.pull_request);
    pull_request.map(|pull_request| pull_request.comments).ok_or(Trouble::Absent)
}

fn of_node(node: Node, like: &Marker) -> Option<Ours> {
    let marker = Marker::of(&node.body).filter(|marker| marker.gate == like.gate)?;
    let ours = node.viewer_did_author && !node.is_minimized;
    let id = node.database_id.filter(|_| ours)?;
    Some(Ours { node: node.id, id, url: node.url, body: node.body, marker })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn marker(standing: Standing, run: u64) -> Marker {
        Marker::new("flight-delay", "check-in", standing, "abc", (run, 1))
    }

    fn there(standing: Standing, run: u64) -> Ours {
        let marker = marker(standing, run);
        let body = format!("{marker}\ntext");
        Ours { node: "n".to_owned(), id: run, url: String::new(), body, marker }
    }

    #[test]
    fn a_marker_is_read_as_it_was_written_and_nothing_else_is_one() {
        let marker = marker(Standing::Warn, 12);
        assert_eq!(Marker::of(&format!("{marker}\n## text")).unwrap(), marker);
        for forged in ["", "text", "> <!-- modelgate:1 gate=a -->", "x\n<!-- modelgate:1 gate=a -->"] {
            assert_eq!(Marker::of(forged), None, "{forged}");
        }
    }

    #[test]
    fn the_first_comment_depends_on_the_mode() {
        use Standing::{Fail, Inconclusive, Pass, Warn};
        for (mode, standing, expected) in [
            (CommentMode::OnChange, Pass, Step::Nothing),
            (CommentMode::OnChange, Warn, Step::Create),
            (CommentMode::Failures, Warn, Step::Nothing),
            (CommentMode::Failures, Inconclusive, Step::Create),
            (CommentMode::Always, Pass, Step::Create),
            (CommentMode::Off, Fail, Step::Nothing),
        ] {
            assert_eq!(decide(mode, &[], &marker(standing, 1), "body"), expected, "{mode:?} {standing:?}");
        }
    }

    #[test]
    fn a_comment_is_edited_while_nothing_gets_worse() {
        use Standing::{Error, Fail, Pass, Warn};
        for (before, after, expected) in [
            (Fail, Fail, Step::Update(0)),
            (Fail, Pass, Step::Update(0)),
            (Pass, Warn, Step::Replace(0)),
            (Warn, Fail, Step::Replace(0)),
            (Fail, Error, Step::Replace(0)),
            (Error, Fail, Step::Update(0)),
        ] {
            let found = decide(CommentMode::OnChange, &[there(before, 1)], &marker(after, 2), "body");
            assert_eq!(found, expected, "{before:?} to {after:?}");
        }
    }

    #[test]
    fn an_older_run_leaves_a_newer_one_alone() {
        let ours = [there(Standing::Pass, 9)];
        assert_eq!(decide(CommentMode::Always, &ours, &marker(Standing::Fail, 8), "body"), Step::Nothing);
    }
}
