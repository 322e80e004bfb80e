//! A double of GitHub: what the gate reads and writes there, with GitHub's own rules and limits, and faults on demand.
//!
//! Written from GitHub's documentation and not from the gate's code. Everything lives in one [`State`], which a test fills
//! before a run and looks at afterwards. What the gate says that GitHub would not understand at all is a violation, and
//! fails the test that holds the double.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::answer::Answer;
use super::fault::{Fault, Kind};
use super::log;

/// The repository.
pub(super) const REPOSITORY: &str = "acme/delays";
/// The one token that is valid.
pub(super) const TOKEN: &str = "ghs_16C7e42F292c6912E7710c838347Ae178B4a";
/// Whom the token belongs to.
pub(super) const VIEWER: &str = "github-actions[bot]";

/// Characters that a comment may have.
const COMMENT_CHARACTERS: usize = 65_536;
/// Bytes that a summary or a text of a check run may have.
const OUTPUT_BYTES: usize = 65_535;
/// Annotations that one request may bring.
const ANNOTATIONS: usize = 50;
/// Comments on a page of GraphQL.
const PAGE: usize = 100;

/// What a request asks GitHub to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    CreateCheckRun,
    UpdateCheckRun,
    ReadCheckRun,
    ListCheckRuns,
    ReadCommit,
    CreateStatus,
    CreateComment,
    UpdateComment,
    DeleteComment,
    ReadFile,
    ListReviews,
    ListPulls,
    Comments,
    Minimize,
}

/// What a token may write; it may read everything unless `contents` says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) checks: bool,
    pub(super) statuses: bool,
    pub(super) pull_requests: bool,
    pub(super) contents: bool,
}

impl Token {
    /// What a token of a pull request from a fork may do.
    pub(super) const READ_ONLY: Self = Self { checks: false, statuses: false, pull_requests: false, contents: true };

    fn may(self, operation: Operation) -> bool {
        use Operation::*;
        match operation {
            CreateCheckRun | UpdateCheckRun => self.checks,
            CreateStatus => self.statuses,
            CreateComment | UpdateComment | DeleteComment | Minimize => self.pull_requests,
            ReadFile | ReadCommit => self.contents,
            ReadCheckRun | ListCheckRuns | ListReviews | ListPulls | Comments => true,
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self { checks: true, statuses: true, pull_requests: true, contents: true }
    }
}

/// A pull request.
#[derive(Debug, Clone)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) head_sha: String,
    pub(super) owner: &'static str,
    pub(super) branch: &'static str,
    pub(super) author: &'static str,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) issue: u64,
    pub(super) author: String,
    pub(super) body: String,
    pub(super) minimised: bool,
}

/// A check run.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) head_sha: String,
    pub(super) external_id: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) annotations: Vec<Value>,
}

/// A commit status.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) sha: String,
    pub(super) state: String,
    pub(super) context: String,
    pub(super) description: String,
}

/// A review of a pull request.
#[derive(Debug, Clone)]
pub(super) struct Review {
    pub(super) author: &'static str,
    pub(super) state: &'static str,
    pub(super) commit: String,
}

/// Everything that GitHub knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pulls: Vec<Pull>,
    pub(super) comments: Vec<Comment>,
    pub(super) check_runs: Vec<CheckRun>,
    pub(super) statuses: Vec<Status>,
    pub(super) reviews: Vec<Review>,
    /// Contents by commit and path.
    pub(super) files: BTreeMap<(String, String), String>,
    pub(super) token: Token,
    /// A comment that another run creates just before ours.
    pub(super) intruder: Option<String>,
    /// What was asked for, in order.
    pub(super) calls: Vec<Operation>,
    faults: Vec<Fault>,
    violations: Vec<String>,
    root: String,
    last_id: u64,
}

impl State {
    /// How often something was asked for.
    pub(super) fn count(&self, operation: Operation) -> usize {
        self.calls.iter().filter(|call| **call == operation).count()
    }

    /// The comments that a reader sees at once.
    pub(super) fn visible(&self) -> Vec<&Comment> {
        self.comments.iter().filter(|comment| !comment.minimised).collect()
    }

