//! The files of the checkout that DVC writes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::artifact::reach::Reach;

/// More than any file of DVC's has: a `dvc.lock` names every output of a pipeline, the listing of a folder every file in it.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// A repository of DVC's.
#[derive(Debug)]
pub(super) struct Checkout {
    /// The folder that has `.dvc`.
    pub(super) root: PathBuf,
    /// What files of the checkout may name.
    pub(super) reach: Reach,
}

impl Checkout {
    /// The repository that a folder is in.
    pub(super) fn above(folder: &Path, reach: Reach) -> Result<Self> {
        // An empty path is the current folder.
        let folder = std::path::absolute(folder.join("."))?;
        let root = folder.ancestors().find(|folder| folder.join(".dvc").is_dir());
        let root = root.context("neither the folder of the spec nor one above it has `.dvc`; run `dvc init`")?;
        Ok(Self { root: root.to_owned(), reach })
    }

    /// The bytes of a small file, if it is there.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let file = self.root.join(path);
        // A pipe would never end.
        if !file.is_file() {
            return Ok(None);
        }
        self.reach.ensure_file(path, &file)?;
        let (mut bytes, unread) = (Vec::new(), || format!("`{path}` cannot be read"));
        let opened = File::open(&file).with_context(unread)?;
        opened.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(unread)?;
        ensure!(
            bytes.len() as u64 <= MOST_BYTES,
            "`{path}` has more than {MOST_BYTES} bytes, which is no file of DVC's"
        );
        Ok(Some(bytes))
    }
}
