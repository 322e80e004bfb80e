//! Files of servers, and the one client that asks them.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Error, Result};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, InvalidHeaderValue,
    LAST_MODIFIED, LOCATION, RANGE,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Response, StatusCode, Url};
use schemars::JsonSchema;

use super::reach::Reach;
use super::trouble::{Absent, Trouble, redacted};
use super::world::World;
use super::{Body, Item, Kind, Malformed, Place, Remote, Source, Version, time};

/// Redirects that one request follows.
const MOST_HOPS: usize = 10;
/// The time for a connection to be made.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// The time for an answer to begin, and between two of its parts.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "https",
    beginnings: &["https://", "http://"],
    parse: |text| Ok(Box::new(Address::parse(text)?)),
    schema: |generator| Address::json_schema(generator),
};

/// A file of a server.
///
/// # Form
/// `https://models.acme.com/delays/model.onnx`, best with its digest behind it: `@sha256:9f86...`.
///
/// # What it does
/// Asks for the version of the file, which the server's strong `ETag` says, and fetches it if the cache does not have that
/// version. With a digest that the cache has, the server is not asked at all; without a digest and an `ETag` the file is
/// fetched in every run. `http://` is for this machine only. A name and a password in the address are sent to that server
/// and to no other, and neither they nor the query are shown or recorded.
///
/// On a pull request, an address that the pull request names must be of a host in `policy.allowed_hosts` of the base, and
/// so must every redirect. Addresses within private networks are refused for hosts that are not allowed by their whole name.
///
/// # Identity
/// The address with the server's `ETag`, or the digest.
///
/// # Example
/// ```yaml
/// baseline: { onnx: https://models.acme.com/delays/champion.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct Address {
    /// The address.
    #[schemars(with = "String")]
    url: Url,
}

impl Address {
    fn parse(text: &str) -> Result<Self, Malformed> {
        Ok(Self { url: address(text)? })
    }
}

/// The address of a server, over a connection that nobody else can change.
pub(super) fn address(text: &str) -> Result<Url, Malformed> {
    let url =
        Url::parse(text).map_err(|error| Malformed::new(format!("`{text}` is no address: {error}"), "correct it"))?;
    if is_plain_elsewhere(&url) {
        let message = format!("`{text}` would come over a connection that anyone may change");
        return Err(Malformed::new(message, "write `https://`; `http://` is for this machine"));
    }
    Ok(url)
}

/// Whether an address is without encryption, and not of this machine.
fn is_plain_elsewhere(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    url.scheme() != "https" && !(url.scheme() == "http" && is_here)
}

#[async_trait]
impl Source for Address {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let name = redacted(self.url.as_str());
        let mut location = world.web.location(Request::get(self.url.clone()), false);
        let part = world.ask(|| location.part(0, Some(0))).await.map_err(|trouble| match trouble {
            Trouble::Nothing { .. } => Error::from(Absent::new(trouble.to_string())),
            trouble => trouble.into(),
        });
        let part = part.with_context(|| format!("`{name}` cannot be asked for"))?;
        location.tag = strong_tag(part.headers());
        let tag = location.tag.as_ref().and_then(|tag| tag.to_str().ok());
        let identity = tag.map(|tag| format!("{name} {tag}"));
        let (bytes, version) = (whole(&part), Version { time: modified(part.headers()), ..Version::default() });
        Ok(vec![Item {
            name,
            identity,
            sha256: None,
            md5: None,
            bytes,
            version,
            place: Place::There(Box::new(location)),
        }])
    }
}

/// Clients that follow redirects themselves, so that they know where these lead.
#[derive(Debug)]
pub struct Web {
    reach: Reach,
    /// For what the spec names.
    named: OnceLock<Client>,
    /// For servers that the machine is set up for, which decide where their files lie.
    known: OnceLock<Client>,
}

/// What is said to a server.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// What is sent to the host of the address only.
    pub(super) credentials: HeaderMap,
    /// What is posted; nothing where something is got.
    pub(super) body: Option<Vec<u8>>,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self { url, headers: HeaderMap::new(), credentials: HeaderMap::new(), body: None }
    }
}