    /// Adds a comment, and tells its id.
    pub(super) fn add_comment(&mut self, issue: u64, author: &str, body: &str) -> u64 {
        let id = self.next_id();
        let (author, body) = (author.to_owned(), body.to_owned());
        self.comments.push(Comment { id, issue, author, body, minimised: false });
        id
    }

    /// The address of a comment.
    pub(super) fn comment_url(&self, comment: &Comment) -> String {
        format!("{}/{REPOSITORY}/pull/{}#issuecomment-{}", self.root, comment.issue, comment.id)
    }

    /// The address of a check run.
    pub(super) fn check_url(&self, run: &CheckRun) -> String {
        format!("{}/{REPOSITORY}/runs/{}", self.root, run.id)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn respond(&mut self, request: &Request, bases: &Bases) -> Answer {
        let Some(path) = bases.strip(request.url.path()) else {
            return self.violation(format!("{} {} is below no base", request.method, request.url.path()));
        };
        log::append(request, &path);
        if !is_authorised(request) {
            return Answer::error(401, "Bad credentials");
        }
        let Some((operation, subject)) = route(request, &path) else {
            return self.violation(format!("{} {path} is unknown", request.method));
        };
        self.calls.push(operation);
        let fault = self.faults.iter_mut().find_map(|fault| fault.strike(operation));
        match fault {
            Some(Kind::Refused(answer)) => answer,
            Some(Kind::Lost) => {
                self.permitted(operation, &subject, request);
                Answer::error(502, "Server Error")
            }
            Some(Kind::Late(delay)) => self.permitted(operation, &subject, request).late(delay),
            Some(Kind::Malformed) => self.permitted(operation, &subject, request).cut(),
            None => self.permitted(operation, &subject, request),
        }
    }

    fn violation(&mut self, what: String) -> Answer {
        self.violations.push(what);
        Answer::error(404, "Not Found")
    }

    fn permitted(&mut self, operation: Operation, subject: &str, request: &Request) -> Answer {
        const DENIED: &str = "Resource not accessible by integration";
        match (self.token.may(operation), operation) {
            (true, _) => self.perform(operation, subject, request),
            (false, Operation::Minimize) => Answer::graphql_error("FORBIDDEN", DENIED),
            (false, _) => Answer::error(403, DENIED),
        }
    }

    fn perform(&mut self, operation: Operation, subject: &str, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let query: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        match operation {
            Operation::CreateCheckRun => self.create_check_run(&body),
            Operation::UpdateCheckRun => self.update_check_run(subject, &body),
            Operation::ReadCheckRun => self.read_check_run(subject),
            Operation::ListCheckRuns => self.list_check_runs(subject, &query),
            Operation::ReadCommit => Answer::json(200, &json!({ "sha": subject })),
            Operation::CreateStatus => self.create_status(subject, &body),
            Operation::CreateComment => self.create_comment(subject, &body),
            Operation::UpdateComment => self.update_comment(subject, &body),
            Operation::DeleteComment => self.delete_comment(subject),
            Operation::ReadFile => self.read_file(subject, &query, request),
            Operation::ListReviews => self.list_reviews(&query),
            Operation::ListPulls => self.list_pulls(&query),
            Operation::Comments => self.page_of_comments(&body["variables"]),
            Operation::Minimize => self.minimise(&body["variables"]),
        }
    }

    fn create_check_run(&mut self, body: &Value) -> Answer {
        let head_sha = text(&body["head_sha"]);
        if text(&body["name"]).is_empty() || !is_sha(&head_sha) {
            return Answer::invalid("CheckRun", "name and head_sha are required");
        }
        let (id, status) = (self.next_id(), "queued".to_owned());
        let (name, external_id) = (text(&body["name"]), text(&body["external_id"]));
        let mut run = CheckRun { id, name, head_sha, external_id, status, ..CheckRun::default() };
        if let Err(message) = run.apply(body) {
            return Answer::invalid("CheckRun", message);
        }
        let answer = Answer::json(201, &self.check_run(&run));
        self.check_runs.push(run);
        answer
    }

    fn update_check_run(&mut self, id: &str, body: &Value) -> Answer {
        let Some(index) = self.check_runs.iter().position(|run| run.id.to_string() == id) else {
            return Answer::error(404, "Not Found");
        };
        let mut run = self.check_runs[index].clone();
        if let Err(message) = run.apply(body) {
            return Answer::invalid("CheckRun", message);
        }
        let answer = Answer::json(200, &self.check_run(&run));
        self.check_runs[index] = run;
        answer
    }

    fn read_check_run(&self, id: &str) -> Answer {
        match self.check_runs.iter().find(|run| run.id.to_string() == id) {
            Some(run) => Answer::json(200, &self.check_run(run)),
            None => Answer::error(404, "Not Found"),
        }
    }

    fn list_check_runs(&self, sha: &str, query: &BTreeMap<String, String>) -> Answer {
        let named = |run: &&CheckRun| query.get("check_name").is_none_or(|name| *name == run.name);
        let mut runs: Vec<&CheckRun> = self.check_runs.iter().rev().filter(|run| run.head_sha == sha).collect();
        runs.retain(named);
        if query.get("filter").is_none_or(|filter| filter == "latest") {
            let mut seen = std::collections::BTreeSet::new();
            runs.retain(|run| seen.insert(run.name.clone()));
        }
        let (shown, link) = self.page(&runs, query, &format!("commits/{sha}/check-runs"));
        let shown: Vec<Value> = shown.iter().map(|run| self.check_run(run)).collect();
        Answer::json(200, &json!({ "total_count": runs.len(), "check_runs": shown })).linked(link)
    }

    fn check_run(&self, run: &CheckRun) -> Value {
        let api = format!("{}/repos/{REPOSITORY}/check-runs/{}", self.root, run.id);
        json!({
            "id": run.id, "node_id": format!("CR_{}", run.id), "name": run.name, "head_sha": run.head_sha,
            "external_id": run.external_id, "url": api, "html_url": self.check_url(run), "details_url": null,
            "status": run.status, "conclusion": run.conclusion, "started_at": "2025-01-01T00:00:00Z",
            "completed_at": null, "app": null, "pull_requests": [], "check_suite": { "id": 1 },
            "output": {
                "title": run.title, "summary": run.summary, "text": null,
                "annotations_count": run.annotations.len(), "annotations_url": format!("{api}/annotations"),
            },
        })
    }

    fn create_status(&mut self, sha: &str, body: &Value) -> Answer {
        let (state, description) = (text(&body["state"]), text(&body["description"]));
        if !["error", "failure", "pending", "success"].contains(&state.as_str()) {
            return Answer::invalid("Status", "state is not included in the list");
        }
        if description.chars().count() > 140 {
            return Answer::invalid("Status", "description is too long (maximum is 140 characters)");
        }
        let context = text(&body["context"]);
        let answer = json!({ "id": 1, "state": state, "context": context, "description": description });
        self.statuses.push(Status { sha: sha.to_owned(), state, context, description });
        Answer::json(201, &answer)
    }

    fn create_comment(&mut self, issue: &str, body: &Value) -> Answer {
        let Some(pull) = self.pulls.iter().find(|pull| pull.number.to_string() == issue) else {
            return Answer::error(404, "Not Found");
        };
        let (number, body) = (pull.number, text(&body["body"]));
        if let Some(refusal) = refused_body(&body) {
            return refusal;
        }
        if let Some(other) = self.intruder.take() {
            self.add_comment(number, VIEWER, &other);
        }
        let id = self.add_comment(number, VIEWER, &body);
        self.one_comment(201, id)
    }

    fn update_comment(&mut self, id: &str, body: &Value) -> Answer {
        let body = text(&body["body"]);
        let Some(comment) = self.comments.iter_mut().find(|comment| comment.id.to_string() == id) else {
            return Answer::error(404, "Not Found");
        };
        if let Some(refusal) = refused_body(&body) {
            return refusal;
        }
        comment.body = body;
        let id = comment.id;
        self.one_comment(200, id)
    }

    fn one_comment(&self, status: u16, id: u64) -> Answer {
        let Some(comment) = self.comments.iter().find(|comment| comment.id == id) else {
            return Answer::error(404, "Not Found");
        };
        let body = json!({
            "id": comment.id, "node_id": node_id(comment), "body": comment.body,
            "html_url": self.comment_url(comment), "user": { "login": comment.author, "type": "Bot" },
            "url": format!("{}/repos/{REPOSITORY}/issues/comments/{}", self.root, comment.id),
        });
        Answer::json(status, &body)
    }

    fn delete_comment(&mut self, id: &str) -> Answer {
        let before = self.comments.len();
        self.comments.retain(|comment| comment.id.to_string() != id);
        if self.comments.len() == before { Answer::error(404, "Not Found") } else { Answer::empty(204) }
    }

    fn read_file(&mut self, path: &str, query: &BTreeMap<String, String>, request: &Request) -> Answer {
        if !header(request, "accept").contains("raw") {
            return self.violation(format!("contents of {path} without the raw media type"));
        }
        let commit = query.get("ref").cloned().unwrap_or_default();
        match self.files.get(&(commit, path.to_owned())) {
            Some(content) => Answer::raw(content),
            None => Answer::error(404, "Not Found"),
        }
    }

    fn list_reviews(&self, query: &BTreeMap<String, String>) -> Answer {
        let (shown, link) = self.page(&self.reviews, query, "pulls/7/reviews");
        let review = |review: &Review| {
            json!({
                "id": 1, "state": review.state, "commit_id": review.commit, "body": "",
                "user": { "login": review.author, "type": "User" }, "submitted_at": "2025-01-01T00:00:00Z",
            })
        };
        Answer::json(200, &Value::Array(shown.iter().map(review).collect())).linked(link)
    }

    fn list_pulls(&self, query: &BTreeMap<String, String>) -> Answer {
        let label =
            |pull: &&Pull| query.get("head").is_none_or(|head| *head == format!("{}:{}", pull.owner, pull.branch));
        let pulls: Vec<&Pull> = self.pulls.iter().filter(label).collect();
        let (shown, link) = self.page(&pulls, query, "pulls");
        let pull = |pull: &&Pull| {
            json!({
                "number": pull.number, "state": "open", "user": { "login": pull.author },
                "head": { "sha": pull.head_sha, "ref": pull.branch, "label": format!("{}:{}", pull.owner, pull.branch) },
                "base": { "ref": "main" },
            })
        };
        Answer::json(200, &Value::Array(shown.iter().map(pull).collect())).linked(link)
    }

    /// A page of a list, and the link to the next one; every address leads to the double.
    fn page<'a, T>(&self, items: &'a [T], query: &BTreeMap<String, String>, of: &str) -> (&'a [T], Option<String>) {
        let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
        let (size, page) = (number("per_page").unwrap_or(30).clamp(1, 100), number("page").unwrap_or(1).max(1));
        let start = ((page - 1) * size).min(items.len());
        let end = (start + size).min(items.len());
        let mut next = query.clone();
        next.insert("page".to_owned(), (page + 1).to_string());
        let next: Vec<String> = next.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let link = format!("<{}/repos/{REPOSITORY}/{of}?{}>; rel=\"next\"", self.root, next.join("&"));
        (&items[start..end], (end < items.len()).then_some(link))
    }

