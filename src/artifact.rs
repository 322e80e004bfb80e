//! Where models and data come from, and what they are: bytes with a digest.
//!
//! A source is one file below `artifact`, and one line in [`SOURCES`]: it reads its short form, and finds the files that are
//! meant now, each with an identity that never means other bytes. [`world`] fetches what is not there yet, [`fetch`] the
//! one way in which bytes come over a network, and [`cache`] keeps them. [`reach`] says what a pull request may name.

use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use self::trouble::{Trouble, redacted};
use self::world::World;

mod actions;
mod bucket;
pub mod cache;
pub mod digest;
mod dvc;
pub(crate) mod endpoint;
pub mod fetch;
pub(crate) mod git;
mod github;
mod hub;
mod md5;
pub(crate) mod mlflow;
pub mod path;
pub mod reach;
mod release;
pub mod time;
pub mod trouble;
mod unpack;
mod version;
pub mod web;
pub mod world;

/// Every kind of source, in the order of the docs.
pub static SOURCES: &[Kind] =
    &[path::KIND, git::KIND, release::KIND, actions::KIND, web::KIND, bucket::KIND, dvc::KIND, mlflow::KIND, hub::KIND];

/// What separates a source from the digest that it is pinned to.
const PIN: &str = "@sha256:";

/// A kind of source.
pub struct Kind {
    /// Its name: of its page, and in messages.
    pub name: &'static str,
    /// How its short form begins; a path has no such beginning.
    pub beginnings: &'static [&'static str],
    /// Reads the short form.
    pub parse: fn(&str) -> Result<Box<dyn Source>, Malformed>,
    /// Its page: the doc comment of the type that implements it.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A place where models and data come from. Its doc comment is the page of the docs.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// The files that are meant now, none of them fetched.
    ///
    /// # Errors
    /// When there are none, or they cannot be looked for.
    async fn find(&self, world: &World) -> Result<Vec<Item>>;
}

/// A file that was found.
pub struct Item {
    /// What it is called, without anything secret. Files are read in the order of their names.
    pub name: String,
    /// A text that never means other bytes: a commit and a path, an address with the server's tag of its version.
    pub identity: Option<String>,
    /// The digest that its bytes must have, where the source says it.
    pub sha256: Option<String>,
    /// The MD5 that its bytes must have, where that is what the source says. It is no proof against malice.
    pub md5: Option<md5::Expected>,
    /// How large it is, where the source says it.
    pub bytes: Option<u64>,
    /// Which version it is, where the source has versions.
    pub version: Version,
    /// Where it is.
    pub place: Place,
}

/// Which version of a file was found, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Version {
    /// What it is called: `release v1.3.0`, `commit 9f86d081884c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// When it was made, as its keeper says: an instant of [`time`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Why it is this one, where the source chose: `latest release below v1.4.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Version {
    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a file is.
pub enum Place {
    /// On this machine.
    Here(PathBuf),
    /// Elsewhere.
    There(Box<dyn Remote>),
    /// In an archive.
    Packed(Archive),
}

/// A zip archive, and what is meant of it.
pub struct Archive {
    /// The archive.
    pub item: Box<Item>,
    /// The file within it; without a name, the only one.
    pub file: Option<String>,
}

/// A file elsewhere, which can be read from any byte on.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Begins to read.
    ///
    /// # Errors
    /// [`Trouble`]; also when the file is no longer the one that was found.
    async fn open(&self, from: u64) -> Result<Body, Trouble>;

    /// Whether what is read later belongs to what was read before, by a version that the server holds on to.
    fn is_pinned(&self) -> bool;
}

/// What is read of a file.
pub struct Body {
    /// The first byte; zero where the server does not give a part.
    pub from: u64,
    /// How large the whole file is.
    pub bytes: Option<u64>,
    /// The bytes.
    pub pieces: BoxStream<'static, Result<Bytes, Trouble>>,
}

