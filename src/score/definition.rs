//! A bound model as text, from which another process opens the same one.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::OnnxModel;
use super::onnx::{Binding, Layout, Onnx};
use crate::artifact::path;

/// What a bound model is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Definition {
    /// A model in a file, which any machine can score.
    File {
        /// Its file, at the same path on every machine.
        file: PathBuf,
        /// The digest that the file must have.
        sha256: String,
        /// How it is fed and read.
        layout: Layout,
    },
    /// A model that the run itself scores, and no other process.
    Own {
        /// What it is called.
        own: String,
        /// How many scores a row has.
        outputs: usize,
    },
}

impl Definition {
    /// The definition of a model that has been bound.
    #[must_use]
    pub fn new(model: &OnnxModel, binding: &Binding) -> Self {
        let OnnxModel { file, sha256, .. } = model.clone();
        Self::File { file, sha256, layout: binding.layout().clone() }
    }

    /// Reads a definition.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("this defines no model")
    }

    /// The text of the definition: equal models have equal texts.
    ///
    /// # Errors
    /// When the path of the file is not in UTF-8.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self).context("the path of the model is not in UTF-8")
    }

    /// How many scores a row has.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::File { layout, .. } => layout.outputs(),
            Self::Own { outputs, .. } => *outputs,
        }
    }

    /// Opens the model.
    ///
    /// # Errors
    /// When its file is not there, is not the one that was bound, or is no model, and when only the run itself can score it.
    pub fn open(self) -> Result<Binding> {
        let (file, sha256, layout) = match self {
            Self::File { file, sha256, layout } => (file, sha256, layout),
            Self::Own { own, .. } => bail!("`{own}` scores on the machine of the run only: run without `--cluster`"),
        };
        let shown = file.display();
        let bytes = std::fs::read(&file).with_context(|| {
            format!(
                "the model `{shown}` cannot be read here: every machine must see it at the path that the run sees it at"
            )
        })?;
        let found = path::sha256_of_bytes(&bytes);
        ensure!(found == sha256, "the model `{shown}` has the digest {found} here, and the run judges {sha256}");
        let onnx = Onnx::open(bytes).with_context(|| format!("`{shown}` is not a usable ONNX model"))?;
        Ok(Binding::again(onnx, layout))
    }
}