    fn page_of_comments(&self, variables: &Value) -> Answer {
        let number = variables["number"].as_u64().unwrap_or_default();
        if named(variables) != REPOSITORY || !self.pulls.iter().any(|pull| pull.number == number) {
            return Answer::graphql_error("NOT_FOUND", "Could not resolve to a PullRequest.");
        }
        let after = variables["after"].as_str().map_or(0, cursor_id);
        let all = || self.comments.iter().filter(|comment| comment.issue == number && comment.id > after);
        let nodes: Vec<Value> = all().take(PAGE).map(|comment| self.node(comment)).collect();
        let end = all().take(PAGE).last().map(|comment| cursor(comment.id));
        let info = json!({ "hasNextPage": all().count() > PAGE, "endCursor": end });
        let comments = json!({ "pageInfo": info, "nodes": nodes });
        Answer::json(200, &json!({ "data": { "repository": { "pullRequest": { "comments": comments } } } }))
    }

    fn node(&self, comment: &Comment) -> Value {
        json!({
            "id": node_id(comment), "databaseId": comment.id, "body": comment.body, "isMinimized": comment.minimised,
            "viewerDidAuthor": comment.author == VIEWER, "url": self.comment_url(comment),
        })
    }

    fn minimise(&mut self, variables: &Value) -> Answer {
        let id = variables["id"].as_str().unwrap_or_default();
        let Some(comment) = self.comments.iter_mut().find(|comment| node_id(comment) == id) else {
            return Answer::graphql_error("NOT_FOUND", "Could not resolve to a node.");
        };
        comment.minimised = true;
        let done = json!({ "minimizeComment": { "minimizedComment": { "isMinimized": true } } });
        Answer::json(200, &json!({ "data": done }))
    }
}

