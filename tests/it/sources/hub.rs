//! Files of the Hugging Face Hub, from a double of it.

use super::{Fault, Reply, Run, Server, Stand, content, faulty, is_same, sha256, verifies, withstands};

const TOKEN: &str = "hf_secret";
const COMMIT: &str = "1111111111111111111111111111111111111111";

/// The hub whose branch `main` has a file in Git LFS, whose bytes are on another host, and one that is not.
fn stand(fault: Fault) -> Stand {
    let (fault, bytes) = (faulty(fault), content());
    let storage = Server::on("127.0.0.2", move |asked| fault(Reply::file(asked, &bytes, None)));
    let (there, digest, size) = (storage.url("lfs?sig=1"), sha256(&content()), content().len().to_string());
    let hub = Server::start(move |asked| {
        if asked.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return Reply::of(401, "");
        }
        let Some((revision, path)) = asked.path.strip_prefix("/acme/delays/resolve/").unwrap().split_once('/') else {
            return Reply::of(404, "");
        };
        let reply = match (revision, path) {
            // Only small files were there before.
            ("old" | "main" | COMMIT, "small.json") => Reply::file(asked, b"{}", Some("\"0f\"")),
            ("main" | COMMIT, "onnx/m.onnx") => Reply::redirect(there.clone())
                .with("x-linked-etag", format!("\"{digest}\""))
                .with("x-linked-size", size.clone()),
            ("moved", _) => return Reply::redirect(format!("/acme/delays/resolve/main/{path}")),
            ("bare", _) => return Reply::file(asked, b"{}", None),
            _ => return Reply::of(404, ""),
        };
        reply.with("x-repo-commit", COMMIT)
    });
    let run = Run::on([("HF_ENDPOINT", &hub.url("")), ("HF_TOKEN", TOKEN)]);
    Stand { run, source: "hf:acme/delays@main/onnx/m.onnx".to_owned(), servers: vec![hub, storage] }
}

fn unharmed() -> Stand {
    stand(Box::new(|_, reply| reply))
}

#[test]
fn a_file_is_that_of_a_commit_and_the_token_stays_at_the_hub() {
    let Stand { run, source, servers } = unharmed();
    let had = run.obtain(&source).unwrap();
    is_same(&had);
    let found = &had.obtained.found[0];
    assert_eq!(found.name, format!("hf:acme/delays@{COMMIT}/onnx/m.onnx"));
    let [hub, storage] = servers.as_slice() else { panic!("{servers:?}") };
    assert_eq!(found.identity, Some(hub.url(&format!("acme/delays/resolve/{COMMIT}/onnx/m.onnx"))));
    let asked = hub.asked().into_iter().map(|asked| (asked.method, asked.path)).collect::<Vec<_>>();
    let asked = asked.iter().map(|(method, path)| (method.as_str(), path.as_str())).collect::<Vec<_>>();
    let pinned = format!("/acme/delays/resolve/{COMMIT}/onnx/m.onnx");
    assert_eq!(asked, [("HEAD", "/acme/delays/resolve/main/onnx/m.onnx"), ("GET", &pinned)]);
    assert!(storage.asked().iter().all(|asked| asked.headers.values().all(|value| !value.contains(TOKEN))));
    // Of the same commit nothing is fetched again, under whatever name.
    is_same(&run.obtain("hf:acme/delays@moved/onnx/m.onnx").unwrap());
    assert_eq!(storage.asked().len(), 1);
}

#[test]
fn a_small_file_is_pinned_by_its_commit() {
    let Stand { run, servers, .. } = unharmed();
    for revision in ["main", "old"] {
        assert_eq!(run.obtain(&format!("hf:acme/delays@{revision}/small.json")).unwrap().bytes(), b"{}");
    }
    assert_eq!(servers[0].asked().iter().filter(|asked| asked.method == "GET").count(), 1);
}

#[test]
fn what_the_hub_does_not_have_is_told() {
    let Stand { mut run, servers, .. } = unharmed();
    run.fails("hf:acme/delays@v9/onnx/m.onnx", &["does not give `onnx/m.onnx`", "at `v9`", "404"]);
    run.fails("hf:acme/delays@bare/m.onnx", &["the server says no commit", "HF_ENDPOINT"]);
    run.variables.truncate(1);
    run.fails("hf:acme/delays@main/onnx/m.onnx", &["401", "needs `HF_TOKEN`"]);
    assert_eq!(servers[1].asked().len(), 0);
}

#[test]
fn a_hub_that_is_busy_is_asked_again() {
    let bytes = content();
    let hub = Server::start(move |asked| match asked.before {
        0 => Reply::of(503, ""),
        _ => Reply::file(asked, &bytes, None).with("x-repo-commit", COMMIT),
    });
    let run = Run::on([("HF_ENDPOINT", &hub.url(""))]);
    is_same(&run.obtain("hf:acme/delays@main/m.onnx").unwrap());
}

#[test]
fn faults_of_the_hub() {
    withstands(stand);
    verifies(stand, &sha256(&content()));
}
