//! Git LFS: pointers, and the server that has what they point to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::text_of;
use crate::artifact::Place;
use crate::artifact::path::is_sha256;
use crate::artifact::trouble::{Trouble, redacted};
use crate::artifact::web::{Request, secret};
use crate::artifact::world::World;

/// More than any pointer has.
pub(super) const MOST_BYTES: u64 = 1024;
/// The media type of what is said to the server.
const JSON: HeaderValue = HeaderValue::from_static("application/vnd.git-lfs+json");
/// How every pointer begins.
const BEGINNING: &str = "version https://git-lfs.github.com/spec/v1\n";

/// What stands in a commit instead of a large file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    oid: String,
    actions: Option<Actions>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Actions {
    download: Download,
}

#[derive(Debug, Deserialize)]
struct Download {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: u16,
    #[serde(default)]
    message: String,
}

impl Pointer {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(bytes).ok()?.strip_prefix(BEGINNING)?;
        let value = |key: &str| lines.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let sha256 = value("oid")?.strip_prefix("sha256:")?;
        let sha256 = is_sha256(sha256).then(|| sha256.to_lowercase())?;
        Some(Self { sha256, bytes: value("size")?.parse().ok()? })
    }

    /// Where its bytes are: in the checkout, or on the server.
    pub(super) async fn place(&self, world: &World, folder: &Path) -> Result<Place> {
        let common = text_of(folder, &["rev-parse", "--path-format=absolute", "--git-common-dir"]);
        if let Some(common) = common {
            let (first, second) = (&self.sha256[..2], &self.sha256[2..4]);
            let file = Path::new(&common).join("lfs/objects").join(first).join(second).join(&self.sha256);
            if file.is_file() {
                return Ok(Place::Here(file));
            }
        }
        let remedy = "check out with `lfs: true`, or let the checkout keep the credentials of git";
        let batch = self.batch(world, folder).await;
        let download = batch.with_context(|| format!("Git LFS does not give the object {}; {remedy}", self.sha256))?;
        let mut request = Request::get(Url::parse(&download.href).context("the LFS server gives no address")?);
        for (name, value) in &download.header {
            let value = secret(value).context("the LFS server gives a header that is none")?;
            request.credentials.insert(HeaderName::try_from(name).context("the LFS server gives no header")?, value);
        }
        Ok(Place::There(Box::new(world.web.location(request, true))))
    }

    /// Asks the server where the object is.
    async fn batch(&self, world: &World, folder: &Path) -> Result<Download> {
        let server = server(folder).context("the checkout does not say where it came from")?;
        let url = Url::parse(&format!("{server}/objects/batch"))
            .with_context(|| format!("`{}` is no address", redacted(&server)))?;
        let body = json!({
            "operation": "download",
            "transfers": ["basic"],
            "objects": [{ "oid": self.sha256, "size": self.bytes }],
            "hash_algo": "sha256",
        });
        let headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]);
        let credentials = credentials(folder, &server);
        let request = Request { url, headers, credentials, body: Some(serde_json::to_vec(&body)?) };
        let answer = world.web.location(request, true).answer().await?;
        let bytes = answer.bytes().await.map_err(Trouble::of_transport)?;
        let batch = serde_json::from_slice::<Batch>(&bytes).context("the LFS server does not answer as one")?;
        let object = batch.objects.into_iter().find(|object| object.oid == self.sha256);
        match object.unwrap_or_default() {
            Object { error: Some(Refusal { code, message }), .. } => bail!("the LFS server says {code}: {message}"),
            Object { actions: Some(actions), .. } => Ok(actions.download),
            Object { .. } => bail!("the LFS server does not have it"),
        }
    }
}

/// The server: the one that git is set up for, or that of the repository's origin. What `.lfsconfig` says is not asked, for
/// a pull request may have written it.
fn server(folder: &Path) -> Option<String> {
    if let Some(server) = text_of(folder, &["config", "--get", "lfs.url"]) {
        return Some(server.trim_end_matches('/').to_owned());
    }
    let origin = super::origin(folder)?;
    let address = match origin.split_once("://") {
        Some(("ssh", rest)) => format!("https://{}", rest.split_once('@').map_or(rest, |(_, host)| host)),
        Some(_) => origin,
        // `git@github.com:acme/delays.git`
        None => {
            let (host, path) = origin.split_once(':')?;
            format!("https://{}/{path}", host.split_once('@').map_or(host, |(_, host)| host))
        }
    };
    let address = address.trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    Some(format!("{address}.git/info/lfs"))
}

/// What git sends to the server besides: `actions/checkout` leaves its token there.
fn credentials(folder: &Path, server: &str) -> HeaderMap {
    let found = text_of(folder, &["config", "--get-urlmatch", "http.extraheader", server]);
    let value = found.and_then(|line| {
        let (name, value) =
            line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))?;
        let value = name.eq_ignore_ascii_case("authorization").then(|| secret(&value).ok())??;
        Some((AUTHORIZATION, value))
    });
    value.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_pointer_is_told_from_a_file() {
        let text = format!("{BEGINNING}oid sha256:{OID}\nsize 4\n");
        assert_eq!(Pointer::read(text.as_bytes()), Some(Pointer { sha256: OID.to_owned(), bytes: 4 }));
        let wrong = [
            text.replace("sha256:9", "sha256:z"),
            text.replace("size 4", "size x"),
            text[1..].to_owned(),
            String::new(),
        ];
        for wrong in wrong {
            assert_eq!(Pointer::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