/// The value of a header that no log may hold.
pub(super) fn secret(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A file of a server.
#[derive(Debug, Clone)]
pub(super) struct Location {
    request: Request,
    reach: Reach,
    client: Result<Client, Trouble>,
    /// The strong tag of the version that was found.
    tag: Option<HeaderValue>,
}

impl Web {
    pub(super) fn new(reach: Reach) -> Self {
        Self { reach, named: OnceLock::new(), known: OnceLock::new() }
    }

    /// Where a file is, on a server that the machine is set up for, or that somebody named.
    pub(super) fn location(&self, request: Request, is_known: bool) -> Location {
        let reach = if is_known { Reach::Own } else { self.reach.clone() };
        let cell = if is_known { &self.known } else { &self.named };
        let client = match cell.get() {
            Some(client) => Ok(client.clone()),
            None => {
                let client = client(&reach, |client| client.read_timeout(ANSWER_TIME));
                client.map(|client| cell.get_or_init(|| client).clone())
            }
        };
        Location { request, reach, client, tag: None }
    }
}

/// A client that follows no redirect, with a limit of time for answers.
pub(super) fn client(reach: &Reach, limited: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, Trouble> {
    let builder = Client::builder()
        .dns_resolver(Arc::new(reach.resolver()))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIME)
        .user_agent(concat!("modelgate/", env!("CARGO_PKG_VERSION")));
    limited(builder).build().map_err(Trouble::of_transport)
}

impl Location {
    /// What a client of its own asks for.
    pub(super) fn asked_by(client: Result<Client, Trouble>, request: Request, reach: Reach) -> Self {
        Self { request, reach, client, tag: None }
    }

    /// The same address, with what is posted to it.
    pub(super) fn with_body(&self, body: Vec<u8>) -> Self {
        let mut location = self.clone();
        location.request.body = Some(body);
        location
    }

    /// The same server, and another path of it.
    pub(super) fn with_path(&self, path: &str) -> Self {
        let mut location = self.clone();
        location.request.url.set_path(path);
        location
    }

    /// The address.
    pub(super) fn url(&self) -> &Url {
        &self.request.url
    }

    /// The answer of the server, wherever it leads.
    pub(super) async fn answer(&self) -> Result<Response, Trouble> {
        self.ask(&HeaderMap::new()).await
    }

    /// A part of the file, from one byte to another or to the end.
    async fn part(&self, from: u64, to: Option<u64>) -> Result<Response, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if from > 0 || to.is_some() {
            let to = to.map_or_else(String::new, |to| to.to_string());
            let range = HeaderValue::try_from(format!("bytes={from}-{to}"));
            headers.insert(RANGE, range.map_err(|error| Trouble::last(error.to_string(), "run again"))?);
            headers.extend(self.tag.clone().map(|tag| (IF_RANGE, tag)));
        }
        self.ask(&headers).await
    }

    /// What the server itself says of the file, before it leads to another server that has the bytes.
    pub(super) async fn facts(&self) -> Result<HeaderMap, Trouble> {
        let mut here = self.request.url.clone();
        for _ in 0..=MOST_HOPS {
            let response = self.once(Method::HEAD, &here, &HeaderMap::new()).await?;
            match next(&here, &response)? {
                Some(next) if next.origin() == here.origin() => here = next,
                None if !response.status().is_success() => {
                    return Err(Trouble::of_answer(response.status(), response.headers()));
                }
                _ => return Ok(response.headers().clone()),
            }
        }
        Err(led_on())
    }

    /// The answer of the address itself, wherever it would lead.
    pub(super) async fn answer_of_its_own(&self) -> Result<Response, Trouble> {
        self.once(self.method(), &self.request.url, &HeaderMap::new()).await
    }

    fn method(&self) -> Method {
        if self.request.body.is_some() { Method::POST } else { Method::GET }
    }

    async fn ask(&self, headers: &HeaderMap) -> Result<Response, Trouble> {
        let method = self.method();
        let mut here = self.request.url.clone();
        for _ in 0..=MOST_HOPS {
            let response = self.once(method.clone(), &here, headers).await?;
            match next(&here, &response)? {
                Some(next) => here = next,
                None if response.status().is_success() => return Ok(response),
                // There is no such part, perhaps since there is nothing.
                None if response.status() == StatusCode::RANGE_NOT_SATISFIABLE => return Ok(response),
                None => return Err(Trouble::of_answer(response.status(), response.headers())),
            }
        }
        Err(led_on())
    }

    /// One request, whose redirects are not followed.
    async fn once(&self, method: Method, here: &Url, headers: &HeaderMap) -> Result<Response, Trouble> {
        let client = self.client.as_ref().map_err(Trouble::clone)?;
        let Request { url, headers: its, credentials, body } = &self.request;
        self.reach.ensure_url(here)?;
        let request = client.request(method, here.clone()).headers(its.clone()).headers(headers.clone());
        // What is for one host is nothing for another.
        let request = if here.origin() == url.origin() { request.headers(credentials.clone()) } else { request };
        let request = if let Some(body) = body { request.body(body.clone()) } else { request };
        request.send().await.map_err(Trouble::of_transport)
    }
}

