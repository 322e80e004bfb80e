//! GitHub's API: requests, answers and what can go wrong. The only place that names octocrab.
//!
//! Octocrab brings the transport and the token. Its models are stricter than GitHub and its retry repeats what must not
//! be repeated, so answers are read by our own tolerant types, and a request that makes something is repeated only after
//! looking whether the first one did.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use http::request::Builder;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use octocrab::Octocrab;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::environment::Environment;

pub mod trouble;

use trouble::Trouble;

/// More than any answer that is asked for.
const MOST_BYTES: usize = 32 << 20;
/// Tries of one request.
const MOST_TRIES: u32 = 4;
/// The longest that is waited for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// The wait after a secondary limit that names none: GitHub asks for a minute at least.
const LIMIT_WAIT: Duration = Duration::from_secs(60);
/// The media type of answers.
const JSON: &str = "application/vnd.github+json";
/// The media type of a file's content.
const RAW: &str = "application/vnd.github.raw+json";
/// What a segment of a path may not hold as it is.
const SEGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?');

/// The API of one repository, with one allowance of time for all that is said to it.
pub struct GitHub {
    api: Octocrab,
    graphql: Octocrab,
    graphql_path: String,
    /// The owner of the repository.
    pub owner: String,
    /// The name of the repository.
    pub name: String,
    allowance: Mutex<Allowance>,
}

/// The time that may still be spent, and whether it makes sense to try again.
struct Allowance {
    left: Duration,
    down: bool,
}

/// A request.
struct Request<'r> {
    method: Method,
    path: &'r str,
    accept: &'static str,
    body: Option<&'r Value>,
}

impl GitHub {
    /// The API that the runner names, with a token or as nobody in particular. Must be called within a runtime.
    ///
    /// # Errors
    /// When the runner's variables are absent or are no addresses.
    pub fn connect(environment: &Environment, token: Option<&str>, allowance: Duration) -> Result<Self> {
        let (owner, name) = environment
            .need("GITHUB_REPOSITORY")?
            .split_once('/')
            .context("`GITHUB_REPOSITORY` is not of the form owner/name")?;
        // On GitHub Enterprise Server the two have different bases: /api/v3 and /api.
        let graphql = environment.get("GITHUB_GRAPHQL_URL").unwrap_or("https://api.github.com/graphql");
        let (graphql, last) = graphql.rsplit_once('/').context("`GITHUB_GRAPHQL_URL` has no path")?;
        Ok(Self {
            api: client(environment.api_url(), token)?,
            graphql: client(graphql, token)?,
            graphql_path: format!("/{last}"),
            owner: owner.to_owned(),
            name: name.to_owned(),
            allowance: Mutex::new(Allowance { left: allowance, down: false }),
        })
    }