/// A source as it is written, perhaps pinned to a digest: `release:v1.4.0/model.onnx@sha256:9f86...`.
#[derive(Debug)]
pub struct Written {
    /// The text, without anything secret.
    pub shown: String,
    /// The source.
    pub source: Box<dyn Source>,
    /// The digest that it must have: of the file, or of the list of digests of several.
    pub pin: Option<String>,
}

/// What is wrong with a source as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub remedy: String,
}

impl Malformed {
    /// What is wrong, and what to write.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: redacted(&message.into()), remedy: remedy.into() }
    }
}

impl Written {
    /// Reads a source.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (source, pin) = split(text);
        if pin.is_some_and(|pin| !path::is_sha256(pin)) {
            return Err(Malformed::new("a SHA-256 has 64 hexadecimal digits", "write `SOURCE@sha256:DIGEST`"));
        }
        Ok(Self { shown: redacted(text), source: (kind(source)?.parse)(source)?, pin: pin.map(str::to_lowercase) })
    }
}

/// The path that a source ends with, without its pin and its query, by whose ending the form of the file is told.
#[must_use]
pub fn file_name(text: &str) -> &str {
    let (source, _) = split(text);
    if source.contains("://") { source.split(['?', '#']).next().unwrap_or_default() } else { source }
}

/// Whether a source is pinned to a digest.
#[must_use]
pub fn is_pinned(text: &str) -> bool {
    split(text).1.is_some()
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once(PIN).map_or((text, None), |(source, pin)| (source, Some(pin)))
}

fn kind(source: &str) -> Result<&'static Kind, Malformed> {
    let begins = |kind: &&Kind| kind.beginnings.iter().any(|beginning| source.starts_with(beginning));
    if let Some(kind) = SOURCES.iter().find(begins) {
        return Ok(kind);
    }
    let is_scheme = |scheme: &str| scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_lowercase());
    match source.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => {
            let known = SOURCES.iter().flat_map(|kind| kind.beginnings).copied().collect::<Vec<_>>();
            let schemes = known.iter().map(|beginning| beginning.split(':').next().unwrap_or_default());
            let remedy = match crate::spec::problem::nearest(scheme, schemes) {
                Some(near) => format!("did you mean `{near}:`? A path with a colon begins with `./`"),
                None => format!("there are a path, {}; a path with a colon begins with `./`", known.join(", ")),
            };
            Err(Malformed::new(format!("`{scheme}:` is no source"), remedy))
        }
        _ => Ok(&path::KIND),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn wrong(text: &str) -> Malformed {
        Written::parse(text).err().unwrap_or_else(|| panic!("`{text}` was read"))
    }

    #[test]
    fn sources_are_told_by_how_they_begin() {
        for (text, expected) in [
            ("models/m.onnx", "path"),
            ("./odd:name.onnx", "path"),
            ("data/month=*/*.parquet", "path"),
            ("git:main:models/m.onnx", "git"),
            ("release:v1.4.0/m.onnx", "release"),
            ("actions:train.yml/model/m.onnx@main", "actions"),
            ("https://acme.com/m.onnx", "https"),
            ("s3://acme/m.onnx", "bucket"),
            ("dvc:models/m.onnx", "dvc"),
            ("mlflow:models:/delays@champion", "mlflow"),
            ("hf:acme/delays@main/m.onnx", "hf"),
        ] {
            assert_eq!(kind(text).unwrap().name, expected, "{text}");
        }
        assert!(wrong("relase:v1/m").remedy.contains("did you mean `release:`?"));
        assert!(wrong("ftp://acme.com/m").message.contains("`ftp:` is no source"));
    }

    #[test]
    fn a_pin_is_a_digest() {
        let text = format!("https://me:secret@acme.com/m?sig=secret{PIN}{}", DIGEST.to_uppercase());
        let written = Written::parse(&text).unwrap();
        assert_eq!(written.pin.as_deref(), Some(DIGEST));
        assert!(!format!("{} {}", written.shown, wrong(&text[..text.len() - 1]).message).contains("secret"));
        assert_eq!(file_name(&text), "https://me:secret@acme.com/m");
        assert_eq!(file_name("a?.parquet"), "a?.parquet");
    }
}
