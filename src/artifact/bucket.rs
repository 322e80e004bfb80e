//! Objects in S3, Google Cloud Storage and Azure Blob Storage, with the credentials that the machine has.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use glob::{MatchOptions, Pattern};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use schemars::JsonSchema;

use super::trouble::{Absent, Trouble, innermost, redacted};
use super::world::World;
use super::{Body, Item, Kind, Malformed, Place, Remote, Source, Version, time};
use crate::deliver::environment::Environment;

/// Objects that one pattern may name.
const MOST_OBJECTS: usize = 10_000;
/// The time for one request; longer than the parts of a large object may take, since their rate is watched.
const TIME: (&str, Cow<'static, str>) = ("timeout", Cow::Borrowed("1 hour"));
/// A `*` stands for a part of a name, and not for several folders.
pub(super) const WITHIN_NAMES: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "bucket",
    beginnings: &["s3://", "gs://", "az://"],
    parse: |text| Ok(Box::new(Bucket::parse(text)?)),
    schema: |generator| Bucket::json_schema(generator),
};

/// Objects in Amazon S3, Google Cloud Storage or Azure Blob Storage, and in what speaks as these do.
///
/// # Form
/// `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`; the key may be a glob: `s3://acme/history/month=2026-*/*.parquet`.
///
/// # What it does
/// Lists only the folders that a glob can mean, so a pattern over Hive partitions does not list those that it leaves out,
/// and fetches the objects that the cache does not have. Such folders are columns of the data, as the source `path` tells. The
/// credentials are those of the machine: the variables
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` and `AWS_ENDPOINT_URL`, a web identity
/// or the role of the machine; `GOOGLE_APPLICATION_CREDENTIALS`; `AZURE_STORAGE_ACCOUNT_NAME` with `AZURE_STORAGE_ACCOUNT_KEY`
/// or a federated token. The actions of the three clouds set them from the token of GitHub's OIDC.
///
/// On a pull request, a bucket that the pull request names must be in `policy.allowed_hosts` of the base: `s3://acme`.
///
/// # Identity
/// The address with the version, or the `ETag`, of the object; reading stops when the object is replaced meanwhile.
///
/// # Example
/// ```yaml
/// candidate: { onnx: s3://acme/models/candidate.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct Bucket {
    /// `s3`, `gs` or `az`.
    scheme: String,
    /// The bucket or the container.
    bucket: String,
    /// The key or the glob.
    key: String,
}

impl Bucket {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let parts = text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('/')?)));
        let Some((scheme, (bucket, key))) = parts.filter(|(_, (bucket, key))| !bucket.is_empty() && !key.is_empty())
        else {
            return Err(Malformed::new(format!("`{text}` names no object"), "write `s3://BUCKET/KEY`"));
        };
        if !is_name(bucket) {
            return Err(Malformed::new(format!("`{bucket}` is no name of a bucket"), "write `s3://BUCKET/KEY`"));
        }
        if let Err(error) = Pattern::new(key) {
            return Err(Malformed::new(format!("`{key}` is no glob: {error}"), "correct it"));
        }
        Ok(Self { scheme: scheme.to_owned(), bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The objects that are meant.
    async fn objects(&self, store: &dyn ObjectStore) -> Result<Vec<ObjectMeta>, Error> {
        if !has_wildcard(&self.key) {
            return Ok(vec![store.head(&Path::parse(&self.key)?).await?]);
        }
        let parts = self.key.split('/').collect::<Vec<_>>();
        let (mut folders, mut found) = (vec![String::new()], Vec::new());
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            if *part == "**" {
                return self.below(store, &folders).await;
            }
            if !is_last && !has_wildcard(part) {
                folders.iter_mut().for_each(|folder| *folder = format!("{folder}{part}/"));
                continue;
            }
            let pattern = pattern(part);
            let is_meant = |path: &Path| path.filename().is_some_and(|name| pattern.matches_with(name, WITHIN_NAMES));
            let mut deeper = Vec::new();
            for folder in &folders {
                let listed = store.list_with_delimiter(Some(&Path::parse(folder)?)).await?;
                if is_last {
                    found.extend(listed.objects.into_iter().filter(|object| is_meant(&object.location)));
                } else {
                    deeper.extend(
                        listed.common_prefixes.iter().filter(|path| is_meant(path)).map(|path| format!("{path}/")),
                    );
                }
            }
            folders = deeper;
        }
        Ok(found)
    }

    /// The objects below some folders, however deep, whose whole key fits.
    async fn below(&self, store: &dyn ObjectStore, folders: &[String]) -> Result<Vec<ObjectMeta>, Error> {
        let (pattern, mut found) = (pattern(&self.key), Vec::new());
        for folder in folders {
            let path = Path::parse(folder)?;
            let listed = store.list(Some(&path)).try_filter(|object| {
                let fits = pattern.matches_with(object.location.as_ref(), WITHIN_NAMES);
                std::future::ready(fits)
            });
            found.extend(listed.take(MOST_OBJECTS + 1).try_collect::<Vec<_>>().await?);
        }
        Ok(found)
    }

    /// Whether the bucket is there, and may be looked at.
    async fn is_bucket(&self, store: &dyn ObjectStore) -> Result<bool, Error> {
        let folder = self.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        store.list_with_delimiter(Some(&Path::parse(folder)?)).await.map(|_| true)
    }
}

