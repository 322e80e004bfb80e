//! What DVC says of the files that it tracks: pointers, the outputs of pipelines, and listings of folders.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::checkout::Checkout;
use crate::artifact::path::is_inside;
use crate::spec::yaml;

/// How the digest of a folder's listing ends.
const FOLDER: &str = ".dir";

/// What is tracked, a file or a folder.
#[derive(Debug)]
pub(super) struct Tracked {
    /// Where it is, from the root of the repository.
    pub(super) path: String,
    pub(super) object: Object,
    /// The remote that has it, where that is not the one of the repository.
    pub(super) remote: Option<String>,
}

/// Bytes by their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// The MD5, in small letters.
    pub(super) md5: String,
    /// Whether it is the listing of a folder.
    pub(super) is_folder: bool,
    /// Whether DVC 2 wrote it, whose objects lie elsewhere, and whose texts have the digest of other bytes than theirs.
    pub(super) is_of_dvc_2: bool,
    pub(super) bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pointer {
    wdir: Option<String>,
    outs: Vec<Output>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lock {
    stages: BTreeMap<String, Stage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stage {
    outs: Vec<Output>,
}

/// What a pipeline says of the folder of a stage; more is not read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pipeline {
    stages: BTreeMap<String, Written>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    wdir: Option<String>,
    /// What is repeated.
    r#do: Option<Box<Self>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Output {
    path: String,
    md5: Option<String>,
    /// The bytes; of a folder those of all its files.
    size: Option<u64>,
    hash: Option<String>,
    remote: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    md5: String,
    relpath: String,
}

/// What is tracked at a path or above it.
pub(super) fn find(checkout: &Checkout, path: &str) -> Result<Option<Tracked>> {
    let parts = path.split('/').collect::<Vec<_>>();
    for length in (1..=parts.len()).rev() {
        let (above, here) = (parts[..length - 1].join("/"), parts[..length].join("/"));
        let Some(Pointer { wdir, outs }) = read(checkout, &format!("{here}.dvc"))? else { continue };
        let is_meant =
            |output: &Output| located(&[&above, wdir.as_deref().unwrap_or(""), &output.path]).as_ref() == Some(&here);
        if let Some(output) = outs.into_iter().find(is_meant) {
            return tracked(here, output).map(Some);
        }
    }
    for length in (0..parts.len()).rev() {
        if let Some(found) = of_pipeline(checkout, &parts[..length].join("/"), path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What a pipeline in a folder gives at a path or above it.
fn of_pipeline(checkout: &Checkout, folder: &str, path: &str) -> Result<Option<Tracked>> {
    let of_folder = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let Some(Lock { stages }) = read(checkout, &of_folder("dvc.lock"))? else { return Ok(None) };
    let pipeline = read::<Pipeline>(checkout, &of_folder("dvc.yaml"))?.unwrap_or_default();
    for (name, stage) in stages {
        // A stage that is repeated is called `train@small`.
        let written = pipeline.stages.get(&name).or_else(|| pipeline.stages.get(name.split_once('@')?.0));
        let wdir = written.and_then(|written| written.wdir.as_ref().or_else(|| written.r#do.as_ref()?.wdir.as_ref()));
        for output in stage.outs {
            let at = located(&[folder, wdir.map_or("", String::as_str), &output.path]);
            let at = at.filter(|at| {
                path.strip_prefix(at.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if let Some(at) = at {
                return tracked(at, output).map(Some);
            }
        }
    }
    Ok(None)
}

fn read<T: DeserializeOwned>(checkout: &Checkout, path: &str) -> Result<Option<T>> {
    let Some(bytes) = checkout.read(path)? else { return Ok(None) };
    yaml::of_program(&bytes).map(Some).with_context(|| format!("`{path}` cannot be read as DVC writes it"))
}

/// Where parts of a path lead, from the root of the repository; nowhere where that is outside.
fn located(parts: &[&str]) -> Option<String> {
    let mut names = Vec::new();
    if parts.iter().any(|part| part.starts_with('/')) {
        return None;
    }
    for name in parts.iter().flat_map(|part| part.split('/')) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/")).filter(|path| !path.is_empty())
}

fn tracked(path: String, output: Output) -> Result<Tracked> {
    let Output { md5, size, hash, remote, .. } = output;
    let is_known = hash.as_deref().is_none_or(|hash| hash == "md5");
    let md5 = md5.filter(|_| is_known).with_context(|| {
        format!("DVC tracks `{path}` without an MD5; run `dvc commit`, or name the file where it lies")
    })?;
    let mut object = object(&md5, hash.is_none()).with_context(|| format!("DVC tracks `{path}` wrongly"))?;
    object.bytes = size.filter(|_| !object.is_folder);
    Ok(Tracked { path, object, remote })
}

fn object(md5: &str, is_of_dvc_2: bool) -> Result<Object> {
    let (digest, is_folder) = md5.strip_suffix(FOLDER).map_or((md5, false), |digest| (digest, true));
    let is_md5 = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(is_md5, "`{md5}` is no MD5, which has 32 hexadecimal digits; run `dvc commit`");
    Ok(Object { md5: digest.to_lowercase(), is_folder, is_of_dvc_2, bytes: None })
}

/// The files of a folder by their paths in it.
pub(super) fn listed(listing: &[u8], is_of_dvc_2: bool) -> Result<Vec<(String, Object)>> {
    let listed = serde_json::from_slice::<Vec<Listed>>(listing).context("it is no listing")?;
    let file = |Listed { md5, relpath }: Listed| {
        let object = object(&md5, is_of_dvc_2)?;
        ensure!(is_inside(&relpath) && !object.is_folder, "it has `{relpath}`, which is no file in the folder");
        Ok((relpath, object))
    };
    listed.into_iter().map(file).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::fs;

    use super::*;
    use crate::artifact::reach::Reach;

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";
    const B: &str = "92eb5ffee6ae2fec3ad71c777531578f";

    /// A repository with these files.
    fn found(files: &[(&str, &str)], path: &str) -> Result<Option<Tracked>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text.replace("AA", A).replace("BB", B)).unwrap();
        }
        find(&Checkout { root: folder.path().to_owned(), reach: Reach::Own }, path)
    }

    #[test]
    fn a_file_has_a_pointer_or_a_folder_above_it_has() {
        let three = "outs:\n- {md5: AA, size: 3, hash: md5, path: m.onnx}\n";
        let two = "wdir: ..\nouts:\n- {md5: BB.dir, size: 9, nfiles: 2, path: data}\n- {md5: AA, path: other}\n";
        let files =
            [("models/m.onnx.dvc", three), ("data.dvc", "outs: [{md5: BB.dir, path: ./data}]"), ("x/data.dvc", two)];
        let is = |path: &str, at: &str, md5: &str, is_folder, is_of_dvc_2, bytes| {
            let found = found(&files, path).unwrap().unwrap();
            assert_eq!(found.path, at);
            assert_eq!(found.object, Object { md5: md5.to_owned(), is_folder, is_of_dvc_2, bytes });
        };
        is("models/m.onnx", "models/m.onnx", A, false, false, Some(3));
        is("data/deep/a.parquet", "data", B, true, true, None);
        // Its pointer speaks of another folder.
        assert!(found(&files, "x/data").unwrap().is_none());
        assert!(found(&files, "models/n.onnx").unwrap().is_none());
    }

    #[test]
    fn a_pipeline_says_what_its_outputs_are() {
        let lock = "schema: '2.0'\nstages:\n  fit:\n    cmd: x\n    outs: [{path: ../m, hash: md5, md5: AA}]\n  \
                    split@a:\n    outs: [{path: out/a, hash: md5, md5: BB.dir}]\n  plain:\n    outs: [{path: p, md5: BB}]\n";
        let pipeline = "vars: [x]\nstages:\n  fit: {wdir: sub, cmd: [a, b], outs: [../m]}\n  \
                        split: {foreach: [a], do: {wdir: ./deep, cmd: y}}\n";
        let files = [("train/dvc.lock", lock), ("train/dvc.yaml", pipeline)];
        let at = |path: &str| {
            found(&files, path).unwrap().map(|found| (found.path, found.object.md5, found.object.is_of_dvc_2))
        };
        let some = |path: &str, md5: &str, is_of_dvc_2| Some((path.to_owned(), md5.to_owned(), is_of_dvc_2));
        assert_eq!(at("train/m"), some("train/m", A, false));
        assert_eq!(at("train/deep/out/a/x.parquet"), some("train/deep/out/a", B, false));
        assert_eq!(at("train/p"), some("train/p", B, true));
        assert_eq!(at("train/pp"), None);
    }

    #[test]
    fn what_is_hostile_or_broken_is_refused() {
        let told = |pointer: &str| format!("{:#}", found(&[("m.dvc", pointer)], "m").unwrap_err());
        for (pointer, tells) in [
            ("outs: [{md5: AA, size: -1, path: m}]", "`m.dvc` cannot be read as DVC writes it"),
            ("outs: [", "cannot be read"),
            ("outs: [{md5: ../../../../../etc/passwd, path: m}]", "is no MD5"),
            ("outs: [{md5: AA/, path: m}]", "is no MD5"),
            ("outs: [{etag: x, hash: etag, path: m}]", "without an MD5"),
            ("outs: [{path: m}]", "without an MD5"),
            ("outs: [{md5: AA, hash: blake3, path: m}]", "without an MD5"),
        ] {
            assert!(told(pointer).contains(tells), "{pointer}: {}", told(pointer));
        }
        for elsewhere in ["/m", "../m", "m/../../m", "..", ""] {
            let pointer = format!("outs: [{{md5: AA, path: '{elsewhere}'}}]");
            assert!(found(&[("m.dvc", &pointer)], "m").unwrap().is_none(), "{elsewhere}");
        }
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(told(&format!("{bomb}outs: *a29")).contains("cannot be read"));
    }

    #[test]
    fn a_listing_names_files_of_its_folder() {
        let told = |relpath: &str, md5: &str| {
            listed(format!(r#"[{{"md5": "{md5}", "relpath": "{relpath}"}}]"#).as_bytes(), true)
        };
        let (name, object) = told("b/c.csv", A).unwrap().remove(0);
        assert_eq!((name.as_str(), object.md5.as_str(), object.is_of_dvc_2), ("b/c.csv", A, true));
        for wrong in ["../c", "/c", "", "a//b", "a/../../b"] {
            assert!(format!("{:#}", told(wrong, A).unwrap_err()).contains("no file in the folder"), "{wrong}");
        }
        assert!(told("c", "../c").is_err() && told("c", &format!("{A}.dir")).is_err() && listed(b"{}", true).is_err());
    }
}
