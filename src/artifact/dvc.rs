//! Files that DVC tracks: the checkout has pointers to them, a remote has their bytes.

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use async_trait::async_trait;
use schemars::JsonSchema;

use self::checkout::Checkout;
use self::pointer::{Object, Tracked};
use self::remote::Storage;
use super::bucket::{WITHIN_NAMES, has_wildcard, pattern};
use super::path::is_inside;
use super::reach::Reach;
use super::trouble::Absent;
use super::world::World;
use super::{Item, Kind, Malformed, Source, Version, md5};

mod checkout;
mod config;
mod pointer;
mod remote;

/// Files that one source may name.
const MOST_FILES: usize = 10_000;

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "dvc",
    beginnings: &["dvc:"],
    parse: |text| Ok(Box::new(File::parse(text)?)),
    schema: |generator| File::json_schema(generator),
};

/// A file that DVC tracks, or files of a folder that it tracks.
///
/// # Form
/// `dvc:models/model.onnx`, `dvc:history/month=2026-*/*.parquet`. The path begins at the folder that has `.dvc`, which is that of the
/// spec or one above it. Within a folder that is tracked as a whole it may be a glob; the folder itself names all its files.
///
/// # What it does
/// Reads in the checkout what the file is: in its pointer `models/model.onnx.dvc`, in the pointer of a folder above it, or among
/// the outputs in a `dvc.lock` of a folder above it. The bytes come from DVC's cache in the checkout, where an earlier step has
/// run `dvc fetch`, or else from the remote that `.dvc/config` and `.dvc/config.local` name: `s3://`, `gs://`, `azure://`,
/// `https://`, or a folder. What DVC 2 has written is read as well as what DVC 3 writes. Of the remote's settings `endpointurl`,
/// `region` and `account_name` are read; credentials are those of the machine, as for the source `bucket`, and never those
/// of a configuration. What needs others, or lies on another kind of remote, is there after a `dvc fetch`.
///
/// The size and the MD5 are verified, for a text of DVC 2 the MD5 of its lines as they end on Unix. That finds damage and
/// no malice: two files with one MD5 can be made on purpose. So the record has the SHA-256 of the bytes, and a source may be
/// pinned to it.
///
/// On a pull request, pointers and configuration are those of the pull request. So the remote must be in
/// `policy.allowed_hosts` of the base, even where the base names the same source: `s3://acme`, or the host; an `endpointurl`, and
/// the host of an `account_name` that is not the machine's, by its whole name. A remote or a cache that is a folder must lie in the
/// workspace.
///
/// # Identity
/// The address of the object on the remote, which holds its MD5.
///
/// # Example
/// ```yaml
/// candidate: { onnx: dvc:models/candidate.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct File {
    /// The path from the folder that has `.dvc`.
    path: String,
}

impl File {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let path = text.strip_prefix("dvc:").unwrap_or(text);
        if let Some(file) = path.strip_suffix(".dvc").filter(|file| !file.is_empty()) {
            return Err(Malformed::new(format!("`{path}` is a pointer"), format!("write `dvc:{file}`")));
        }
        if !is_inside(path) {
            let message = format!("`{path}` is no path from the folder that has `.dvc`");
            return Err(Malformed::new(message, "write `dvc:PATH`"));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// What is tracked at the path, and the rest of the path within it.
    fn tracked(&self, checkout: &Checkout, reach: &Reach) -> Result<(Tracked, String)> {
        let tracked = pointer::find(checkout, &self.path)?.ok_or_else(|| {
            let path = &self.path;
            let why = format!("there is no pointer `{path}.dvc`, and no pointer or `dvc.lock` above it names `{path}`");
            absent(reach, format!("{why}; the path begins at the folder that has `.dvc`"))
        })?;
        let rest = self.path[tracked.path.len()..].trim_start_matches('/').to_owned();
        Ok((tracked, rest))
    }
}

/// That there is no such file; on a pull request its author may have made it so.
fn absent(reach: &Reach, why: String) -> Error {
    if *reach == Reach::Own { Absent::new(why).into() } else { anyhow!(why) }
}

#[async_trait]
impl Source for File {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        // Whatever the source is, the files of the checkout say what it means.
        let reach = world.reach.of_checkout();
        let checkout = Checkout::above(&world.folder, reach.clone())?;
        let (tracked, rest) = self.tracked(&checkout, &reach)?;
        let storage = Storage::new(&checkout, tracked.remote.as_deref(), world)?;
        let object = &tracked.object;
        if !object.is_folder {
            let is_file = rest.is_empty();
            ensure!(is_file, "`{}` is a file, so there is no `{rest}` in it; correct the path", tracked.path);
            return Ok(vec![storage.item(&tracked.path, object)?]);
        }
        let listing = world.read(storage.item(&tracked.path, object)?, checkout::MOST_BYTES).await?;
        let mut files = pointer::listed(&listing, object.is_of_dvc_2)
            .with_context(|| format!("what DVC says of the folder `{}` cannot be read", tracked.path))?;
        let pattern = pattern(&rest);
        let by_name = !rest.is_empty() && files.iter().any(|(name, _)| *name == rest);
        files.retain(|(name, _)| match (rest.is_empty(), by_name) {
            (true, _) => true,
            (false, true) => *name == rest,
            (false, false) => has_wildcard(&rest) && pattern.matches_with(name, WITHIN_NAMES),
        });
        if files.is_empty() {
            return Err(absent(&reach, format!("the folder `{}` has no `{rest}`; check the path", tracked.path)));
        }
        ensure!(files.len() <= MOST_FILES, "it names more than {MOST_FILES} files; write a narrower pattern");
        files.iter().map(|(name, object)| storage.item(&format!("{}/{name}", tracked.path), object)).collect()
    }
}

impl Storage<'_> {
    /// A file with the bytes of an object.
    fn item(&self, path: &str, object: &Object) -> Result<Item> {
        Ok(Item {
            name: format!("dvc:{path}"),
            identity: Some(self.identity(object)),
            sha256: None,
            md5: Some(md5::Expected { digest: object.md5.clone(), is_of_text: object.is_of_dvc_2 }),
            bytes: object.bytes,
            version: Version::default(),
            place: self.place(object)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_at_the_repository_and_stays_in_it() {
        for wrong in ["dvc:", "dvc:/m", "dvc:../m", "dvc:a//m", "dvc:a/./m", "dvc:a\n", "dvc:models/m.onnx.dvc"] {
            assert!(File::parse(wrong).is_err(), "{wrong:?}");
        }
        for right in ["dvc:m.onnx", "dvc:models/m.onnx", "dvc:history/month=*/*.parquet"] {
            assert!(File::parse(right).is_ok(), "{right}");
        }
    }
}
