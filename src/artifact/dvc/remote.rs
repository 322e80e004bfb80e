//! Where DVC keeps the bytes: its cache in the checkout, and a remote.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use reqwest::Url;

use super::checkout::Checkout;
use super::config::Config;
use super::pointer::Object;
use crate::artifact::path::is_inside;
use crate::artifact::trouble::{Trouble, redacted};
use crate::artifact::web::{self, Request, Web};
use crate::artifact::world::World;
use crate::artifact::{Body, Place, Remote, bucket};

/// What is there whatever the remote is.
const FETCH: &str = "run `dvc fetch` in a step before";

/// Where the objects of a repository are.
pub(super) struct Storage<'w> {
    checkout: &'w Checkout,
    world: &'w World,
    config: Config,
    /// The remote, by its name.
    remote: Option<String>,
    /// It is opened when something is not in the cache.
    opened: OnceLock<Opened>,
}

/// A remote.
enum Opened {
    Bucket {
        store: bucket::Store,
        /// The key that those of objects begin with.
        root: String,
    },
    Server {
        web: Box<Web>,
        url: Url,
    },
    Folder(PathBuf),
}

impl<'w> Storage<'w> {
    /// The storage of a repository, with its own remote or another one.
    pub(super) fn new(checkout: &'w Checkout, remote: Option<&str>, world: &'w World) -> Result<Self> {
        let config = Config::of(checkout)?;
        let remote = remote.or_else(|| config.get("core", "remote")).map(str::to_lowercase);
        Ok(Self { checkout, world, config, remote, opened: OnceLock::new() })
    }

    /// A text that tells an object from all others.
    pub(super) fn identity(&self, object: &Object) -> String {
        let url =
            self.setting("url").map_or_else(String::new, |url| format!("{}/", redacted(url.trim_end_matches('/'))));
        format!("dvc:{url}{}", key(object))
    }

    /// Where an object is.
    pub(super) fn place(&self, object: &Object) -> Result<Place> {
        let (key, reach) = (key(object), &self.checkout.reach);
        let cache = self.checkout.root.join(".dvc").join(self.config.get("cache", "dir").unwrap_or("cache"));
        let cached = cache.join(&key);
        // A cache that a pull request may not name is none.
        if cached.is_file() && reach.ensure_file(&key, &cached).is_ok() {
            return Ok(Place::Here(cached));
        }
        let name = self.remote.as_deref().with_context(|| {
            format!("the cache of DVC does not have it, and the repository has no default remote; {FETCH}, or `dvc remote default`")
        })?;
        let opened = match self.opened.get() {
            Some(opened) => opened,
            None => {
                let opened = self.open().with_context(|| format!("the remote `{name}` of DVC cannot be read"))?;
                self.opened.get_or_init(|| opened)
            }
        };
        let remedy = format!("the remote `{name}` does not have it: run `dvc push` where the file is");
        let there = |remote| Place::There(Box::new(Pushed { remote, remedy: remedy.clone() }));
        Ok(match opened {
            Opened::Bucket { store, root } => there(store.at(&format!("{root}{key}"))?),
            Opened::Server { web, url } => {
                let mut url = url.clone();
                url.set_path(&format!("{}/{key}", url.path().trim_end_matches('/')));
                there(Box::new(web.location(Request::get(url), false)))
            }
            Opened::Folder(folder) => {
                let file = folder.join(&key);
                ensure!(file.is_file(), "there is no `{}`; {remedy}", file.display());
                reach.ensure_file(&key, &file)?;
                Place::Here(file)
            }
        })
    }

    /// What the configuration says of the remote.
    fn setting(&self, key: &str) -> Option<&str> {
        self.config.of_remote(self.remote.as_deref()?, key)
    }

