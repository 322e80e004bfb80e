//! Files named by the spec: a path or a glob, relative to the spec's folder.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// The files that a pattern names, sorted, none of them empty.
///
/// # Errors
/// When the pattern is malformed, leaves the folder, or names no file.
pub fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let full = folder.join(pattern);
    let text = full.to_str().with_context(|| format!("`{pattern}` is not a path in UTF-8"))?;
    let mut files = glob::glob(text)
        .with_context(|| format!("`{pattern}` is not a path or a glob"))?
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("a folder of `{pattern}` cannot be read"))?;
    files.sort();
    ensure!(!files.is_empty(), "`{pattern}` names no file; paths are relative to the spec's folder");
    for file in &files {
        ensure_file(file)?;
    }
    Ok(files)
}

/// One file that must be there.
///
/// # Errors
/// When it is missing, no file, or empty.
pub fn one(folder: &Path, path: &str) -> Result<PathBuf> {
    let file = folder.join(path);
    if !file.exists() {
        bail!("`{path}` does not exist; paths are relative to the spec's folder");
    }
    ensure_file(&file)?;
    Ok(file)
}

fn ensure_file(file: &Path) -> Result<()> {
    let facts = file.metadata().with_context(|| format!("`{}` cannot be read", file.display()))?;
    ensure!(facts.is_file(), "`{}` is not a file", file.display());
    ensure!(facts.len() > 0, "`{}` is empty", file.display());
    Ok(())
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

/// The digest of several files: that of the file itself when there is one, else of the list of digests in order.
///
/// # Errors
/// When a file cannot be read.
pub fn sha256_of_all(files: &[PathBuf]) -> Result<String> {
    let digests = files.iter().map(|file| sha256(file)).collect::<Result<Vec<_>>>()?;
    Ok(match digests.as_slice() {
        [one] => one.clone(),
        several => sha256_of_bytes(several.join("\n").as_bytes()),
    })
}

/// The SHA-256 of bytes in hexadecimal.
#[must_use]
pub fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
