//! ONNX Runtime's shared library: where it is found, and the one environment of this process.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow, ensure};
use ort::environment::Environment;
use ort::logging::LogLevel;

/// What to do when the library is missing.
const REMEDY: &str = "set ORT_DYLIB_PATH to the path of libonnxruntime.so, or install the `onnxruntime` wheel in \
                      .venv (`python3 -m venv .venv && .venv/bin/pip install onnxruntime==1.26.0`)";

/// The environment that all sessions of this process share, made when first asked for.
///
/// # Errors
/// When the library is not found, is no ONNX Runtime, or is older than 1.24. The answer is kept: it does not change
/// within a process.
pub fn environment() -> Result<&'static Environment> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    made.as_ref().map_err(|message| anyhow!("{message}"))
}

/// What the last bits of a score depend on beside the model and its inputs: the build of ONNX Runtime, and the features of
/// the processor by which it chooses its kernels.
///
/// # Errors
/// As [`environment`].
pub fn kernels() -> Result<String> {
    environment()?;
    Ok(format!("{}; {} {}", ort::info(), std::env::consts::ARCH, features().join(" ")))
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    macro_rules! present {
        ($($feature:tt),*) => { [$(($feature, std::arch::is_x86_feature_detected!($feature))),*] };
    }
    let known = present!(
        "avx",
        "f16c",
        "fma",
        "avx2",
        "avxvnni",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512vnni",
        "avx512bf16",
        "avx512fp16"
    );
    known.into_iter().filter(|(_, present)| *present).map(|(feature, _)| feature).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    macro_rules! present {
        ($($feature:tt),*) => { [$(($feature, std::arch::is_aarch64_feature_detected!($feature))),*] };
    }
    let known = present!("fp16", "dotprod", "bf16", "i8mm", "sve");
    known.into_iter().filter(|(_, present)| *present).map(|(feature, _)| feature).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// The shared library: `configured` (the value of `ORT_DYLIB_PATH`) if it is given and not empty, else the one of the
/// wheel that is installed in `folder/.venv`.
///
/// # Errors
/// When neither is there; the message names both remedies.
pub fn library(configured: Option<&OsStr>, folder: &Path) -> Result<PathBuf> {
    if let Some(path) = configured.filter(|path| !path.is_empty()).map(Path::new) {
        let found = path.canonicalize().with_context(|| format!("ORT_DYLIB_PATH: `{}`; {REMEDY}", path.display()))?;
        ensure!(found.is_file(), "ORT_DYLIB_PATH: `{}` is not a file; {REMEDY}", path.display());
        return Ok(found);
    }
    in_wheel(folder).with_context(|| format!("ONNX models need ONNX Runtime, which is not installed: {REMEDY}"))
}

/// `.venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*`; of several, the last in order of names.
fn in_wheel(folder: &Path) -> Option<PathBuf> {
    entries(&folder.join(".venv/lib"), "python3")
        .flat_map(|python| entries(&python.join("site-packages/onnxruntime/capi"), "libonnxruntime.so"))
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| path.is_file())
        .max()
}

fn entries(folder: &Path, prefix: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path())
}

fn start() -> Result<Environment> {
    let folder = std::env::current_dir().context("the current folder cannot be read")?;
    let path = library(std::env::var_os("ORT_DYLIB_PATH").as_deref(), &folder)?;
    let builder = ort::init_from(&path).with_context(|| format!("{} cannot be used; {REMEDY}", path.display()))?;
    let environment = builder.with_telemetry(false).with_logger(Arc::new(log)).build()?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// Without this, the library writes to the standard error stream by itself.
fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    tracing::debug!(target: "onnxruntime", ?level, category, location, "{message}");
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn both_remedies_are_named_when_there_is_no_library() {
        let folder = tempfile::tempdir().unwrap();
        for configured in
            [None, Some(OsStr::new("")), Some(OsStr::new("/no/such/file.so")), Some(folder.path().as_os_str())]
        {
            let message = format!("{:#}", library(configured, folder.path()).unwrap_err());
            assert!(message.contains("ORT_DYLIB_PATH") && message.contains("pip install onnxruntime"), "{message}");
        }
    }

    #[test]
    fn the_configured_library_comes_before_the_one_in_the_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let capi = folder.path().join(".venv/lib/python3.11/site-packages/onnxruntime/capi");
        fs::create_dir_all(&capi).unwrap();
        let (wheel, other) = (capi.join("libonnxruntime.so.1.26.0"), folder.path().join("other.so"));
        fs::write(&wheel, "").unwrap();
        fs::write(&other, "").unwrap();
        assert_eq!(library(None, folder.path()).unwrap(), wheel.canonicalize().unwrap());
        assert_eq!(library(Some(other.as_os_str()), folder.path()).unwrap(), other.canonicalize().unwrap());
    }
}
