//! The double itself, asked without the gate: it keeps GitHub's rules, and its faults are what they are called.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::fault::{Fault, Kind, Wait};
use super::*;

const SHA: &str = "0123456789012345678901234567890123456789";

/// Sends a request and gives the status, the head and the body of the answer.
fn send(double: &Double, method: &str, path: &str, token: &str, body: &Value) -> (u16, String, Value) {
    let host = double.root.strip_prefix("http://").unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\naccept: application/vnd.github.raw+json\
         \r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)))
}

fn ask(double: &Double, method: &str, rest: &str, body: &Value) -> (u16, Value) {
    let (status, _, body) = send(double, method, &format!("/repos/{REPOSITORY}/{rest}"), TOKEN, body);
    (status, body)
}

fn with_pull() -> Double {
    let double = Double::start();
    let pull = Pull { number: 7, head_sha: SHA.to_owned(), owner: "acme", branch: "work", author: "octocat" };
    double.state().pulls.push(pull);
    double
}

fn comments(double: &Double, after: &Value) -> Value {
    let variables = json!({ "owner": "acme", "name": "delays", "number": 7, "after": after });
    let body = json!({ "query": "query { comments }", "variables": variables });
    let (_, _, answer) = send(double, "POST", "/graphql", TOKEN, &body);
    answer["data"]["repository"]["pullRequest"]["comments"].clone()
}

