//! Servers that answer what is posted to them: models behind an address. They are asked as servers of files are, within the same
//! reach, and on a thread of their own, so that whoever needs an answer may wait for it on any thread.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::fetch::{self, Limits};
use super::reach::Reach;
use super::trouble::{Trouble, redacted};
use super::web::{self, Location, Request, secret};
use super::world::World;
use crate::deliver::environment::Environment;

/// The variable with a token for each of some hosts: `models.acme.com=TOKEN localhost:8080=TOKEN`.
const TOKENS: &str = "MODELGATE_TOKENS";
/// The longest wait between two tries that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// How long a server that is asked whether it is well may think about it.
const GLANCE: Duration = Duration::from_secs(5);
/// The bytes of a complaint that are read, and its characters that are shown.
const MOST_COMPLAINT: usize = 64 << 10;
const SHOWN: usize = 300;

/// A server that answers what is posted to it.
pub(crate) struct Endpoint {
    location: Location,
    limits: Limits,
    patience: Duration,
    /// Waits for answers. It is there until the end of this.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl World {
    /// A server behind an address that somebody named, each answer of which may take so long.
    ///
    /// # Errors
    /// When it is no address, or may not be reached.
    pub(crate) fn endpoint(&self, address: &str, patience: Duration) -> Result<Endpoint> {
        let url = web::address(address).map_err(|wrong| anyhow!("{}; {}", wrong.message, wrong.remedy))?;
        self.reach.ensure_url(&url)?;
        let credentials = credentials(&self.environment, &url)?;
        let client = web::client(&self.reach, |client| client);
        Endpoint::new(Request { credentials, ..Request::get(url) }, self.reach.clone(), client, &self.limits, patience)
    }
}

impl Endpoint {
    /// A server that this run has started itself, on a port of this machine.
    ///
    /// # Errors
    /// When nothing can wait for its answers.
    pub(crate) fn here(port: u16, path: &str, patience: Duration) -> Result<Self> {
        let url = Url::parse(&format!("http://127.0.0.1:{port}{path}")).context("this is no path of a server")?;
        let client = web::client(&Reach::Own, ClientBuilder::no_proxy);
        // On this machine nothing lies between that could be busy.
        let limits = Limits { tries: 3, pause: Duration::from_millis(100), ..Limits::default() };
        Self::new(Request::get(url), Reach::Own, client, &limits, patience)
    }

