//! Files that DVC tracks, on a double of a remote.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use md5::{Digest as _, Md5};
use modelgate::artifact::reach::Reach;
use tempfile::TempDir;

use super::bucket::Bucket;
use super::gate::{self, parquet};
use crate::services::program;

use super::{Fault, Had, Reply, Run, Server, Stand, content, faulty, is_same, sha256, verifies, withstands};

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where DVC 3 keeps bytes.
fn key(bytes: &[u8]) -> String {
    format!("files/md5/{}/{}", &md5(bytes)[..2], &md5(bytes)[2..])
}

fn pointer(bytes: &[u8], name: &str) -> String {
    format!("outs:\n- md5: {}\n  size: {}\n  hash: md5\n  path: {name}\n", md5(bytes), bytes.len())
}

/// A checkout with these files, and a remote.
fn checkout(remote: &str, files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let config = format!("[core]\n    remote = Store\n['remote \"store\"']\n    url = {remote}\n");
    for (name, bytes) in [(".dvc/config", config.as_bytes())].iter().chain(files) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    folder
}

/// A checkout with a pointer to the model.
fn tracking(remote: &str) -> TempDir {
    checkout(remote, &[("models/m.onnx.dvc", pointer(&content(), "m.onnx").as_bytes())])
}

/// The bytes of a folder's listing, and what names it.
fn listing(files: &[(&str, &[u8])]) -> (Vec<u8>, String) {
    let listed = files.iter().map(|(name, bytes)| serde_json::json!({ "md5": md5(bytes), "relpath": name }));
    let bytes = serde_json::to_vec(&listed.collect::<Vec<_>>()).unwrap();
    let pointer = format!("outs: [{{md5: {}.dir, size: 9, nfiles: 2, hash: md5, path: history}}]", md5(&bytes));
    (bytes, pointer)
}

/// A server that has objects by their keys.
fn remote(objects: Vec<(String, Vec<u8>)>) -> Server {
    Server::start(move |asked| {
        let found = objects.iter().find(|(key, _)| asked.path == format!("/team/dvc/{key}"));
        found.map_or_else(|| Reply::of(404, ""), |(_, bytes)| Reply::file(asked, bytes, None))
    })
}

fn stand(fault: Fault) -> Stand {
    let (fault, bytes) = (faulty(fault), content());
    let server = Server::start(move |asked| {
        assert_eq!(asked.path, format!("/team/dvc/{}", key(&bytes)));
        fault(Reply::file(asked, &bytes, None))
    });
    let run = Run::at(tracking(&server.url("team/dvc/")));
    Stand { run, source: "dvc:models/m.onnx".to_owned(), servers: vec![server] }
}

fn unharmed() -> Stand {
    stand(Box::new(|_, reply| reply))
}

/// Of a pull request that changes nothing in the spec, whose base allows these hosts.
fn of_pull_request(checkout: TempDir, allowed: &[&str]) -> Run {
    let allowed = allowed.iter().map(|&entry| entry.to_owned()).collect();
    let reach = Reach::Agreed { workspace: checkout.path().to_owned(), allowed };
    Run { reach, ..Run::at(checkout) }
}

#[track_caller]
fn error(had: Result<Had, String>) -> String {
    had.err().expect("it was had")
}

#[test]
fn faults_of_the_remote() {
    withstands(stand);
    verifies(stand, &md5(&content()));
}

#[test]
fn an_object_is_fetched_once_and_its_identity_is_where_it_lies() {
    let Stand { run, source, servers } = unharmed();
    let had = run.obtain(&source).unwrap();
    is_same(&had);
    let found = &had.obtained.found[0];
    assert_eq!(found.name, source);
    assert_eq!(found.identity, Some(format!("dvc:{}/{}", servers[0].url("team/dvc"), key(&content()))));
    assert_eq!(run.obtain(&source).unwrap().obtained.found, had.obtained.found);
    assert_eq!(servers[0].asked().len(), 1);
}