impl CheckRun {
    /// Takes over what a request says, or nothing of it.
    fn apply(&mut self, body: &Value) -> Result<(), &'static str> {
        let output = &body["output"];
        if output.is_object() {
            self.output(output)?;
        }
        if let Some(status) = body["status"].as_str() {
            self.status = status.to_owned();
        }
        if let Some(conclusion) = body["conclusion"].as_str() {
            (self.status, self.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
        }
        let conclusions = ["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
        match (self.status.as_str(), self.conclusion.as_deref()) {
            ("completed", Some(conclusion)) if conclusions.contains(&conclusion) => Ok(()),
            ("completed", _) => Err("conclusion is missing or not in the list"),
            ("queued" | "in_progress", None) => Ok(()),
            _ => Err("status is not in the list"),
        }
    }

    fn output(&mut self, output: &Value) -> Result<(), &'static str> {
        let annotations = output["annotations"].as_array().cloned().unwrap_or_default();
        if output["title"].as_str().is_none_or(str::is_empty) || output["summary"].as_str().is_none_or(str::is_empty) {
            return Err("output needs a title and a summary");
        }
        if ["summary", "text"].iter().any(|key| text(&output[*key]).len() > OUTPUT_BYTES) {
            return Err("output exceeds a maximum bytesize of 65535");
        }
        if annotations.len() > ANNOTATIONS {
            return Err("annotations exceeds 50 items");
        }
        annotations.iter().try_for_each(annotation)?;
        (self.title, self.summary) = (text(&output["title"]), text(&output["summary"]));
        self.annotations.extend(annotations);
        Ok(())
    }
}