/// Settings of a bucket by the names that `object_store` has for them.
pub(super) type Settings = [(&'static str, Cow<'static, str>)];

/// A bucket, and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// How its addresses begin: `s3://acme`.
    pub(super) root: String,
    store: Arc<dyn ObjectStore>,
}

impl Store {
    /// A bucket, reached as the variables of the run say, and before them these settings, named as in `object_store`.
    pub(super) fn open(world: &World, scheme: &str, bucket: &str, settings: &Settings) -> Result<Self, Trouble> {
        let retry = RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() };
        let environment = &world.environment;
        let opened = || -> object_store::Result<Arc<dyn ObjectStore>> {
            Ok(match scheme {
                "s3" => {
                    let builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retry);
                    let configured = configuration::<AmazonS3ConfigKey>(environment, "AWS_", settings)?.into_iter();
                    Arc::new(configured.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
                }
                "gs" => {
                    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket).with_retry(retry);
                    if let Some(file) = environment.get("SERVICE_ACCOUNT") {
                        builder = builder.with_service_account_path(file);
                    }
                    let configured = configuration::<GoogleConfigKey>(environment, "GOOGLE_", settings)?.into_iter();
                    Arc::new(configured.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
                }
                _ => {
                    let mut builder = MicrosoftAzureBuilder::new().with_container_name(bucket).with_retry(retry);
                    if let Some(endpoint) = environment.get("IDENTITY_ENDPOINT") {
                        builder = builder.with_msi_endpoint(endpoint);
                    }
                    let configured = configuration::<AzureConfigKey>(environment, "AZURE_", settings)?.into_iter();
                    Arc::new(configured.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
                }
            })
        };
        Ok(Self { root: format!("{scheme}://{bucket}"), store: opened().map_err(trouble)? })
    }

    /// What lies in a folder: the names of the folders in it, and its objects.
    pub(super) async fn list(&self, folder: &str) -> Result<(Vec<String>, Vec<ObjectMeta>), Trouble> {
        let folder = Path::parse(folder).map_err(|error| trouble(error.into()))?;
        let listed = self.store.list_with_delimiter(Some(&folder)).await.map_err(trouble)?;
        let folders = listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        Ok((folders, listed.objects))
    }

    /// An object that was not looked for, whichever version it has.
    pub(super) fn at(&self, key: &str) -> Result<Box<dyn Remote>, Trouble> {
        let location = Path::parse(key).map_err(|error| trouble(error.into()))?;
        Ok(Box::new(Stored { store: Arc::clone(&self.store), location, e_tag: None, version: None }))
    }