#[test]
fn parts_of_an_object_belong_together_by_its_md5() {
    let Stand { run, source, servers } =
        stand(Box::new(|count, reply| if count == 0 { reply.cut(1000) } else { reply }));
    is_same(&run.obtain(&source).unwrap());
    assert_eq!(servers[0].asked()[1].range(), Some((1000, None)));
    // The first part is of another file: that is found out in the end, and it begins anew.
    let Stand { run, source, servers } = stand(Box::new(|count, mut reply| {
        if count == 0 {
            reply.body.fill(0);
            reply = reply.cut(1000);
        }
        reply
    }));
    is_same(&run.obtain(&source).unwrap());
    assert_eq!(servers[0].asked().len(), 3);
}

#[test]
fn what_was_not_pushed_or_is_not_tracked_is_told() {
    let server = remote(Vec::new());
    let run = Run::at(tracking(&server.url("team/dvc")));
    run.fails("dvc:models/m.onnx", &["404", "the remote `store` does not have it", "dvc push"]);
    assert_eq!(server.asked().len(), 1);
    run.fails("dvc:m.onnx", &["no pointer `m.onnx.dvc`", "the path begins at the folder that has `.dvc`"]);
    run.fails("dvc:models/m.onnx/x", &["`models/m.onnx` is a file", "no `x` in it"]);
    run.fails("dvc:models/m.onnx.dvc", &["is a pointer", "write `dvc:models/m.onnx`"]);
    Run::at(TempDir::new().unwrap()).fails("dvc:m", &["has `.dvc`; run `dvc init`"]);
    for (url, tells) in [
        ("ssh://host/x", "`ssh://`, which is not read here; run `dvc fetch`"),
        ("http://models.acme.com/x", "write `https://`"),
        ("../../absent", "dvc push"),
        ("", "no `url` of it"),
        ("s3://", "names no folder of a bucket"),
        ("s3://acme/../x", "names no folder of a bucket"),
        ("gs://acme\nendpointurl = http://localhost:1", "which is for `s3://`"),
        ("s3://acme\nversion_aware = true", "it is `version_aware`"),
        ("azure://acme\naccount_name = mallory.net/x", "is no account"),
    ] {
        Run::at(tracking(url)).fails("dvc:models/m.onnx", &[tells]);
    }
    let checkout = tracking("x");
    fs::write(checkout.path().join(".dvc/config"), "").unwrap();
    Run::at(checkout).fails("dvc:models/m.onnx", &["no default remote", "dvc fetch"]);
}

#[test]
fn the_cache_of_the_checkout_needs_no_server_and_is_verified() {
    let Stand { run, source, servers } = unharmed();
    let elsewhere = run.obtain(&source).unwrap().obtained.found;
    let root = run.checkout.as_ref().unwrap().path().to_owned();
    let cached = root.join("cache").join(key(&content()));
    fs::create_dir_all(cached.parent().unwrap()).unwrap();
    fs::write(&cached, content()).unwrap();
    fs::write(root.join(".dvc/config.local"), "[cache]\n    dir = ../cache\n").unwrap();
    let had = run.obtain_in(&root.join("models"), &source).unwrap();
    is_same(&had);
    assert_eq!((had.obtained.found, servers[0].asked().len()), (elsewhere, 1));
    fs::write(&cached, "other").unwrap();
    let told = error(Run { cache: Run::new().cache, ..run }.obtain(&source));
    let (found, expected) = (md5(b"other"), md5(&content()));
    assert!(told.contains(&format!("has the MD5 {found} and must have {expected}; it is damaged")), "{told}");
}

#[test]
fn a_remote_may_be_a_folder_and_a_setting_local() {
    let checkout = tracking("https://models.example.com");
    let object = checkout.path().join("shared").join(key(&content()));
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, content()).unwrap();
    fs::write(checkout.path().join(".dvc/config.local"), "['remote \"store\"']\nurl = ../shared\n").unwrap();
    is_same(&Run::at(checkout).obtain("dvc:models/m.onnx").unwrap());
}