    fn new(
        request: Request,
        reach: Reach,
        client: Result<Client, Trouble>,
        limits: &Limits,
        patience: Duration,
    ) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("endpoint").enable_all().build();
        let runtime = Some(runtime.context("no thread can be started that waits for answers")?);
        let headers = [ACCEPT, CONTENT_TYPE].map(|name| (name, HeaderValue::from_static("application/json")));
        let request = Request { headers: HeaderMap::from_iter(headers), ..request };
        // What ends a try is `patience`, which says more.
        let limits = Limits { window: patience.saturating_mul(2), time: LONGEST_WAIT, ..limits.clone() };
        Ok(Self { location: Location::asked_by(client, request, reach), limits, patience, runtime })
    }

    /// The path of its address.
    pub(crate) fn path(&self) -> &str {
        self.location.url().path()
    }

    /// What it says at another path of its own; nothing where it has no such path.
    ///
    /// # Errors
    /// When it cannot be reached, or does not say it.
    pub(crate) async fn about(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let location = self.location.with_path(path);
        let name = redacted(location.url().as_str());
        let (limits, patience) = (self.limits.clone(), self.patience);
        let runtime = self.runtime.as_ref().context("the server is asked no more")?;
        let asked = runtime.spawn(async move { fetch::ask(&limits, || exchange(&location, patience, most)).await });
        match asked.await? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Trouble::Nothing { .. }) => Ok(None),
            Err(trouble) => Err(trouble).with_context(|| format!("`{name}` cannot be asked for")),
        }
    }

    /// Posts JSON. The answer, which has no more than so many bytes, goes to `then`, on another thread.
    ///
    /// # Errors
    /// When nothing can wait for it.
    pub(crate) fn post(
        &self,
        body: Vec<u8>,
        most: usize,
        then: impl FnOnce(Result<Vec<u8>, Trouble>) + Send + 'static,
    ) -> Result<()> {
        let location = self.location.with_body(body);
        let (limits, patience) = (self.limits.clone(), self.patience);
        let runtime = self.runtime.as_ref().context("the server is asked no more")?;
        runtime.spawn(async move { then(fetch::ask(&limits, || exchange(&location, patience, most)).await) });
        Ok(())
    }

    /// Whether it answers at another path of its own, now.
    pub(crate) fn is_well(&self, path: &str) -> bool {
        let (location, (tell, told)) = (self.location.with_path(path), mpsc::channel());
        let Some(runtime) = self.runtime.as_ref() else { return false };
        runtime.spawn(async move {
            let _ = tell.send(exchange(&location, GLANCE, MOST_COMPLAINT).await.is_ok());
        });
        told.recv().unwrap_or(false)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // It may be dropped where nobody may wait; what was asked for is wanted by nobody then.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One try: the answer, whole.
async fn exchange(location: &Location, patience: Duration, most: usize) -> Result<Vec<u8>, Trouble> {
    let whole = async {
        let response = location.answer_of_its_own().await?;
        if response.status().is_success() { read(response, most).await } else { Err(refusal(response).await) }
    };
    // Asked again, a server that is slow is no faster.
    timeout(patience, whole).await.unwrap_or_else(|_| {
        let why = format!("it gave no answer within {} seconds", patience.as_secs_f64());
        Err(Trouble::last(why, "make it faster, or allow more with `seconds:`"))
    })
}

async fn read(response: Response, most: usize) -> Result<Vec<u8>, Trouble> {
    let (mut pieces, mut bytes) = (response.bytes_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Trouble::of_transport)?;
        if bytes.len() + piece.len() > most {
            let why = format!("it answers with more than {most} bytes, more than what was asked for can have");
            return Err(Trouble::last(why, "check the address"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// What an answer without success means.
async fn refusal(response: Response) -> Trouble {
    let (status, headers) = (response.status(), response.headers().clone());
    match status.as_u16() {
        300..=399 => {
            let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let why =
                format!("it redirects to `{to}`, and data is sent to no other address than the one that was named");
            Trouble::last(why, "name the address where it is served")
        }
        401 | 403 => {
            let why = format!("the server answers {status}");
            Trouble::last(why, format!("set `{TOKENS}` to `HOST=TOKEN` with a token that may use it"))
        }
        404 | 408 | 410 | 425 | 429 | 502..=504 => Trouble::of_answer(status, &headers),
        _ => complaint(status, &read(response, MOST_COMPLAINT).await.unwrap_or_default()),
    }
}

/// What a server says of what it was asked: it knows best.
fn complaint(status: StatusCode, body: &[u8]) -> Trouble {
    let said = serde_json::from_slice::<Value>(body).ok();
    let text = |key: &str| said.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let message = ["message", "error", "detail"].into_iter().find_map(text);
    let body = String::from_utf8_lossy(body);
    // The last line of a traceback of Python says what went wrong.
    let last = |trace: &str| trace.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    let words = match (message, text("stack_trace")) {
        (Some(message), trace) => [Some(message), trace.as_deref().and_then(last)].into_iter().flatten().collect(),
        (None, _) if body.starts_with("Traceback") => last(&body).into_iter().collect::<Vec<_>>(),
        (None, _) => vec![body.into_owned()],
    };
    let words = words.join(" / ");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = words.chars().take(SHOWN).collect::<String>();
    let end = if shown.len() < words.len() { "..." } else { "" };
    let why = format!("the server answers {status} and says: {shown}{end}");
    Trouble::last(why, "feed it the features that it takes, or correct the model there")
}

/// What is sent to a host: the token that the machine has for it. A name and a password of the address go there by themselves.
fn credentials(environment: &Environment, url: &Url) -> Result<HeaderMap> {
    let host = url.host_str().unwrap_or_default();
    let with_port = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let pairs = environment.get(TOKENS).unwrap_or_default().split_whitespace().map(|pair| pair.split_once('='));
    let pairs = pairs.collect::<Option<Vec<_>>>();
    let pairs =
        pairs.with_context(|| format!("`{TOKENS}` has something else than pairs `HOST=TOKEN` with blanks between"))?;
    let of_host = pairs.into_iter().find(|(host, _)| host.eq_ignore_ascii_case(&with_port));
    let Some((_, token)) = of_host else { return Ok(HeaderMap::new()) };
    let value = secret(&format!("Bearer {token}")).with_context(|| format!("`{TOKENS}` has no token for `{host}`"))?;
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
