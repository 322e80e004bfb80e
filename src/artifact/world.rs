//! From what is written to files that can be read: found, fetched where they are not here, verified, and held until the
//! run ends.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::cache::{self, Content, Folder};
use super::digest::Digest;
use super::fetch::{self, Limits, Transfers};
use super::github::Repository;
use super::reach::Reach;
use super::trouble::{Trouble, redacted};
use super::web::{Request, Web};
use super::{Archive, Item, Place, Remote, Version, Written, path, unpack};
use crate::deliver::environment::Environment;

/// Files that are fetched at the same time.
const AT_ONCE: usize = 4;
/// The bytes that a server may answer when it is asked where files are.
const MOST_ANSWER: u64 = 16 << 20;

/// What sources need to find their files, and where these are kept.
pub struct World {
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// What may be reached.
    pub reach: Reach,
    /// Servers.
    pub web: Web,
    /// Whether what is named is the baseline, which must not be what is under test.
    pub(super) is_of_baseline: bool,
    /// How the machine is set up.
    pub(super) environment: Environment,
    repository: OnceCell<Repository>,
    shelf: Arc<Shelf>,
    pub(super) limits: Limits,
    transfers: Arc<Transfers>,
}

/// Where fetched files are kept, and those that this run holds on to.
#[derive(Debug, Default)]
pub struct Shelf {
    cache: Option<Arc<Folder>>,
    held: OnceLock<Held>,
}

/// Files that others may remove from the folder while the run reads them here.
#[derive(Debug)]
struct Held {
    links: TempDir,
    folder: Arc<Folder>,
    /// What the folder had when this run first looked, and what this run has fetched since: a pattern may name thousands.
    names: Mutex<BTreeSet<String>>,
    /// The folder of a run without a cache. It goes last.
    _alone: Option<TempDir>,
}

/// Files that are here, in the order of their names.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What they are called, for people: a file that was fetched by its source.
    pub names: Vec<String>,
    /// The digest of the file, or of the list of digests of several.
    pub sha256: Digest,
    /// What was found elsewhere.
    pub found: Vec<Found>,
}

/// A file that was found elsewhere, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Found {
    /// What it is called.
    pub name: String,
    /// What never means other bytes: a commit, an asset, an address with the server's tag of its version. Nothing where
    /// the server has none.
    pub identity: Option<String>,
    /// Its digest.
    pub sha256: String,
    /// Which version it is, where the source has versions.
    #[serde(default, skip_serializing_if = "Version::is_unknown")]
    pub version: Version,
}

/// A file that is here.
pub(crate) struct One {
    name: PathBuf,
    /// Where it is.
    pub(crate) file: PathBuf,
    /// Its digest.
    pub(crate) sha256: Digest,
    /// What it was found as, where it was elsewhere.
    pub(crate) found: Option<Found>,
}

impl Shelf {
    /// A place for what is fetched: the cache, or without one a folder that is gone when the run ends.
    #[must_use]
    pub fn new(cache: Option<Arc<Folder>>) -> Self {
        Self { cache, held: OnceLock::new() }
    }

    fn held(&self) -> Result<&Held> {
        if let Some(held) = self.held.get() {
            return Ok(held);
        }
        let (folder, alone) = match &self.cache {
            Some(folder) => (Arc::clone(folder), None),
            None => {
                let alone = TempDir::new().context("no temporary folder for what is fetched")?;
                (Arc::new(Folder::open(alone.path(), u64::MAX)?), Some(alone))
            }
        };
        let links = folder.holding()?;
        let names = folder.names()?.into_iter().filter(|name| cache::holds(name, Content::Fetched)).collect();
        Ok(self.held.get_or_init(|| Held { links, folder, names: Mutex::new(names), _alone: alone }))
    }
}

impl Held {
    /// What the folder has of an origin, or with a digest.
    fn find(&self, origin: Option<&str>, sha256: Option<&str>) -> Result<Option<(PathBuf, String)>> {
        let names = self.meant(origin, sha256);
        for (name, content) in names.iter().filter_map(|name| Some((name, cache::digests(name)?.1))) {
            if let Some(link) = self.take(name)? {
                return Ok(Some((link, content.to_owned())));
            }
        }
        Ok(None)
    }