#[test]
fn a_file_may_be_on_another_remote_than_the_rest() {
    let (first, other) = (remote(Vec::new()), remote(vec![(key(&content()), content())]));
    let checkout = tracking(&first.url("team/dvc"));
    let config = format!("['remote \"other\"']\nurl = {}\n", other.url("team/dvc"));
    fs::write(checkout.path().join(".dvc/config.local"), config).unwrap();
    let pointer = format!("{}  remote: other\n", pointer(&content(), "m.onnx"));
    fs::write(checkout.path().join("models/m.onnx.dvc"), pointer).unwrap();
    is_same(&Run::at(checkout).obtain("dvc:models/m.onnx").unwrap());
    assert_eq!((first.asked().len(), other.asked().len()), (0, 1));
}

#[test]
fn a_folder_is_all_its_files_or_those_that_are_meant() {
    let files: [(&str, &[u8]); 3] =
        [("month=2026-01/a.parquet", b"a"), ("month=2026-02/a.parquet", b"b"), ("notes.txt", b"c")];
    let (listed, pointer) = listing(&files);
    let mut objects = files.map(|(_, bytes)| (key(bytes), bytes.to_vec())).to_vec();
    objects.push((format!("{}.dir", key(&listed)), listed));
    let server = remote(objects);
    let run = Run::at(checkout(&server.url("team/dvc"), &[("data/history.dvc", pointer.as_bytes())]));
    let names = |source: &str| {
        let found = run.obtain(source).unwrap().obtained.found;
        found.into_iter().map(|found| found.name.trim_start_matches("dvc:data/history/").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("dvc:data/history"), files.map(|(name, _)| name));
    assert_eq!(names("dvc:data/history/*/*.parquet"), [files[0].0, files[1].0]);
    assert_eq!(run.obtain("dvc:data/history/month=2026-02/a.parquet").unwrap().bytes(), b"b");
    assert!(error(run.obtain("dvc:data/history/*.parquet")).contains("the folder `data/history` has no `*.parquet`"));
    // The listing, and each file once.
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_listing_that_leads_outside_or_is_another_is_refused() {
    for (name, tells) in
        [("../../../etc/passwd", "which is no file in the folder"), ("/etc/passwd", "no file in the folder")]
    {
        let (listed, pointer) = listing(&[(name, b"a")]);
        let server = remote(vec![(format!("{}.dir", key(&listed)), listed)]);
        let checkout = checkout(&server.url("team/dvc"), &[("history.dvc", pointer.as_bytes())]);
        let told = error(Run::at(checkout).obtain("dvc:history"));
        assert!(told.contains(tells), "{told}");
    }
    let (listed, pointer) = listing(&[("a", b"a")]);
    let server = remote(vec![(format!("{}.dir", key(&listed)), b"[]".to_vec())]);
    let checkout = checkout(&server.url("team/dvc"), &[("history.dvc", pointer.as_bytes())]);
    Run::at(checkout).fails("dvc:history", &["its MD5 is", &md5(&listed)]);
}

#[test]
fn what_dvc_2_has_written_lies_elsewhere_and_its_texts_end_lines_as_on_unix() {
    let text = b"a,b\r\n1,2\r\n".to_vec();
    let of_unix = md5(b"a,b\n1,2\n");
    let at = format!("{}/{}", &of_unix[..2], &of_unix[2..]);
    let pointer = format!("md5: {of_unix}\nouts:\n- md5: {of_unix}\n  size: {}\n  path: t.csv\n", text.len());
    let files: [(&str, &[u8]); 1] = [("t.csv.dvc", pointer.as_bytes())];
    let server = remote(vec![(at.clone(), text.clone())]);
    let had = Run::at(checkout(&server.url("team/dvc"), &files)).obtain("dvc:t.csv").unwrap();
    assert_eq!((had.bytes(), had.sha256.clone()), (text.clone(), sha256(&text)));
    // In the cache of the checkout as well.
    let cached = checkout("x", &[files[0], (&format!(".dvc/cache/{at}"), &text)]);
    assert_eq!(Run::at(cached).obtain("dvc:t.csv").unwrap().bytes(), text);
    // Other bytes are refused, also such as have only other ends of lines in a file of DVC 3.
    let server = remote(vec![(at, b"a,b\r\n1,3\r\n".to_vec())]);
    Run::at(checkout(&server.url("team/dvc"), &files)).fails("dvc:t.csv", &[&format!("must be {of_unix}")]);
}

#[test]
fn a_size_that_is_none_is_refused() {
    let large = pointer(&content(), "m").replace("300000", "1000000000000");
    let (bytes, at) = (content(), key(&content()));
    let server = remote(vec![(at, bytes)]);
    let run = |pointer: &str| Run::at(checkout(&server.url("team/dvc"), &[("m.dvc", pointer.as_bytes())]));
    run(&large).fails("dvc:m", &["300000 of 1000000000000 bytes came"]);
    run(&large.replace("1000000000000", "1000"))
        .fails("dvc:m", &["the server sends 300000 bytes and more, of a file that has 1000"]);
    run(&large.replace("1000000000000", "99999999999999999999")).fails("dvc:m", &["`m.dvc` cannot be read"]);
    let mut limited = run(&pointer(&content(), "m"));
    limited.limits.bytes = 1000;
    limited.fails("dvc:m", &["more than the 1000 bytes"]);
}

#[test]
fn what_a_pull_request_says_of_the_remote_is_allowed_by_the_base() {
    let object = || vec![(key(&content()), content())];
    let (server, other) = (remote(object()), remote(object()));
    let source = "dvc:models/m.onnx";
    let run = of_pull_request(tracking(&server.url("team/dvc")), &[]);
    run.fails(source, &[&server.host, "the base does not allow", "policy.allowed_hosts"]);
    is_same(&of_pull_request(tracking(&server.url("team/dvc")), &[&server.host]).obtain(source).unwrap());
    // Another host, of which the pull request says it in whatever file.
    let moved = tracking(&server.url("team/dvc"));
    let local = format!("['remote \"store\"']\nurl = {}\n", other.url("team/dvc"));
    fs::write(moved.path().join(".dvc/config.local"), local).unwrap();
    of_pull_request(moved, &[&server.host]).fails(source, &[&other.host, "the base does not allow"]);
    assert_eq!(other.asked().len(), 0);
    for (remote, allowed, tells) in [
        ("s3://mallory/x", "s3://acme", "s3://mallory"),
        ("azure://mallory/x", "az://acme", "az://mallory"),
        ("s3://acme/x\nendpointurl = https://s3.mallory.net", "s3://acme", "`s3.mallory.net`"),
        ("azure://acme/x\naccount_name = mallory", "az://acme", "`mallory.blob.core.windows.net`"),
    ] {
        let run = of_pull_request(tracking(remote), &[allowed]);
        run.fails(source, &[tells, "the base does not allow", "policy.allowed_hosts"]);
    }
}

#[test]
fn a_remote_that_leads_to_another_host() {
    let bytes = content();
    let other = Server::on("127.0.0.2", move |asked| Reply::file(asked, &bytes, None));
    let target = other.url("m?sig=secret");
    let first = Server::start(move |_| Reply::redirect(target.clone()));
    let remote = format!("http://me:secret@{}/dvc", first.host);
    let run = of_pull_request(tracking(&remote), &[&first.host]);
    run.fails("dvc:models/m.onnx", &[&other.host, "the base does not allow"]);
    assert_eq!(other.asked().len(), 0);
    let had = Run::at(tracking(&remote)).obtain("dvc:models/m.onnx").unwrap();
    is_same(&had);
    assert!(first.asked().iter().all(|asked| asked.header("authorization").is_some()));
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
    assert!(!format!("{:?}", had.obtained.found).contains("secret"));
}

#[test]
fn nothing_leads_out_of_the_workspace() {
    let outside = TempDir::new().unwrap();
    let object = outside.path().join(key(&content()));
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, content()).unwrap();
    fs::write(outside.path().join("pointer"), pointer(&content(), "m.onnx")).unwrap();
    let source = "dvc:models/m.onnx";
    let leads = |checkout: TempDir| {
        of_pull_request(checkout, &[]).fails(source, &["leads out of the workspace"]);
    };
    let linked = |file: &str, to: &Path| {
        let checkout = tracking("../../absent");
        let link = checkout.path().join(file);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        drop(fs::remove_file(&link));
        symlink(to, link).unwrap();
        checkout
    };
    leads(tracking(outside.path().to_str().unwrap()));
    leads(linked("models/m.onnx.dvc", &outside.path().join("pointer")));
    leads(linked(".dvc/config", &outside.path().join("pointer")));
    // Whoever runs the gate alone has folders elsewhere.
    is_same(&Run::at(tracking(outside.path().to_str().unwrap())).obtain(source).unwrap());
    // A cache elsewhere is none.
    let cached = linked(".dvc/cache", outside.path());
    of_pull_request(cached, &[]).fails(source, &["run `dvc push`"]);
    is_same(&Run::at(linked(".dvc/cache", outside.path())).obtain(source).unwrap());
}

/// Runs DVC in a folder, with nothing of the machine's own configuration.
fn dvc(folder: &Path, arguments: &[&str]) -> String {
    let mut dvc = Command::new(program("dvc", "dvc"));
    for name in ["DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"] {
        dvc.env(name, folder.join(".dvc/tmp"));
    }
    let done = dvc.args(arguments).env("DVC_NO_ANALYTICS", "1").current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Every file below a folder, by its path in it.
fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let all = glob::glob(&format!("{}/**/*", folder.display())).unwrap().map(Result::unwrap);
    let named =
        |file: PathBuf| (file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), fs::read(&file).unwrap());
    all.filter(|file| file.is_file()).map(named).collect()
}

