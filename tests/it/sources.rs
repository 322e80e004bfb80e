//! What is fetched is what was meant, whole, or nothing: servers that break off, lie, stall and lead elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use modelgate::artifact::cache::Folder;
use modelgate::artifact::fetch::Limits;
use modelgate::artifact::reach::Reach;
use modelgate::artifact::world::{Obtained, Shelf, World};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use server::{Asked, Reply, Server};

mod actions;
mod bucket;
mod dvc;
mod first;
mod gate;
mod git;
mod hub;
mod mlflow;
mod partitions;
mod reference;
mod release;
pub(crate) mod server;

/// A tag that never means other bytes.
const TAG: &str = "\"v1\"";

/// Bytes without a pattern that a part could repeat.
fn content() -> Vec<u8> {
    (0_u32..20_000).flat_map(|number| Sha256::digest(number.to_le_bytes())).take(300_000).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A run: what it reaches, keeps and waits for, and how its machine is set up.
struct Run {
    cache: Arc<TempDir>,
    reach: Reach,
    limits: Limits,
    variables: Vec<(&'static str, String)>,
    /// The checkout; where there is none, the current folder.
    checkout: Option<Arc<TempDir>>,
}

/// What a run has in hand, for as long as it holds on to it.
struct Had {
    obtained: Obtained,
    sha256: String,
    _shelf: Arc<Shelf>,
    _cache: Arc<TempDir>,
}

impl Had {
    fn bytes(&self) -> Vec<u8> {
        let [file] = self.obtained.files.as_slice() else { panic!("{:?}", self.obtained) };
        fs::read(file).unwrap()
    }
}

impl Run {
    fn new() -> Self {
        let limits = Limits { pause: Duration::from_millis(5), ..Limits::default() };
        Self {
            cache: Arc::new(TempDir::new().unwrap()),
            reach: Reach::Own,
            limits,
            variables: Vec::new(),
            checkout: None,
        }
    }

    /// In a checkout.
    fn at(checkout: TempDir) -> Self {
        Self { checkout: Some(Arc::new(checkout)), ..Self::new() }
    }

    /// Of a pull request whose base allows these hosts.
    fn of_pull_request(allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|&entry| entry.to_owned()).collect();
        Self { reach: Reach::Named { workspace: PathBuf::from("/"), allowed }, ..Self::new() }
    }

    /// On a machine that has these variables.
    fn on<const N: usize>(variables: [(&'static str, &str); N]) -> Self {
        Self { variables: variables.map(|(name, value)| (name, value.to_owned())).to_vec(), ..Self::new() }
    }

    fn obtain(&self, source: &str) -> Result<Had, String> {
        self.obtain_in(self.checkout.as_ref().map_or(Path::new(""), |checkout| checkout.path()), source)
    }

    fn obtain_in(&self, folder: &Path, source: &str) -> Result<Had, String> {
        let cache = Arc::new(Folder::open(self.cache.path(), 1 << 30).unwrap());
        let shelf = Arc::new(Shelf::new(Some(cache)));
        let world = World::new(folder, self.reach.clone(), &shelf, &Arc::default()).within(self.limits.clone());
        let variables = self.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let world = world.on(variables.collect());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sources = [source.to_owned()];
        let obtained = async {
            let obtained = world.obtain(&sources).await?;
            let sha256 = obtained.sha256.find().await?;
            anyhow::Ok((obtained, sha256))
        };
        match runtime.block_on(obtained) {
            Ok((obtained, sha256)) => Ok(Had { obtained, sha256, _shelf: shelf, _cache: Arc::clone(&self.cache) }),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// The error, which leaves nothing behind that could be taken for the file.
    #[track_caller]
    fn fails(&self, source: &str, tells: &[&str]) {
        let Err(error) = self.obtain(source) else { panic!("`{source}` was had") };
        for text in tells {
            assert!(error.contains(text), "no `{text}` in: {error}");
        }
        let left = fs::read_dir(self.cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A server that has one file and does something else with some requests for its bytes, counted from zero.
fn serving(tag: Option<&'static str>, other: impl Fn(usize, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let content = content();
    Server::start(move |asked| {
        let reply = Reply::file(asked, &content, tag);
        // The first request asks what there is.
        if asked.is_glance() { reply } else { other(asked.before - 1, reply) }
    })
}

fn is_same(had: &Had) {
    assert_eq!(sha256(&had.bytes()), sha256(&content()));
    assert_eq!(had.sha256, sha256(&content()));
}

/// What a server does with the requests for the bytes of a file, counted from zero.
type Fault = Box<dyn Fn(usize, Reply) -> Reply + Send + Sync>;

/// A source whose file has the bytes of [`content`], on servers that are set up for one test.
struct Stand {
    run: Run,
    source: String,
    /// They run for as long as they are here.
    servers: Vec<Server>,
}

/// Does with the answers to requests for bytes what a fault says.
fn faulty(fault: Fault) -> impl Fn(Reply) -> Reply + Send + Sync {
    let count = AtomicUsize::new(0);
    move |reply| fault(count.fetch_add(1, Ordering::Relaxed), reply)
}

/// Every source gives its file whole and nothing else, whatever its server does.
fn withstands(stand: impl Fn(Fault) -> Stand) {
    perseveres(&stand);
    let shorter = |_: usize, mut reply: Reply| {
        reply.body.truncate(reply.body.len() / 2);
        Reply { endless: true, ..reply }
    };
    let Stand { run, source, servers } = stand(Box::new(shorter));
    run.fails(&source, &["cannot be fetched", "of 300000 bytes came"]);
    drop(servers);
}

/// A source asks again where that helps, and gives up where it does not.
fn perseveres(stand: impl Fn(Fault) -> Stand) {
    let has = |fault: Fault| {
        let Stand { run, source, servers } = stand(fault);
        is_same(&run.obtain(&source).unwrap_or_else(|error| panic!("{error}: {servers:?}")));
    };
    for percent in [10, 50, 99] {
        let at = content().len() * percent / 100;
        has(Box::new(move |count, reply| if count == 0 { reply.cut(at) } else { reply }));
    }
    has(Box::new(|count, reply| if count == 0 { Reply::of(503, "") } else { reply }));
    let slow = |_: usize, reply| Reply { drip: Some(Duration::from_millis(10)), ..reply };
    let Stand { mut run, source, servers } = stand(Box::new(slow));
    (run.limits.window, run.limits.window_bytes, run.limits.tries) = (Duration::from_millis(300), 3000, 2);
    run.fails(&source, &["fewer than 3000 bytes came in 0.3 seconds, in 2 tries"]);
    drop(servers);
}

/// A source that knows a digest takes no other bytes.
fn verifies(stand: impl Fn(Fault) -> Stand, expected: &str) {
    let other = |_: usize, mut reply: Reply| {
        if let Some(byte) = reply.body.last_mut() {
            *byte ^= 1;
        }
        reply
    };
    let Stand { run, source, servers } = stand(Box::new(other));
    run.fails(&source, &[&format!("must be {expected}"), "find out who changed it"]);
    drop(servers);
}

#[test]
fn a_connection_that_breaks_is_resumed_where_it_stopped() {
    for percent in [10, 50, 99] {
        let at = content().len() * percent / 100;
        let server = serving(Some(TAG), move |count, reply| if count == 0 { reply.cut(at) } else { reply });
        is_same(&Run::new().obtain(&server.url("m")).unwrap());
        let asked = server.asked();
        assert_eq!(asked.len(), 3, "{asked:?}");
        assert_eq!(asked[2].range(), Some((at, None)));
        assert_eq!(asked[2].header("if-range"), Some(TAG));
    }
}

#[test]
fn without_a_version_that_stays_it_begins_anew() {
    for tag in [None, Some("W/\"weak\"")] {
        let server = serving(tag, |count, reply| if count == 0 { reply.cut(1000) } else { reply });
        is_same(&Run::new().obtain(&server.url("m")).unwrap());
        assert_eq!(server.asked()[2].range(), None);
    }
}

#[test]
fn a_digest_holds_parts_together() {
    let pinned = |server: &Server| format!("{}@sha256:{}", server.url("m"), sha256(&content()));
    let server = serving(None, |count, reply| if count == 0 { reply.cut(1000) } else { reply });
    is_same(&Run::new().obtain(&pinned(&server)).unwrap());
    assert_eq!(server.asked()[2].range(), Some((1000, None)));
    // The first part is of another file: that is found out in the end, and it begins anew.
    let server = serving(None, |count, mut reply| {
        if count == 0 {
            reply.body.fill(0);
            reply = reply.cut(1000);
        }
        reply
    });
    is_same(&Run::new().obtain(&pinned(&server)).unwrap());
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let server = serving(Some(TAG), |count, reply| match count {
        0 => Reply::of(503, "").with("retry-after", "1"),
        1 => Reply::of(429, ""),
        _ => reply,
    });
    let started = Instant::now();
    is_same(&Run::new().obtain(&server.url("m")).unwrap());
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_server_that_is_busy_when_it_is_asked_for_a_version_is_asked_again() {
    let content = content();
    let server = Server::start(move |asked| match asked.before {
        0 => Reply::of(503, ""),
        _ => Reply::file(asked, &content, Some(TAG)),
    });
    is_same(&Run::new().obtain(&server.url("m")).unwrap());
    let forever = Server::start(|_| Reply::of(503, ""));
    Run::new().fails(&forever.url("m"), &["cannot be asked for", "503", "in 6 tries"]);
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    let server = serving(Some(TAG), |_, _| Reply::of(503, ""));
    Run::new().fails(&server.url("m"), &["cannot be fetched", "503", "in 6 tries", "run again"]);
    let forever = serving(Some(TAG), |_, _| Reply::of(503, "").with("retry-after", "86400"));
    Run::new().fails(&forever.url("m"), &["asks to wait for 86400 seconds"]);
}

#[test]
fn what_is_not_there_and_not_allowed_is_told_apart() {
    for (status, tells) in [(404, "check the name"), (403, "it needs credentials"), (401, "it needs credentials")] {
        let server = Server::start(move |_| Reply::of(status, "secret of the server"));
        Run::new().fails(&server.url("m?sig=secret"), &["/m?...`", &status.to_string(), tells]);
        assert_eq!(server.asked().len(), 1);
        let Err(error) = Run::new().obtain(&server.url("m?sig=secret")) else { panic!("it was had") };
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn another_digest_is_another_file() {
    let server = serving(Some(TAG), |_, reply| reply);
    let wrong = format!("{}@sha256:{}", server.url("m"), sha256(b"another"));
    Run::new().fails(&wrong, &["its SHA-256 is", &sha256(b"another"), "find out who changed it"]);
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_not_read() {
    let content = content();
    let server = Server::start(move |asked| match asked.before {
        0 => Reply::file(asked, &content, Some(TAG)),
        1 => Reply::file(asked, &content, Some(TAG)).cut(1000),
        _ => Reply::file(asked, &content, Some("\"v2\"")),
    });
    Run::new().fails(&server.url("m"), &["it changed while it was read", "run again"]);
}

#[test]
fn a_server_that_stalls_is_given_up() {
    let slow = |drip| move |_: usize, reply: Reply| Reply { drip: Some(Duration::from_millis(drip)), ..reply };
    let (window, tries) = (Duration::from_millis(300), 2);
    let mut run = Run::new();
    run.limits = Limits { window, window_bytes: 3000, tries, ..run.limits };
    for drip in [10, 10_000] {
        let server = serving(Some(TAG), slow(drip));
        run.fails(&server.url("m"), &["fewer than 3000 bytes came in 0.3 seconds, in 2 tries"]);
    }
    run.limits = Limits { window_bytes: 0, time: Duration::from_millis(900), ..run.limits };
    run.fails(&serving(Some(TAG), slow(10)).url("m"), &["it was not here after 0.9 seconds"]);
}

#[test]
fn a_file_is_as_long_as_was_said() {
    let endless = |change: fn(&mut Vec<u8>)| {
        serving(Some(TAG), move |_, mut reply| {
            change(&mut reply.body);
            Reply { endless: true, ..reply }
        })
    };
    let longer = endless(|body| body.extend([0; 100]));
    Run::new().fails(&longer.url("m"), &["the server sends", "of a file that has 300000"]);
    let shorter = endless(|body| body.truncate(body.len() / 2));
    Run::new().fails(&shorter.url("m"), &["of 300000 bytes came, in 6 tries"]);
    let empty = Server::start(|asked| Reply::file(asked, b"", Some(TAG)));
    Run::new().fails(&empty.url("m"), &["it is empty"]);
    let mut run = Run::new();
    run.limits.bytes = 1000;
    run.fails(&serving(Some(TAG), |_, reply| reply).url("m"), &["more than the 1000 bytes"]);
}

#[test]
fn a_second_run_downloads_nothing() {
    let server = serving(Some(TAG), |_, reply| reply);
    let run = Run::new();
    let first = run.obtain(&server.url("m")).unwrap().obtained;
    let second = run.obtain(&server.url("m")).unwrap();
    is_same(&second);
    assert_eq!(first.found, second.obtained.found);
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|asked| !asked.is_glance()).count(), 1, "{asked:?}");
    // A digest that is known needs no server.
    let pinned = format!("{}@sha256:{}", server.url("gone"), sha256(&content()));
    is_same(&run.obtain(&pinned).unwrap());
    assert_eq!(server.asked().len(), asked.len());
}

#[test]
fn what_was_damaged_in_the_cache_is_fetched_again() {
    let server = serving(Some(TAG), |_, reply| reply);
    let run = Run::new();
    run.obtain(&server.url("m")).unwrap();
    let kept = fs::read_dir(run.cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let mut bytes = content();
    bytes[7] ^= 1;
    fs::write(&kept[0], bytes).unwrap();
    is_same(&run.obtain(&server.url("m")).unwrap());
    assert_eq!(server.asked().iter().filter(|asked| !asked.is_glance()).count(), 2);
}

#[test]
fn what_a_run_reads_stays_although_others_remove_it() {
    let server = serving(Some(TAG), |_, reply| reply);
    let run = Run::new();
    let had = run.obtain(&server.url("m")).unwrap();
    // Another run, whose folder may hold nothing.
    drop(Folder::open(run.cache.path(), 0).unwrap());
    is_same(&had);
}

/// Two servers on two hosts: the first leads to the second.
fn leading(path: &str) -> (Server, Server) {
    let content = content();
    let other = Server::on("127.0.0.2", move |asked| Reply::file(asked, &content, Some(TAG)));
    let target = other.url(path);
    (Server::start(move |_| Reply::redirect(target.clone())), other)
}

#[test]
fn a_password_goes_to_no_other_host() {
    let (first, other) = leading("m?sig=1");
    let source = format!("http://me:secret@{}/m", first.host);
    let had = Run::new().obtain(&source).unwrap();
    is_same(&had);
    assert!(first.asked().iter().all(|asked| asked.header("authorization").is_some()));
    let asked = other.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.headers.values().all(|value| !value.contains("secret"))), "{asked:?}");
    assert!(!format!("{:?}", had.obtained.found).contains("secret"));
}

#[test]
fn a_pull_request_reaches_what_the_base_allows_and_no_further() {
    let (first, other) = leading("m");
    let run = Run::of_pull_request(&[]);
    run.fails(&first.url("m"), &[&first.host, "the base does not allow", "policy.allowed_hosts"]);
    assert_eq!(first.asked().len(), 0);
    // One host is allowed, and leads to one that is not.
    let run = Run::of_pull_request(&[&first.host]);
    run.fails(&first.url("m"), &[&other.host, "the base does not allow"]);
    assert_eq!(other.asked().len(), 0);
    is_same(&Run::of_pull_request(&[&first.host, &other.host]).obtain(&first.url("m")).unwrap());
    run.fails("s3://mallory/m", &["s3://mallory", "the base does not allow"]);
}

#[test]
fn a_redirect_leads_to_no_open_connection_and_ends() {
    let plain = Server::start(|_| Reply::redirect("http://models.example.com/m".to_owned()));
    Run::new().fails(&plain.url("m"), &["redirects to `http://models.example.com/m`", "https://"]);
    let circle = Server::start(|_| Reply::redirect("/m".to_owned()));
    Run::new().fails(&circle.url("m"), &["redirected 10 times"]);
    Run::new().fails("http://models.example.com/m", &["write `https://`"]);
}

#[test]
fn no_room_is_an_error_with_a_remedy() {
    let server = serving(Some(TAG), |_, reply| reply);
    let folder = TempDir::new().unwrap();
    let data = format!("data: {{ test: '{}' }}", server.url("m?sig=secret"));
    fs::write(folder.path().join("modelgate.yaml"), gate::SPEC.replace("data: { test: test.parquet }", &data)).unwrap();
    // A file of this process has at most 64 blocks of 512 bytes.
    let limited = format!("trap '' XFSZ; ulimit -f 64; exec {} run --cache kept", env!("CARGO_BIN_EXE_modelgate"));
    let done = Command::new("sh").args(["-c", &limited]).current_dir(folder.path()).output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{told}");
    for text in ["dataset `test` cannot be read", "there is no room for it", "--cache", "/m?..."] {
        assert!(told.contains(text), "no `{text}` in: {told}");
    }
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(fs::read_dir(folder.path().join("kept")).unwrap().count(), 0);
}