    /// An object that was found.
    pub(super) fn item(&self, object: ObjectMeta) -> Item {
        let name = format!("{}/{}", self.root, object.location);
        let version = object.version.as_ref().or(object.e_tag.as_ref());
        let identity = version.map(|version| format!("{name} {version}"));
        let bytes = Some(object.size);
        let told = Version { time: time::of_seconds(object.last_modified.timestamp()), ..Version::default() };
        let ObjectMeta { location, e_tag, version, .. } = object;
        let place = Place::There(Box::new(Stored { store: Arc::clone(&self.store), location, e_tag, version }));
        Item { name, identity, sha256: None, md5: None, bytes, version: told, place }
    }
}

/// What the variables of the run say of a kind of store, and over it these settings. A variable that is no setting is for other
/// programs.
fn configuration<K: FromStr<Err = Error>>(
    environment: &Environment,
    beginning: &str,
    settings: &Settings,
) -> object_store::Result<Vec<(K, String)>> {
    let variables = environment.beginning(beginning);
    let mut found = variables
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.to_owned())))
        .collect::<Vec<_>>();
    for (key, value) in settings.iter().chain(&[TIME]) {
        found.push((key.parse()?, value.as_ref().to_owned()));
    }
    Ok(found)
}

/// Whether a text can be the name of a bucket.
pub(super) fn is_name(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    !text.is_empty() && text.chars().all(is_part)
}

pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A part of a glob that was one when the whole was read; what is none fits nothing.
pub(super) fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_default()
}

#[async_trait]
impl Source for Bucket {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let Self { scheme, bucket, key } = self;
        let root = format!("{scheme}://{bucket}");
        world.reach.ensure_bucket(&root)?;
        let store = Store::open(world, scheme, bucket, &[])?;
        let mut objects = match self.objects(store.store.as_ref()).await {
            // A key that is not there is told from a bucket that is not there by listing.
            Err(Error::NotFound { .. }) if self.is_bucket(store.store.as_ref()).await.map_err(trouble)? => Vec::new(),
            objects => objects.map_err(trouble)?,
        };
        let any = !objects.is_empty();
        objects.retain(|object| object.size > 0);
        ensure!(
            !any || !objects.is_empty(),
            "`{root}/{key}` names objects without a byte only; check what was uploaded"
        );
        if objects.is_empty() {
            return Err(Absent::new(format!("`{root}/{key}` names no object; check the key")).into());
        }
        ensure!(objects.len() <= MOST_OBJECTS, "it names more than {MOST_OBJECTS} objects; write a narrower pattern");
        Ok(objects.into_iter().map(|object| store.item(object)).collect())
    }
}

/// An object, of a version where that is known.
struct Stored {
    store: Arc<dyn ObjectStore>,
    location: Path,
    e_tag: Option<String>,
    version: Option<String>,
}

#[async_trait]
impl Remote for Stored {
    async fn open(&self, from: u64) -> Result<Body, Trouble> {
        let Self { location, e_tag, version, .. } = self;
        let range = (from > 0).then_some(GetRange::Offset(from));
        let options = GetOptions { range, if_match: e_tag.clone(), version: version.clone(), ..GetOptions::default() };
        let got = self.store.get_opts(location, options).await.map_err(trouble)?;
        let (from, bytes) = (got.range.start, Some(got.meta.size));
        Ok(Body { from, bytes, pieces: got.into_stream().map(|piece| piece.map_err(trouble)).boxed() })
    }

    fn is_pinned(&self) -> bool {
        self.e_tag.is_some() || self.version.is_some()
    }
}

fn trouble(error: Error) -> Trouble {
    let innermost = innermost(&error);
    let (status, why) = answered(&innermost).map_or((None, innermost.clone()), |(status, why)| (Some(status), why));
    match (error, status) {
        // Where a list was asked for, only the text says what the answer was.
        (Error::NotFound { .. }, _) | (Error::Generic { .. }, Some(404)) => {
            let remedy = "check the bucket and the key".to_owned();
            Trouble::Nothing { why: redacted(&format!("there is no such object or bucket: {why}")), remedy }
        }
        (Error::Precondition { .. }, _) => {
            Trouble::last("it changed while it was read", "run again, or name a key that stays")
        }
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
        | (Error::Generic { .. }, Some(401 | 403)) => Trouble::last(why, "give this run credentials that may read it"),
        (Error::InvalidPath { .. } | Error::NotImplemented { .. } | Error::NotSupported { .. }, _) => {
            Trouble::last(why, "check the key")
        }
        _ => Trouble::again(why),
    }
}