    /// The path of something in the repository; the rest must be encoded.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/repos/{}/{}/{rest}", segment(&self.owner), segment(&self.name))
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Trouble`], after the tries that make sense.
    pub async fn get<T: DeserializeOwned>(&self, rest: &str) -> Result<T, Trouble> {
        let path = self.path(rest);
        read(&self.repeat(&Request { method: Method::GET, path: &path, accept: JSON, body: None }).await?)
    }

    /// Asks for something once, without a second try.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn get_once<T: DeserializeOwned>(&self, rest: &str) -> Result<T, Trouble> {
        let path = self.path(rest);
        read(&self.once(&Request { method: Method::GET, path: &path, accept: JSON, body: None }).await?)
    }

    /// Asks for all items of a list, page by page.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn list<T: DeserializeOwned>(&self, rest: &str) -> Result<Vec<T>, Trouble> {
        let (mut items, mut page) = (Vec::new(), 1);
        loop {
            let more: Vec<T> = self.get(&format!("{rest}?per_page=100&page={page}")).await?;
            let full = more.len() == 100;
            items.extend(more);
            if !full {
                return Ok(items);
            }
            page += 1;
        }
    }

    /// A file at a commit; `None` where the commit has no such file.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn file(&self, path: &str, commit: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let encoded: Vec<String> = path.split('/').map(segment).collect();
        let route = self.path(&format!("contents/{}?ref={}", encoded.join("/"), segment(commit)));
        match self.repeat(&Request { method: Method::GET, path: &route, accept: RAW, body: None }).await {
            Ok(bytes) => Ok(Some(bytes)),
            // A token without `contents: read` gets the same answer, so the commit itself must be visible.
            Err(Trouble::Absent) => self.get::<Value>(&format!("commits/{}", segment(commit))).await.map(|_| None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Changes something; harmless to repeat.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn change(&self, rest: &str, body: &Value) -> Result<(), Trouble> {
        let path = self.path(rest);
        self.repeat(&Request { method: Method::PATCH, path: &path, accept: JSON, body: Some(body) }).await.map(|_| ())
    }

    /// Deletes something; harmless to repeat, since what is gone is gone.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn delete(&self, rest: &str) -> Result<(), Trouble> {
        let path = self.path(rest);
        match self.repeat(&Request { method: Method::DELETE, path: &path, accept: JSON, body: None }).await {
            Ok(_) | Err(Trouble::Absent) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Makes something. When it may have been made although the answer says otherwise, `find` looks before the request
    /// is repeated.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn create<T: DeserializeOwned>(
        &self,
        rest: &str,
        body: &Value,
        find: impl AsyncFn() -> Result<Option<T>, Trouble>,
    ) -> Result<T, Trouble> {
        self.careful(Method::POST, rest, body, find).await
    }

    /// Adds to something. As with [`GitHub::create`], `find` looks before the request is repeated.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn add(
        &self,
        rest: &str,
        body: &Value,
        find: impl AsyncFn() -> Result<Option<Value>, Trouble>,
    ) -> Result<(), Trouble> {
        self.careful(Method::PATCH, rest, body, find).await.map(|_| ())
    }

    async fn careful<T: DeserializeOwned>(
        &self,
        method: Method,
        rest: &str,
        body: &Value,
        find: impl AsyncFn() -> Result<Option<T>, Trouble>,
    ) -> Result<T, Trouble> {
        let path = self.path(rest);
        let request = Request { method, path: &path, accept: JSON, body: Some(body) };
        let (mut tries, mut unsure) = (1, false);
        loop {
            let done = match unsure {
                true => find().await.transpose(),
                false => Some(self.once(&request).await.and_then(|bytes| read(&bytes))),
            };
            match done {
                Some(Ok(made)) => return Ok(made),
                Some(Err(trouble)) => {
                    unsure |= trouble.is_ambiguous();
                    self.pause(trouble, tries).await?;
                    tries += 1;
                }
                None => unsure = false,
            }
        }
    }

    /// Asks GraphQL, which answers errors with a success.
    ///
    /// # Errors
    /// As [`GitHub::get`].
    pub async fn query<T: DeserializeOwned>(&self, query: &str, variables: &Value) -> Result<T, Trouble> {
        let body = json!({ "query": query, "variables": variables });
        let request = Request { method: Method::POST, path: &self.graphql_path, accept: JSON, body: Some(&body) };
        let mut tries = 1;
        loop {
            let answer = self.send(&self.graphql, &request).await;
            let trouble = match answer.and_then(|bytes| trouble::of_graphql(read(&bytes)?)) {
                Ok(data) => return serde_json::from_value(data).map_err(|_| Trouble::Malformed),
                Err(trouble) => trouble,
            };
            self.pause(trouble, tries).await?;
            tries += 1;
        }
    }

    async fn repeat(&self, request: &Request<'_>) -> Result<Vec<u8>, Trouble> {
        let mut tries = 1;
        loop {
            match self.once(request).await {
                Ok(bytes) => return Ok(bytes),
                Err(trouble) => self.pause(trouble, tries).await?,
            }
            tries += 1;
        }
    }

    async fn once(&self, request: &Request<'_>) -> Result<Vec<u8>, Trouble> {
        self.send(&self.api, request).await
    }

    async fn send(&self, client: &Octocrab, request: &Request<'_>) -> Result<Vec<u8>, Trouble> {
        let left = self.left();
        if left.is_zero() {
            return Err(Trouble::OutOfTime);
        }
        let started = Instant::now();
        let answer = tokio::time::timeout(left.min(ANSWER_TIME), exchange(client, request)).await;
        self.spend(started.elapsed());
        answer.unwrap_or_else(|_| Err(Trouble::Unreachable("no answer in time".to_owned())))
    }

    /// Waits before another try, or says that there will be none.
    async fn pause(&self, trouble: Trouble, tries: u32) -> Result<(), Trouble> {
        let Some(wait) = wait(&trouble, tries).filter(|_| tries < MOST_TRIES && !self.is_down()) else {
            self.note_down(&trouble);
            return Err(trouble);
        };
        if wait >= self.left() {
            return Err(trouble);
        }
        tokio::time::sleep(wait).await;
        self.spend(wait);
        Ok(())
    }

    fn left(&self) -> Duration {
        self.allowance.lock().map_or(Duration::ZERO, |allowance| allowance.left)
    }

    fn spend(&self, time: Duration) {
        if let Ok(mut allowance) = self.allowance.lock() {
            allowance.left = allowance.left.saturating_sub(time);
        }
    }

    fn is_down(&self) -> bool {
        self.allowance.lock().is_ok_and(|allowance| allowance.down)
    }

    /// After all tries of one request failed for want of an answer, later requests are tried once.
    fn note_down(&self, trouble: &Trouble) {
        if let (Trouble::Unreachable(_), Ok(mut allowance)) = (trouble, self.allowance.lock()) {
            allowance.down = true;
        }
    }
}

/// How long to wait before another try, if one makes sense: as GitHub says, else a second, doubled each time.
fn wait(trouble: &Trouble, tries: u32) -> Option<Duration> {
    let backoff = Duration::from_secs(1 << (tries - 1).min(4));
    match trouble {
        Trouble::Limited { wait } => Some(wait.unwrap_or(LIMIT_WAIT)),
        Trouble::Unreachable(_) | Trouble::Unavailable(_) | Trouble::Malformed => Some(backoff),
        _ => None,
    }
}

fn client(base: &str, token: Option<&str>) -> Result<Octocrab> {
    let uri: Uri = base.parse().with_context(|| format!("`{base}` is no address of an API"))?;
    let built = Octocrab::builder()
        .base_uri(uri)
        .and_then(|builder| {
            let builder = match token {
                Some(token) => builder.personal_token(token.to_owned()),
                None => builder,
            };
            builder.set_connect_timeout(Some(Duration::from_secs(10))).set_read_timeout(Some(ANSWER_TIME)).build()
        })
        .map_err(|error| anyhow::anyhow!("{}", plainly(&error)));
    built.with_context(|| format!("`{base}` cannot be talked to"))
}

async fn exchange(client: &Octocrab, request: &Request<'_>) -> Result<Vec<u8>, Trouble> {
    let unreachable = |error: octocrab::Error| Trouble::Unreachable(plainly(&error));
    let builder = Builder::new()
        .method(request.method.clone())
        .uri(request.path)
        .header(http::header::ACCEPT, request.accept)
        .header(http::header::USER_AGENT, concat!("modelgate/", env!("CARGO_PKG_VERSION")));
    let built = client.build_request(builder, request.body).map_err(unreachable)?;
    let response = client.execute(built).await.map_err(unreachable)?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await;
    let bytes = body.map_err(|error| Trouble::Unreachable(error.to_string()))?.to_bytes();
    answer(parts.status, &parts.headers, bytes.into())
}

fn answer(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<u8>, Trouble> {
    if status.is_success() {
        return Ok(body);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Err(trouble::of_answer(status.as_u16(), |name| headers.get(name)?.to_str().ok(), &body, now))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(bytes).map_err(|_| Trouble::Malformed)
}

/// The innermost cause of an error of octocrab, whose own text is noise.
fn plainly(error: &octocrab::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A text as one segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A text as a value of a query.
#[must_use]
pub fn parameter(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