fn annotation(annotation: &Value) -> Result<(), &'static str> {
    let (message, title) = (text(&annotation["message"]), text(&annotation["title"]));
    let lines = [&annotation["start_line"], &annotation["end_line"]].map(|line| line.as_u64().unwrap_or_default());
    let path = text(&annotation["path"]);
    if path.is_empty() || path.starts_with('/') || lines[0] == 0 || lines[1] < lines[0] {
        return Err("an annotation needs a path in the repository and lines");
    }
    if !["notice", "warning", "failure"].contains(&text(&annotation["annotation_level"]).as_str()) {
        return Err("annotation_level is not in the list");
    }
    if message.is_empty() || message.len() > 64 << 10 || title.chars().count() > 255 {
        return Err("the message or the title of an annotation is too long or missing");
    }
    Ok(())
}

fn refused_body(body: &str) -> Option<Answer> {
    if body.trim().is_empty() {
        return Some(Answer::invalid("IssueComment", "Body cannot be blank"));
    }
    let too_long = body.chars().count() > COMMENT_CHARACTERS;
    too_long.then(|| Answer::invalid("IssueComment", "Body is too long (maximum is 65536 characters)"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn is_sha(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn named(variables: &Value) -> String {
    format!("{}/{}", text(&variables["owner"]), text(&variables["name"]))
}

fn node_id(comment: &Comment) -> String {
    format!("IC_kwDO{}", comment.id)
}

/// Opaque to the reader, as GitHub's cursors are.
fn cursor(id: u64) -> String {
    format!("Y3Vyc29yOnYy{id:x}==")
}

fn cursor_id(cursor: &str) -> u64 {
    let hex = cursor.strip_prefix("Y3Vyc29yOnYy").and_then(|rest| rest.strip_suffix("=="));
    hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(u64::MAX)
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_authorised(request: &Request) -> bool {
    let given = header(request, "authorization");
    ["Bearer ", "token "].iter().any(|scheme| given.strip_prefix(scheme) == Some(TOKEN))
}

/// What a request asks for, and of what.
fn route(request: &Request, path: &str) -> Option<(Operation, String)> {
    use Operation::*;
    if path == "/graphql" {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let query = body["query"].as_str()?;
        let operation = if query.contains("minimizeComment") { Minimize } else { Comments };
        return (request.method.as_str() == "POST").then_some((operation, String::new()));
    }
    let rest = path.strip_prefix(&format!("/repos/{REPOSITORY}/"))?;
    let segments: Vec<&str> = rest.split('/').collect();
    let (operation, subject) = match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["check-runs"]) => (CreateCheckRun, ""),
        ("PATCH", ["check-runs", id]) => (UpdateCheckRun, *id),
        ("GET", ["check-runs", id]) => (ReadCheckRun, *id),
        ("GET", ["commits", sha, "check-runs"]) => (ListCheckRuns, *sha),
        ("GET", ["commits", sha]) => (ReadCommit, *sha),
        ("POST", ["statuses", sha]) => (CreateStatus, *sha),
        ("POST", ["issues", number, "comments"]) => (CreateComment, *number),
        ("PATCH", ["issues", "comments", id]) => (UpdateComment, *id),
        ("DELETE", ["issues", "comments", id]) => (DeleteComment, *id),
        ("GET", ["contents", ..]) => (ReadFile, rest.strip_prefix("contents/")?),
        ("GET", ["pulls", number, "reviews"]) => (ListReviews, *number),
        ("GET", ["pulls"]) => (ListPulls, ""),
        _ => return None,
    };
    Some((operation, subject.to_owned()))
}

/// Where the two APIs lie below the server's root.
#[derive(Debug, Clone, Copy)]
struct Bases {
    rest: &'static str,
    graphql: &'static str,
}

impl Bases {
    const CLOUD: Self = Self { rest: "", graphql: "/graphql" };
    const ENTERPRISE: Self = Self { rest: "/api/v3", graphql: "/api/graphql" };

    /// The path as on github.com.
    fn strip(&self, path: &str) -> Option<String> {
        if path == self.graphql {
            return Some("/graphql".to_owned());
        }
        path.strip_prefix(self.rest).map(str::to_owned)
    }
}

/// GitHub, at an address of this machine.
pub(super) struct Double {
    _server: MockServer,
    state: Arc<Mutex<State>>,
    root: String,
    bases: Bases,
}

struct Responder {
    state: Arc<Mutex<State>>,
    bases: Bases,
}

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.respond(request, &self.bases).template()
    }
}

impl Double {
    /// Laid out as github.com.
    pub(super) fn start() -> Self {
        Self::with(Bases::CLOUD)
    }

    /// Laid out as GitHub Enterprise Server: the two APIs have bases of their own.
    pub(super) fn enterprise() -> Self {
        Self::with(Bases::ENTERPRISE)
    }

    fn with(bases: Bases) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { root: root.clone(), last_id: 1000, ..State::default() }));
        let responder = Responder { state: Arc::clone(&state), bases };
        let server = async {
            let server = MockServer::builder().listener(listener).disable_request_recording().start().await;
            Mock::given(any()).respond_with(responder).mount(&server).await;
            server
        };
        // The server has a thread of its own; this runtime only starts it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { _server: runtime.block_on(server), state, root, bases }
    }

    /// What GitHub knows now.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets something go wrong; faults strike in the order in which they were given.
    pub(super) fn fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Lets a token do less.
    pub(super) fn token(&self, token: Token) {
        self.state().token = token;
    }

    /// The value of `GITHUB_SERVER_URL`.
    pub(super) fn server_url(&self) -> String {
        self.root.clone()
    }

    /// The value of `GITHUB_API_URL`.
    pub(super) fn api_url(&self) -> String {
        format!("{}{}", self.root, self.bases.rest)
    }

    /// The value of `GITHUB_GRAPHQL_URL`.
    pub(super) fn graphql_url(&self) -> String {
        format!("{}{}", self.root, self.bases.graphql)
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let violations = std::mem::take(&mut self.state().violations);
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "GitHub would not understand:\n{}", violations.join("\n"));
        }
    }
}

mod tests;