    fn open(&self) -> Result<Opened> {
        let url = self.setting("url").context("`.dvc/config` has no such remote, or no `url` of it; correct it")?;
        for layout in ["version_aware", "worktree"] {
            let is_so = self.setting(layout).is_some_and(|value| value.eq_ignore_ascii_case("true"));
            ensure!(
                !is_so,
                "it is `{layout}`, so that it has files and no objects; name them there, `s3://BUCKET/KEY`"
            );
        }
        match url.split_once("://") {
            Some((scheme @ ("s3" | "gs" | "azure"), rest)) => self.bucket(scheme, rest),
            Some(("http" | "https", _)) => {
                let url = web::address(url).map_err(|wrong| Trouble::last(wrong.message, wrong.remedy))?;
                Ok(Opened::Server { web: Box::new(Web::new(self.checkout.reach.clone())), url })
            }
            Some((scheme, _)) => bail!("it is on `{scheme}://`, which is not read here; {FETCH}"),
            None => Ok(Opened::Folder(self.checkout.root.join(".dvc").join(url))),
        }
    }

    fn bucket(&self, scheme: &str, rest: &str) -> Result<Opened> {
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = key.trim_matches('/');
        let is_right = bucket::is_name(name) && (key.is_empty() || is_inside(key));
        ensure!(is_right, "its `url` names no folder of a bucket; correct it");
        let scheme = if scheme == "azure" { "az" } else { scheme };
        self.checkout.reach.ensure_bucket(&format!("{scheme}://{name}"))?;
        let mut settings = Vec::new();
        let mut set = |key, value: &str| settings.push((key, Cow::Owned(value.to_owned())));
        match scheme {
            "s3" => {
                if let Some(endpoint) = self.setting("endpointurl") {
                    let url = web::address(endpoint).map_err(|wrong| Trouble::last(wrong.message, wrong.remedy))?;
                    self.checkout.reach.ensure_endpoint(&url)?;
                    set("aws_endpoint", endpoint);
                    set("allow_http", if url.scheme() == "http" { "true" } else { "false" });
                }
                self.setting("region").iter().for_each(|region| set("aws_region", region));
            }
            "az" => {
                if let Some(account) = self.setting("account_name") {
                    self.ensure_account(account)?;
                    set("azure_storage_account_name", account);
                }
            }
            // A token of the machine would be sent there.
            _ => {
                ensure!(self.setting("endpointurl").is_none(), "it has an `endpointurl`, which is for `s3://`; {FETCH}")
            }
        }
        let root = if key.is_empty() { String::new() } else { format!("{key}/") };
        Ok(Opened::Bucket { store: bucket::Store::open(self.world, scheme, name, &settings)?, root })
    }

    /// Refuses an account that is neither the machine's nor allowed.
    fn ensure_account(&self, account: &str) -> Result<()> {
        let is_name = account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ensure!(is_name, "`{account}` is no account; correct `account_name`");
        if self.world.environment.get("AZURE_STORAGE_ACCOUNT_NAME") == Some(account) {
            return Ok(());
        }
        let host = Url::parse(&format!("https://{account}.blob.core.windows.net"))?;
        Ok(self.checkout.reach.ensure_endpoint(&host)?)
    }
}

/// Where an object lies, in the cache and on every remote.
fn key(object: &Object) -> String {
    let Object { md5, is_folder, is_of_dvc_2, .. } = object;
    let (layout, ending) = (if *is_of_dvc_2 { "" } else { "files/md5/" }, if *is_folder { ".dir" } else { "" });
    format!("{layout}{}/{}{ending}", &md5[..2], &md5[2..])
}

/// An object that the remote has, if it was pushed.
struct Pushed {
    remote: Box<dyn Remote>,
    remedy: String,
}

#[async_trait]
impl Remote for Pushed {
    async fn open(&self, from: u64) -> Result<Body, Trouble> {
        self.remote.open(from).await.map_err(|trouble| match trouble {
            Trouble::Nothing { why, .. } => Trouble::Last { why, remedy: self.remedy.clone() },
            trouble => trouble,
        })
    }

    fn is_pinned(&self) -> bool {
        self.remote.is_pinned()
    }
}