fn led_on() -> Trouble {
    Trouble::last(format!("it was redirected {MOST_HOPS} times"), "check the address")
}

/// Where a redirect leads: never from a connection that is encrypted to one that is not.
fn next(here: &Url, response: &Response) -> Result<Option<Url>, Trouble> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| is_redirect);
    let Some(location) = location else { return Ok(None) };
    let location = location.to_str().ok().and_then(|location| here.join(location).ok());
    let next = location.ok_or_else(|| Trouble::last("the server redirects to no address", "check the address"))?;
    let is_weaker = here.scheme() == "https" && next.scheme() != "https";
    if is_weaker || is_plain_elsewhere(&next) {
        let why = format!("`{here}` redirects to `{next}`, over a connection that anyone may change");
        return Err(Trouble::last(why, "name the address where it is served over `https://`"));
    }
    Ok(Some(next))
}

#[async_trait]
impl Remote for Location {
    async fn open(&self, from: u64) -> Result<Body, Trouble> {
        let mut response = self.part(from, None).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            response = self.part(0, None).await?;
        }
        let headers = response.headers();
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Trouble::last("the server packs it", "serve the file as it is, without `Content-Encoding`"));
        }
        if self.tag.is_some() && strong_tag(headers) != self.tag {
            return Err(Trouble::last("it changed while it was read", "run again, or name a version that stays"));
        }
        let (from, bytes) = (begin(&response), whole(&response));
        let pieces = response.bytes_stream().map(|piece| piece.map_err(Trouble::of_transport)).boxed();
        Ok(Body { from, bytes, pieces })
    }

    fn is_pinned(&self) -> bool {
        self.tag.is_some()
    }
}

/// The tag of a version whose every byte is the same.
fn strong_tag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned()
}

/// When the file was last changed.
fn modified(headers: &HeaderMap) -> Option<String> {
    let at = httpdate::parse_http_date(headers.get(LAST_MODIFIED)?.to_str().ok()?).ok()?;
    time::of_seconds(at.duration_since(UNIX_EPOCH).ok()?.as_secs().try_into().ok()?)
}

/// The first byte of an answer.
fn begin(response: &Response) -> u64 {
    range(response).map_or(0, |(from, _)| from)
}

/// The size of the whole file.
fn whole(response: &Response) -> Option<u64> {
    match range(response) {
        Some((_, whole)) => whole,
        None => response.content_length(),
    }
}

/// What an answer that is a part says: `bytes 5-9/10`, or `*` where the server does not know the whole.
fn range(response: &Response) -> Option<(u64, Option<u64>)> {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    let text = response.headers().get(CONTENT_RANGE).filter(|_| is_part)?.to_str().ok()?;
    let (part, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((part.split_once('-')?.0.parse().ok()?, whole.parse().ok()))
}
