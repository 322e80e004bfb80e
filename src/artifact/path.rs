//! Files of the checkout, and digests of files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use schemars::JsonSchema;
use sha2::{Digest, Sha256};

use super::reach::Reach;
use super::trouble::Absent;
use super::world::World;
use super::{Item, Kind, Malformed, Place, Source, Version};

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "path",
    beginnings: &[],
    parse: |text| Ok(Box::new(Files::parse(text)?)),
    schema: |generator| Files::json_schema(generator),
};

/// Files of the checkout: a path, or a glob that names several.
///
/// # Form
/// `models/candidate.onnx`, `data/test.parquet`, `history/month=*/*.parquet`.
///
/// # What it does
/// The path is relative to the folder of the spec. A glob has `*` for any part of a name, `?` for a character, `[...]` for
/// some of them, and `**` for any folders; its files are read in the order of their names. On a pull request the files must
/// lie in the workspace, whatever `..` and links say.
///
/// Of data, folders such as `month=2026-01` are columns, as Hive lays it out, for files of any source: the column `month`, unless
/// the files themselves have one. It has whole numbers where all values are such, else texts. All files of a dataset must
/// have the same such columns.
///
/// # Identity
/// The digest of the bytes.
///
/// # Example
/// ```yaml
/// candidate: { onnx: models/candidate.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct Files {
    /// The path or the glob.
    pattern: String,
}

impl Files {
    fn parse(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Err(Malformed::new("an empty path", "name a file"));
        }
        Ok(Self { pattern: text.to_owned() })
    }
}

#[async_trait]
impl Source for Files {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let files = expand(&world.folder, &self.pattern)?;
        if files.is_empty() {
            let why = format!("`{}` names no file; paths are relative to the spec's folder", self.pattern);
            // Who opened a pull request may have deleted it.
            ensure!(world.reach == Reach::Own, why);
            return Err(Absent::new(why).into());
        }
        let item = |file: PathBuf| {
            let written = file.strip_prefix(&world.folder).unwrap_or(&file);
            let written = if Path::new(&self.pattern).is_absolute() { &file } else { written };
            world.reach.ensure_file(&written.display().to_string(), &file)?;
            let name =
                file.to_str().with_context(|| format!("`{}` is not a path in UTF-8", file.display()))?.to_owned();
            Ok(Item {
                name,
                identity: None,
                sha256: None,
                md5: None,
                bytes: None,
                version: Version::default(),
                place: Place::Here(file),
            })
        };
        files.into_iter().map(item).collect()
    }
}

/// The files that a pattern names, sorted, none of them empty. A name that is there is that file, whatever it looks like.
fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let full = folder.join(pattern);
    if full.is_file() {
        ensure_file(&full)?;
        return Ok(vec![full]);
    }
    let text = full.to_str().with_context(|| format!("`{pattern}` is not a path in UTF-8"))?;
    let mut files = glob::glob(text)
        .with_context(|| format!("`{pattern}` is not a path or a glob"))?
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("a folder of `{pattern}` cannot be read"))?;
    files.sort();
    for file in &files {
        ensure_file(file)?;
    }
    Ok(files)
}

fn ensure_file(file: &Path) -> Result<()> {
    let facts = file.metadata().with_context(|| format!("`{}` cannot be read", file.display()))?;
    ensure!(facts.is_file(), "`{}` is not a file", file.display());
    ensure!(facts.len() > 0, "`{}` is empty", file.display());
    Ok(())
}

/// Whether a path that somebody wrote leads to something below where it begins: no part leads up, or is empty.
pub(super) fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(char::is_control)
}

/// The SHA-256 of a file in hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256(file: &Path) -> Result<String> {
    let opened = File::open(file).with_context(|| format!("`{}` cannot be opened", file.display()))?;
    sha256_of(&opened).with_context(|| format!("`{}` cannot be read", file.display()))
}

/// The SHA-256 of what is left to read of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(mut file: &File) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// The digest of several files by theirs: that of the file itself when there is one, else of the list in order.
#[must_use]
pub(super) fn sha256_of_list(digests: &[&str]) -> String {
    match digests {
        [one] => (*one).to_owned(),
        several => sha256_of_bytes(several.join("\n").as_bytes()),
    }
}

/// The SHA-256 of bytes in hexadecimal.
#[must_use]
pub fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether a text is a SHA-256 in hexadecimal.
#[must_use]
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
