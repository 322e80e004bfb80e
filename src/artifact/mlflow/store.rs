//! Where artifacts are: behind the tracking server, in a bucket, or in a folder of this machine.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::{Server, joined};
use crate::artifact::bucket;
use crate::artifact::path::is_inside;
use crate::artifact::trouble::redacted;
use crate::artifact::web::Request;
use crate::artifact::world::World;
use crate::artifact::{Item, Place, Version};
use crate::deliver::github::{parameter, segment};

/// Where a tracking server passes on artifacts.
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// A folder of artifacts, however it is reached.
pub(super) enum Store {
    /// Behind a server.
    Proxy {
        /// The server, with the address of its proxy.
        request: Box<Request>,
        /// The path of the folder.
        root: String,
        /// Whether it is the tracking server itself.
        is_known: bool,
    },
    /// In a bucket.
    Bucket {
        /// The bucket.
        store: bucket::Store,
        /// The key of the folder.
        root: String,
    },
    /// On this machine.
    Here(PathBuf),
}

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_folder: bool,
    bytes: Option<u64>,
    object: Option<object_store::ObjectMeta>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listed {
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    is_dir: bool,
    file_size: Option<u64>,
}

impl Server {
    /// The store of an artifact URI that the server gives.
    pub(super) fn store(&self, world: &World, uri: &str) -> Result<Store> {
        let shown = redacted(uri);
        let (scheme, rest) = uri.split_once(':').unwrap_or(("file", uri));
        let rest = if uri.starts_with('/') { uri } else { rest };
        let inside = |key: &str| {
            let key = key.trim_matches('/').to_owned();
            ensure!(key.is_empty() || is_inside(&key), "the server leads to `{shown}`, which leads elsewhere");
            Ok(key)
        };
        match scheme {
            "mlflow-artifacts" => {
                let (url, root) = match rest.strip_prefix("//") {
                    Some(rest) => {
                        let (host, root) = rest.split_once('/').unwrap_or((rest, ""));
                        (format!("{}://{host}{PROXY}", self.url.scheme()), root)
                    }
                    None => (format!("{}{PROXY}", self.url.as_str().trim_end_matches('/')), rest),
                };
                self.proxy(&url, inside(root)?)
            }
            "http" | "https" => {
                let found = uri.split_once(PROXY);
                let (server, root) =
                    found.with_context(|| format!("the server leads to `{shown}`, which is no store"))?;
                self.proxy(&format!("{server}{PROXY}"), inside(root)?)
            }
            "s3" | "gs" => {
                let (name, key) = rest.trim_start_matches('/').split_once('/').unwrap_or((rest, ""));
                Ok(Store::Bucket { store: bucket::Store::open(world, scheme, name, &[])?, root: inside(key)? })
            }
            "wasb" | "wasbs" | "abfs" | "abfss" | "az" => {
                let (place, key) = rest.trim_start_matches('/').split_once('/').unwrap_or((rest, ""));
                let (name, host) = place.split_once('@').unwrap_or((place, ""));
                let account = host.split('.').next().filter(|account| !account.is_empty());
                let settings = account.map(|account| ("azure_storage_account_name", Cow::Owned(account.to_owned())));
                let settings = settings.into_iter().collect::<Vec<_>>();
                Ok(Store::Bucket { store: bucket::Store::open(world, "az", name, &settings)?, root: inside(key)? })
            }
            "file" => {
                let folder = rest.strip_prefix("//").unwrap_or(rest);
                world.reach.ensure_file(folder, folder.as_ref())?;
                Ok(Store::Here(folder.into()))
            }
            _ => bail!(
                "the server leads to `{shown}`, which is not read here; serve artifacts through the tracking server"
            ),
        }
    }

    /// What is behind a proxy. The credentials are for the tracking server only.
    fn proxy(&self, url: &str, root: String) -> Result<Store> {
        let parsed = Url::parse(url);
        let url = parsed.with_context(|| format!("the server leads to `{}`, which is no address", redacted(url)))?;
        let is_known = url.origin() == self.url.origin();
        let credentials = if is_known { self.credentials.clone() } else { HeaderMap::new() };
        Ok(Store::Proxy { request: Box::new(Request { credentials, ..Request::get(url) }), root, is_known })
    }
}

impl Store {
    /// What is in a folder, in the order of the names; nothing where there is no folder.
    pub(super) async fn list(&self, world: &World, folder: &str) -> Result<Vec<Entry>> {
        let mut entries = match self {
            Self::Proxy { request, root, is_known } => {
                let mut request = request.as_ref().clone();
                request.url.set_query(Some(&format!("path={}", parameter(&joined(root, folder)))));
                let listed = world.json::<Listed>(request, *is_known).await?;
                let files = listed.files.into_iter().map(|file| {
                    let File { path: name, is_dir: is_folder, file_size: bytes } = file;
                    Entry { name, is_folder, bytes, object: None }
                });
                files.collect::<Vec<_>>()
            }
            Self::Bucket { store, root } => {
                let (folders, objects) = store.list(&joined(root, folder)).await?;
                let folders =
                    folders.into_iter().map(|name| Entry { name, is_folder: true, bytes: None, object: None });
                let objects = objects.into_iter().filter_map(|object| {
                    let name = object.location.filename()?.to_owned();
                    Some(Entry { name, is_folder: false, bytes: Some(object.size), object: Some(object) })
                });
                folders.chain(objects).collect()
            }
            Self::Here(root) => of_folder(&root.join(folder))?,
        };
        let wrong = entries.iter().find(|entry| !is_inside(&entry.name) || entry.name.contains('/'));
        ensure!(wrong.is_none(), "the store lists {wrong:?}, which is no name of a file");
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// A file, with what tells that its bytes are still the same where the store itself does not say it.
    pub(super) fn item(&self, world: &World, path: &str, entry: &Entry, version: Option<&str>) -> Result<Item> {
        let identity = |place: &str| version.map(|version| format!("{place} {version} {:?}", entry.bytes));
        let item = |name: String, place| Item {
            identity: identity(&name),
            name,
            sha256: None,
            md5: None,
            bytes: entry.bytes,
            version: Version::default(),
            place,
        };
        Ok(match (self, &entry.object) {
            (Self::Bucket { store, .. }, Some(object)) => store.item(object.clone()),
            (Self::Here(root), _) => {
                let file = root.join(path);
                let name = file.to_str().with_context(|| format!("`{}` is no path in UTF-8", file.display()))?;
                world.reach.ensure_file(name, &file)?;
                item(name.to_owned(), Place::Here(file))
            }
            (Self::Proxy { request, root, is_known }, _) => {
                let mut request = request.as_ref().clone();
                let path = joined(root, path).split('/').map(segment).collect::<Vec<_>>().join("/");
                request.url.set_path(&format!("{}/{path}", request.url.path()));
                let name = redacted(request.url.as_str());
                item(name, Place::There(Box::new(world.web.location(request, *is_known))))
            }
            (Self::Bucket { .. }, None) => bail!("`{path}` is a folder; name a file"),
        })
    }
}

fn of_folder(folder: &std::path::Path) -> Result<Vec<Entry>> {
    let Ok(entries) = folder.read_dir() else { return Ok(Vec::new()) };
    let unread = || format!("`{}` cannot be read", folder.display());
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.with_context(unread)?;
        let (facts, name) = (entry.metadata().with_context(unread)?, entry.file_name());
        let name = name.into_string().ok().context("a name is not in UTF-8").with_context(unread)?;
        Ok(Entry { name, is_folder: facts.is_dir(), bytes: Some(facts.len()), object: None })
    };
    entries.map(entry).collect()
}