/// What DVC 2 has written of a folder with a text and a model; DVC 3 agrees, and pushes it.
fn written_by_dvc_2(root: &Path, text: &[u8], of_unix: &[u8], model: &[u8]) {
    let listing = format!(
        r#"[{{"md5": "{}", "relpath": "m.onnx"}}, {{"md5": "{}", "relpath": "t.csv"}}]"#,
        md5(model),
        md5(of_unix)
    );
    let (digest, size) = (format!("{}.dir", md5(listing.as_bytes())), text.len() + model.len());
    let pointer = format!("outs:\n- md5: {digest}\n  size: {size}\n  nfiles: 2\n  path: old\n");
    fs::write(root.join("old.dvc"), pointer).unwrap();
    fs::create_dir(root.join("old")).unwrap();
    fs::write(root.join("old/t.csv"), text).unwrap();
    fs::write(root.join("old/m.onnx"), model).unwrap();
    for (digest, bytes) in [(md5(of_unix), text), (md5(model), model), (digest, listing.as_bytes())] {
        let object = root.join(".dvc/cache").join(&digest[..2]).join(&digest[2..]);
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        fs::write(object, bytes).unwrap();
    }
}

/// What DVC itself has added, made and pushed is had from a folder, from servers of HTTP and from buckets.
#[test]
fn a_real_repository_of_dvc() {
    let folder = TempDir::new().unwrap();
    let (root, pushed) = (folder.path().join("checkout"), folder.path().join("pushed"));
    fs::create_dir_all(root.join("models")).unwrap();
    fs::create_dir_all(root.join("train/fit")).unwrap();
    fs::create_dir_all(root.join("history/month=2026-01")).unwrap();
    fs::write(root.join("models/m.onnx"), content()).unwrap();
    fs::write(root.join("history/month=2026-01/a.parquet"), parquet()).unwrap();
    fs::write(root.join("history/notes.txt"), "a\r\n").unwrap();
    fs::write(
        root.join("train/dvc.yaml"),
        "stages:\n  fit:\n    wdir: fit\n    cmd: cp ../../models/m.onnx out.onnx\n    outs: [out.onnx]\n",
    )
    .unwrap();
    dvc(&root, &["init", "--quiet", "--no-scm"]);
    dvc(&root, &["remote", "add", "--quiet", "--default", "Store", "../pushed"]);
    dvc(&root, &["add", "--quiet", "models/m.onnx", "history"]);
    dvc(&root, &["repro", "--quiet", "train/dvc.yaml"]);
    let (text, of_unix, old) = (b"a,b\r\n1,2\r\n", b"a,b\n1,2\n", b"\x00\r\n");
    written_by_dvc_2(&root, text, of_unix, old);
    assert!(dvc(&root, &["status"]).contains("up to date"));
    dvc(&root, &["push", "--quiet"]);
    for gone in [".dvc/cache", "models/m.onnx", "history", "old", "train/fit/out.onnx"] {
        drop(fs::remove_file(root.join(gone)).or_else(|_| fs::remove_dir_all(root.join(gone))));
    }

    let objects = files_below(&pushed);
    let served = remote(objects.clone());
    let set_url = |url: &str| dvc(&root, &["remote", "modify", "--quiet", "store", "url", url]);
    for url in [None, Some(served.url("team/dvc"))] {
        url.iter().for_each(|url| drop(set_url(url)));
        let run = Run::new();
        for (source, bytes) in [
            ("dvc:models/m.onnx", content()),
            ("dvc:train/fit/out.onnx", content()),
            ("dvc:history/*/*.parquet", parquet()),
            ("dvc:history/notes.txt", b"a\r\n".to_vec()),
            ("dvc:old/t.csv", text.to_vec()),
            ("dvc:old/m.onnx", old.to_vec()),
        ] {
            assert!(run.obtain_in(&root, source).unwrap().bytes() == bytes, "{source}");
        }
        assert_eq!(run.obtain_in(&root, "dvc:old").unwrap().obtained.files.len(), 2);
    }
    for (bucket, url) in [(Bucket::of_azure(), "azure://acme/team/dvc"), (Bucket::of_s3(), "s3://acme/team/dvc")] {
        objects.iter().for_each(|(key, bytes)| bucket.put(&format!("team/dvc/{key}"), bytes.clone()));
        dvc(&root, &["remote", "add", "--quiet", "--force", "--default", "store", url]);
        let mut variables = bucket.variables();
        if url.starts_with("s3") {
            // Where it is, the configuration says.
            variables.retain(|(name, _)| !matches!(*name, "AWS_ENDPOINT_URL" | "AWS_ALLOW_HTTP" | "AWS_REGION"));
            dvc(&root, &["remote", "modify", "--quiet", "store", "endpointurl", &bucket.address()]);
            dvc(&root, &["remote", "modify", "--quiet", "--local", "store", "region", "us-east-1"]);
        }
        gate::write(&root, "dvc:history/*/*.parquet");
        let (record, _) = gate::run_on(&root, &[], &variables);
        let record = serde_json::from_slice::<serde_json::Value>(&record).unwrap();
        let found = &record["inputs"]["data"][0]["found"][0];
        assert_eq!(found["identity"], format!("dvc:{url}/{}", key(&parquet())));
        assert_eq!(found["sha256"], sha256(&parquet()));
        fs::write(root.join("absent.dvc"), pointer(b"never pushed", "absent")).unwrap();
        gate::write(&root, "dvc:absent");
        let told = gate::fails_on(&root, &variables);
        assert!(told.contains("the remote `store` does not have it: run `dvc push`"), "{told}");
    }
}
