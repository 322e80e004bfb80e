//! The digest of what is on this machine: found beside whatever else is done with it, since reading all of it takes long.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::spawn_blocking;

use super::path;

/// The SHA-256 of a file in hexadecimal, or of the list of those of several. It is found once, when it is first asked for.
#[derive(Clone)]
pub struct Digest(Shared<BoxFuture<'static, Result<String, Arc<anyhow::Error>>>>);

impl Digest {
    /// The digest.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn find(&self) -> Result<String> {
        self.0.clone().await.map_err(|error| anyhow!("{error:#}"))
    }

    /// The digest, where somebody has asked for it already.
    ///
    /// # Errors
    /// When nobody has.
    pub fn found(&self) -> Result<&str> {
        let found = self.0.peek().and_then(|found| found.as_ref().ok());
        found.map(String::as_str).context("a digest that was not asked for")
    }

    /// That of a file.
    pub(super) fn of_file(file: PathBuf) -> Self {
        Self::new(async move { spawn_blocking(move || path::sha256(&file)).await? })
    }

    /// That of several by theirs, in this order.
    pub(super) fn of_list(several: Vec<Self>) -> Self {
        Self::new(async move {
            let mut digests = Vec::new();
            for one in several {
                digests.push(one.find().await?);
            }
            Ok(path::sha256_of_list(&digests.iter().map(String::as_str).collect::<Vec<_>>()))
        })
    }

    /// That of what this is the digest of, and a text.
    #[must_use]
    pub fn and(self, text: String) -> Self {
        Self::new(async move { Ok(path::sha256_of_bytes(format!("{}\n{text}", self.find().await?).as_bytes())) })
    }

    fn new(found: impl Future<Output = Result<String>> + Send + 'static) -> Self {
        Self(found.map(|found| found.map_err(Arc::new)).boxed().shared())
    }
}

/// One that is known.
impl From<String> for Digest {
    fn from(sha256: String) -> Self {
        Self::new(async { Ok(sha256) })
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.found().unwrap_or("not asked for yet"))
    }
}