    /// The names of files with a digest, or else of an origin, with which names begin.
    fn meant(&self, origin: Option<&str>, sha256: Option<&str>) -> Vec<String> {
        let names = self.names();
        match (sha256, origin) {
            (Some(sha256), _) => {
                let is_meant = |name: &&String| cache::digests(name).is_some_and(|(_, content)| content == sha256);
                names.iter().filter(is_meant).cloned().collect()
            }
            (None, Some(origin)) => {
                let from = names.range(origin.to_owned()..);
                from.take_while(|name| name.starts_with(origin)).cloned().collect()
            }
            (None, None) => Vec::new(),
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a file that is whole in the folder, and holds on to it.
    fn keep(&self, item: &Item, file: NamedTempFile, sha256: String) -> Result<(PathBuf, String)> {
        // Without an identity it is found by its digest only.
        let origin = item.identity.as_deref().map_or_else(|| sha256.clone(), origin);
        let kept = self.folder.keep(file, &origin, &sha256, Content::Fetched);
        let (name, _) = kept.with_context(|| self.folder.cannot_be_written())?;
        self.names().insert(name.clone());
        let link = self.take(&name)?.context("another program removed it as soon as it was here; run again")?;
        Ok((link, sha256))
    }

    /// Holds on to a file of the folder that is whole; one that is not is removed.
    fn take(&self, name: &str) -> Result<Option<PathBuf>> {
        let link = self.links.path().join(name);
        if link.exists() {
            return Ok(Some(link));
        }
        let file = self.folder.path(name);
        // Another run may have removed it just now.
        if fs::hard_link(&file, &link).or_else(|_| fs::copy(&file, &link).map(|_| ())).is_err() {
            return Ok(None);
        }
        if cache::ensure_whole(&File::open(&link)?, name).is_err() {
            self.folder.remove(name);
            fs::remove_file(&link)?;
            return Ok(None);
        }
        Ok(Some(link))
    }
}

impl World {
    /// What sources of a spec in this folder may reach.
    #[must_use]
    pub fn new(folder: &Path, reach: Reach, shelf: &Arc<Shelf>, transfers: &Arc<Transfers>) -> Self {
        Self {
            folder: folder.to_owned(),
            web: Web::new(reach.clone()),
            reach,
            is_of_baseline: false,
            environment: Environment::of_process(),
            repository: OnceCell::new(),
            shelf: Arc::clone(shelf),
            limits: Limits::default(),
            transfers: Arc::clone(transfers),
        }
    }

    /// The same for the baseline.
    #[must_use]
    pub fn of_baseline(self) -> Self {
        Self { is_of_baseline: true, ..self }
    }

    /// The same with other limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same on a machine that is set up by these variables.
    #[must_use]
    pub fn on(self, environment: Environment) -> Self {
        Self { environment, ..self }
    }

    /// The repository on GitHub.
    pub(super) async fn repository(&self) -> Result<&Repository> {
        self.repository.get_or_try_init(async || Repository::connect(&self.folder, self.environment.clone())).await
    }

    /// Asks a server for a short answer, again where it is busy.
    pub(super) async fn ask<T, F>(&self, once: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        fetch::ask(&self.limits, once).await
    }

    /// What a server says of its files; it is known where the machine is set up for it.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request, is_known: bool) -> Result<T> {
        let name = redacted(request.url.as_str());
        let place = Place::There(Box::new(self.web.location(request, is_known)));
        let version = Version::default();
        let answer = Item { name: name.clone(), identity: None, sha256: None, md5: None, bytes: None, version, place };
        let bytes = self.read(answer, MOST_ANSWER).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("`{name}` does not answer as such a server does"))
    }

    /// The bytes of a small file that says what others are. It is kept only where it has an identity.
    pub(super) async fn read(&self, item: Item, most: u64) -> Result<Vec<u8>> {
        let limits = Limits { bytes: most, ..self.limits.clone() };
        let name = item.name.clone();
        let mut file = match &item.place {
            Place::There(remote) if item.identity.is_none() => {
                let mut file = tempfile::tempfile().context("no temporary file for what is asked for")?;
                let fetched = fetch::fetch(&item, remote.as_ref(), &mut file, &limits, &Transfers::default()).await;
                fetched.with_context(|| format!("`{name}` cannot be read"))?;
                file.rewind()?;
                file
            }
            _ => File::open(self.here(item, &limits).await?.file)?,
        };
        let mut bytes = Vec::new();
        (&mut file).take(most + 1).read_to_end(&mut bytes).with_context(|| format!("`{name}` cannot be read"))?;
        ensure!(bytes.len() as u64 <= most, "`{name}` has more than {most} bytes, which is too many for what it is");
        Ok(bytes)
    }