/// The status that a server answered, and what it said: of XML its message.
fn answered(why: &str) -> Option<(u16, String)> {
    let (status, body) = why.strip_prefix("Server returned non-2xx status code: ")?.split_once(": ")?;
    let message = body.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    let message = message.map_or(body, |(message, _)| message).trim();
    Some((status.split(' ').next()?.parse().ok()?, format!("the server answers {status}: {message}")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::fmt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetResult, ListResult, MultipartUpload, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    };

    use super::*;

    /// A store that counts the folders that are listed.
    #[derive(Debug, Default)]
    struct Counting {
        store: InMemory,
        listed: AtomicUsize,
    }

    impl fmt::Display for Counting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("counting")
        }
    }

    #[async_trait]
    impl ObjectStore for Counting {
        async fn put_opts(
            &self,
            at: &Path,
            payload: PutPayload,
            options: PutOptions,
        ) -> object_store::Result<PutResult> {
            self.store.put_opts(at, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.store.put_multipart_opts(at, options).await
        }

        async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
            self.store.get_opts(at, options).await
        }

        fn delete_stream(
            &self,
            at: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            self.store.delete_stream(at)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.listed.fetch_add(1, Ordering::Relaxed);
            self.store.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
            self.listed.fetch_add(1, Ordering::Relaxed);
            self.store.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
            self.store.copy_opts(from, to, options).await
        }
    }

    async fn found(keys: &[&str], pattern: &str) -> (Vec<String>, usize) {
        let store = Counting::default();
        for key in keys {
            store.store.put(&Path::from(*key), PutPayload::from("x")).await.unwrap();
        }
        let bucket = Bucket::parse(&format!("s3://acme/{pattern}")).unwrap();
        let objects = bucket.objects(&store).await.unwrap();
        let names = objects.iter().map(|object| object.location.to_string()).collect();
        (names, store.listed.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_pattern_lists_only_the_partitions_that_it_means() {
        let keys = ["h/month=2025-12/a.parquet", "h/month=2026-01/a.parquet", "h/month=2026-02/b.parquet", "h/x.csv"];
        let expected = ["h/month=2026-01/a.parquet", "h/month=2026-02/b.parquet"].map(str::to_owned).to_vec();
        // The months, and the two that are meant.
        assert_eq!(found(&keys, "h/month=2026-*/*.parquet").await, (expected, 3));
        assert_eq!(found(&keys, "h/month=2026-0[2]/*").await.0, ["h/month=2026-02/b.parquet"]);
        assert_eq!(found(&keys, "h/*.parquet").await.0, [""; 0]);
        assert_eq!(found(&keys, "h/**/*.parquet").await.0.len(), 3);
        assert_eq!(found(&keys, "h/x.csv").await, (vec!["h/x.csv".to_owned()], 0));
    }

    #[test]
    fn an_address_names_a_bucket_and_a_key() {
        for wrong in ["s3://", "s3://acme", "s3://acme/", "s3:///key", "s3://a@b/key", "s3://acme/["] {
            assert!(Bucket::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_object_that_was_replaced_is_not_read() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let key = Path::from("m.onnx");
        store.put(&key, PutPayload::from("first")).await.unwrap();
        let ObjectMeta { location, e_tag, version, .. } = store.head(&key).await.unwrap();
        let stored = Stored { store: Arc::clone(&store), location, e_tag, version };
        let body = stored.open(2).await.unwrap();
        assert_eq!((body.from, body.bytes), (2, Some(5)));
        store.put(&key, PutPayload::from("other")).await.unwrap();
        let Err(trouble) = stored.open(2).await else { panic!("another object was read") };
        assert!(trouble.to_string().contains("it changed while it was read"), "{trouble}");
    }
}