#[test]
fn comments_come_in_pages_and_know_their_author() {
    let double = with_pull();
    for number in 0..250 {
        let author = if number == 120 { VIEWER } else { "reviewer" };
        double.state().add_comment(7, author, "text");
    }
    let (mut after, mut sizes, mut ours) = (Value::Null, Vec::new(), 0);
    loop {
        let page = comments(&double, &after);
        let nodes = page["nodes"].as_array().unwrap();
        sizes.push(nodes.len());
        ours += nodes.iter().filter(|node| node["viewerDidAuthor"] == true).count();
        if page["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!((sizes, ours), (vec![100, 100, 50], 1));
}

#[test]
fn a_comment_is_written_minimised_and_deleted() {
    let double = with_pull();
    let (status, made) = ask(&double, "POST", "issues/7/comments", &json!({ "body": "hello" }));
    assert_eq!(status, 201);
    let id = made["id"].as_u64().unwrap();
    assert_eq!(ask(&double, "PATCH", &format!("issues/comments/{id}"), &json!({ "body": "bye" })).0, 200);
    let mutation = json!({ "query": "mutation { minimizeComment }", "variables": { "id": made["node_id"] } });
    send(&double, "POST", "/graphql", TOKEN, &mutation);
    let comment = double.state().comments[0].clone();
    assert_eq!((comment.body.as_str(), comment.minimised), ("bye", true));
    assert_eq!(ask(&double, "DELETE", &format!("issues/comments/{id}"), &Value::Null).0, 204);
    assert_eq!(ask(&double, "DELETE", &format!("issues/comments/{id}"), &Value::Null).0, 404);
    let (most, more) = ("é".repeat(65_536), "é".repeat(65_537));
    assert_eq!(ask(&double, "POST", "issues/7/comments", &json!({ "body": most })).0, 201);
    assert_eq!(ask(&double, "POST", "issues/7/comments", &json!({ "body": more })).0, 422);
    assert_eq!(ask(&double, "POST", "issues/8/comments", &json!({ "body": "hello" })).0, 404);
}

fn annotated(count: usize) -> Value {
    let one =
        json!({ "path": "a.yaml", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "m" });
    json!({ "output": { "title": "t", "summary": "s", "annotations": vec![one; count] } })
}

#[test]
fn annotations_are_appended_and_limits_are_kept() {
    let double = Double::start();
    let (status, made) =
        ask(&double, "POST", "check-runs", &json!({ "name": "gate", "head_sha": SHA, "status": "in_progress" }));
    assert_eq!(status, 201);
    let path = format!("check-runs/{}", made["id"]);
    for (body, status) in [
        (annotated(50), 200),
        (annotated(3), 200),
        (annotated(51), 422),
        (json!({ "output": { "title": "t", "summary": "é".repeat(32_768) } }), 422),
        (json!({ "output": { "title": "t" } }), 422),
        (json!({ "status": "completed" }), 422),
        (json!({ "conclusion": "passed" }), 422),
        (json!({ "status": "completed", "conclusion": "failure" }), 200),
    ] {
        assert_eq!(ask(&double, "PATCH", &path, &body).0, status, "{body}");
    }
    let check = double.state().check_runs[0].clone();
    assert_eq!((check.annotations.len(), check.status.as_str()), (53, "completed"));
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
}

#[test]
fn lists_come_in_pages_with_links_to_the_double() {
    let double = Double::start();
    for name in ["a", "b", "a"] {
        ask(&double, "POST", "check-runs", &json!({ "name": name, "head_sha": SHA }));
    }
    let list = |query: &str| ask(&double, "GET", &format!("commits/{SHA}/check-runs?{query}"), &Value::Null).1;
    let ids = |answer: &Value| {
        answer["check_runs"].as_array().unwrap().iter().map(|run| run["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&list("check_name=a&filter=all")), [1003, 1001]);
    assert_eq!(ids(&list("check_name=a")), [1003]);
    assert_eq!(ids(&list("filter=all&per_page=2&page=2")), [1001]);
    let path = format!("/repos/{REPOSITORY}/commits/{SHA}/check-runs?filter=all&per_page=2");
    let (_, head, _) = send(&double, "GET", &path, TOKEN, &Value::Null);
    assert!(head.contains(&format!("link: <{}", double.root)), "{head}");
}

#[test]
fn a_token_may_do_what_it_may() {
    let double = with_pull();
    double.token(Token::READ_ONLY);
    for (method, rest) in [("POST", "check-runs"), ("POST", "issues/7/comments"), ("DELETE", "issues/comments/1")] {
        let (status, body) = ask(&double, method, rest, &json!({ "body": "b", "name": "n", "head_sha": SHA }));
        assert_eq!((status, &body["message"]), (403, &json!("Resource not accessible by integration")), "{rest}");
    }
    assert_eq!(ask(&double, "GET", "pulls?head=acme:work&state=open", &Value::Null).1[0]["number"], 7);
    assert_eq!(ask(&double, "GET", "pulls?head=acme:other", &Value::Null).1, json!([]));
    let path = format!("/repos/{REPOSITORY}/pulls");
    assert_eq!(send(&double, "GET", &path, "ghs_wrong", &Value::Null).0, 401);
}

#[test]
fn a_file_is_found_by_commit_and_path() {
    let double = Double::start();
    double.state().files.insert((SHA.to_owned(), "gates/a.yaml".to_owned()), "version: 1".to_owned());
    let read = |path: &str| ask(&double, "GET", &format!("contents/{path}"), &Value::Null);
    assert_eq!(read(&format!("gates/a.yaml?ref={SHA}")), (200, json!("version: 1")));
    assert_eq!(read(&format!("a.yaml?ref={SHA}")).0, 404);
    assert_eq!(read("gates/a.yaml?ref=main").0, 404);
}

#[test]
fn faults_strike_as_often_as_they_should() {
    let double = with_pull();
    let create = || ask(&double, "POST", "issues/7/comments", &json!({ "body": "b" }));
    double.fault(Fault::new(Operation::CreateComment, Kind::Lost));
    double.fault(Fault::new(Operation::CreateComment, Kind::status(500, "Unwell")));
    double.fault(Fault::new(Operation::CreateComment, Kind::Malformed));
    double.fault(Fault::new(Operation::CreateComment, Kind::Late(Duration::from_millis(300))));
    assert_eq!((create().0, double.state().comments.len()), (502, 1));
    assert_eq!((create().0, double.state().comments.len()), (500, 1));
    let (status, body) = create();
    assert_eq!((status, body.is_string(), double.state().comments.len()), (201, true, 2));
    let started = Instant::now();
    assert_eq!(create().0, 201);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!((create().0, double.state().comments.len()), (201, 4));
    double.fault(Fault::everywhere(Kind::limited(403, Wait::Reset(3600))));
    let path = format!("/repos/{REPOSITORY}/pulls");
    let (status, head, _) = send(&double, "GET", &path, TOKEN, &Value::Null);
    assert_eq!(status, 403);
    assert!(head.contains("x-ratelimit-remaining: 0") && head.contains("x-ratelimit-reset: "), "{head}");
}

#[test]
fn what_github_does_not_know_is_a_violation() {
    let double = Double::start();
    for path in ["/repos/acme/delays/nothing", "/repos/other/delays/pulls", "/api/v3/repos/acme/delays/pulls"] {
        assert_eq!(send(&double, "GET", path, TOKEN, &Value::Null).0, 404);
    }
    assert_eq!(std::mem::take(&mut double.state().violations).len(), 3);
    let enterprise = Double::enterprise();
    assert_eq!(send(&enterprise, "GET", "/api/v3/repos/acme/delays/pulls", TOKEN, &Value::Null).0, 200);
    assert_eq!(send(&enterprise, "GET", "/repos/acme/delays/pulls", TOKEN, &Value::Null).0, 404);
    assert_eq!(std::mem::take(&mut enterprise.state().violations).len(), 1);
}