    /// The files that some sources name.
    ///
    /// # Errors
    /// When one names none, cannot be reached, may not be, or is not what it is pinned to.
    pub async fn obtain(&self, texts: &[String]) -> Result<Obtained> {
        let mut all = Vec::new();
        for text in texts {
            let written = Written::parse(text).map_err(|wrong| anyhow!("{}; {}", wrong.message, wrong.remedy))?;
            all.extend(self.files(&written).await.with_context(|| format!("`{}` cannot be had", written.shown))?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        let found = all.iter().filter_map(|one| one.found.clone()).collect();
        let names = all.iter().map(|one| one.name.display().to_string()).collect();
        Ok(Obtained { sha256: digest_of(&all), files: all.into_iter().map(|one| one.file).collect(), names, found })
    }

    /// Lays files out in a folder of this run, each in one that is named; the folder, and the files in the order of their
    /// paths in it.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn laid_out(&self, files: &[PathBuf], folders: &[PathBuf]) -> Result<(PathBuf, Vec<PathBuf>)> {
        let held = self.shelf.held()?;
        let root =
            tempfile::Builder::new().tempdir_in(held.links.path()).with_context(|| held.folder.cannot_be_written())?;
        // It goes with all that is held.
        let root = std::path::absolute(root.keep())?;
        let mut laid = Vec::new();
        for (number, (file, folder)) in files.iter().zip(folders).enumerate() {
            let (folder, file) = (root.join(folder), std::path::absolute(file)?);
            let link = folder.join(format!("{number:08}.parquet"));
            let linked = fs::create_dir_all(&folder)
                .and_then(|()| fs::hard_link(&file, &link).or_else(|_| std::os::unix::fs::symlink(&file, &link)));
            linked.with_context(|| held.folder.cannot_be_written())?;
            laid.push(link);
        }
        laid.sort();
        Ok((root, laid))
    }

    async fn files(&self, written: &Written) -> Result<Vec<One>> {
        if let Some(one) = self.pinned(written)? {
            return Ok(vec![one]);
        }
        let mut items = match written.source.find(self).await {
            // What somebody has pinned was there once.
            Err(error) if written.pin.is_some() => return Err(anyhow!("{error:#}")),
            items => items?,
        };
        if let ([item], Some(pin)) = (items.as_mut_slice(), &written.pin) {
            let agree = item.sha256.as_ref().is_none_or(|sha256| sha256 == pin);
            ensure!(agree, "it is pinned to another SHA-256 than the one it has now; correct the pin, or name another");
            if !matches!(item.place, Place::Here(_)) {
                item.sha256 = Some(pin.clone());
                // The same whether it is fetched or not, so that records are.
                (item.name, item.identity) = (written.shown.clone(), Some(format!("sha256:{pin}")));
                item.version = Version::default();
            }
        }
        let here = self.all(items).await?;
        if let Some(pin) = &written.pin {
            let sha256 = digest_of(&here).find().await?;
            ensure!(
                sha256 == *pin,
                "its SHA-256 is {sha256} and it is pinned to {pin}; correct the pin, or name another"
            );
        }
        Ok(here)
    }

    /// All of some files, in their order.
    ///
    /// # Errors
    /// When one cannot be had, or is not what it must be.
    pub(crate) async fn all(&self, items: Vec<Item>) -> Result<Vec<One>> {
        let here = stream::iter(items).map(|item| self.here(item, &self.limits));
        here.buffered(AT_ONCE).try_collect().await
    }

    /// What the cache has of a digest needs no network.
    fn pinned(&self, written: &Written) -> Result<Option<One>> {
        let (Some(pin), Some(_)) = (&written.pin, &self.shelf.cache) else { return Ok(None) };
        let Some((file, sha256)) = self.shelf.held()?.find(None, Some(pin))? else { return Ok(None) };
        let name = written.shown.clone();
        let (identity, version) = (Some(format!("sha256:{pin}")), Version::default());
        let found = Found { name: name.clone(), identity, sha256: sha256.clone(), version };
        Ok(Some(One { name: name.into(), file, sha256: sha256.into(), found: Some(found) }))
    }

    async fn here(&self, item: Item, limits: &Limits) -> Result<One> {
        let (file, sha256) = match (self.kept(&item)?, &item.place) {
            (_, Place::Here(file)) => return local(&item, file).await,
            (Some(kept), _) => kept,
            (None, Place::Packed(archive)) => self.unpack(&item, archive, limits).await?,
            (None, Place::There(remote)) => {
                let fetched = self.fetch(&item, remote.as_ref(), limits).await;
                fetched.with_context(|| format!("`{}` cannot be fetched", item.name))?
            }
        };
        let Item { name, identity, version, .. } = item;
        let found = Found { name: name.clone(), identity, sha256: sha256.clone(), version };
        Ok(One { name: name.into(), file, sha256: sha256.into(), found: Some(found) })
    }

    /// What an earlier run has fetched.
    fn kept(&self, item: &Item) -> Result<Option<(PathBuf, String)>> {
        let origin = item.identity.as_deref().map(origin);
        if origin.is_none() && item.sha256.is_none() {
            return Ok(None);
        }
        self.shelf.held()?.find(origin.as_deref(), item.sha256.as_deref())
    }

    async fn fetch(&self, item: &Item, remote: &dyn Remote, limits: &Limits) -> Result<(PathBuf, String)> {
        let held = self.shelf.held()?;
        let mut file = held.folder.unfinished().with_context(|| held.folder.cannot_be_written())?;
        let sha256 = fetch::fetch(item, remote, file.as_file_mut(), limits, &self.transfers).await?;
        held.keep(item, file, sha256)
    }

    /// Unpacks a file of an archive, which is fetched and verified first.
    async fn unpack(&self, item: &Item, archive: &Archive, limits: &Limits) -> Result<(PathBuf, String)> {
        let held = self.shelf.held()?;
        let (packed, remote) = match &archive.item.place {
            Place::There(remote) => (&archive.item, remote),
            _ => bail!("`{}` is in an archive that is not elsewhere", item.name),
        };
        let packed_file = match self.kept(packed)? {
            Some((file, _)) => file,
            None => {
                let fetched = self.fetch(packed, remote.as_ref(), limits).await;
                fetched.with_context(|| format!("`{}` cannot be fetched", packed.name))?.0
            }
        };
        let (opened, mut file) = (File::open(packed_file)?, held.folder.unfinished()?);
        let mut to = file.as_file_mut().try_clone()?;
        let (name, most) = (archive.file.clone(), limits.bytes);
        let unpacked = spawn_blocking(move || unpack::unpack(opened, name.as_deref(), &mut to, most)).await?;
        let sha256 = unpacked.with_context(|| format!("`{}` cannot be unpacked", item.name))?;
        if let Some(expected) = &item.sha256 {
            ensure!(
                sha256 == *expected,
                "its SHA-256 is {sha256} and it is pinned to {expected}; correct the pin, or name another"
            );
        }
        held.keep(item, file, sha256)
    }
}

/// The digest of what a file follows from.
fn origin(identity: &str) -> String {
    path::sha256_of_bytes(identity.as_bytes())
}

/// A file of this machine. Its digest may wait, unless it must be a certain one or is told as that of what was found.
async fn local(item: &Item, file: &Path) -> Result<One> {
    let sha256 = Digest::of_file(file.to_owned());
    let wrong = |kind: &str, found: &str, expected: &str| {
        let file = file.display();
        anyhow!(
            "`{file}` has the {kind} {found} and must have {expected}; it is damaged: remove it, and fetch it again"
        )
    };
    if let Some(expected) = &item.sha256 {
        let sha256 = sha256.find().await?;
        if sha256 != *expected {
            return Err(wrong("SHA-256", &sha256, expected));
        }
    }
    if let Some(expected) = &item.md5
        && let Some(found) = expected.unlike_file(file)?
    {
        return Err(wrong("MD5", &found, &expected.digest));
    }
    let found = match item.identity.clone() {
        None => None,
        Some(identity) => Some(Found {
            name: item.name.clone(),
            identity: Some(identity),
            sha256: sha256.find().await?,
            version: item.version.clone(),
        }),
    };
    Ok(One { name: PathBuf::from(&item.name), file: file.to_owned(), sha256, found })
}

fn digest_of(files: &[One]) -> Digest {
    Digest::of_list(files.iter().map(|one| one.sha256.clone()).collect())
}
