//! What the scores of a view follow from, as one digest.

use std::sync::Arc;

use anyhow::Result;
use datafusion::logical_expr::Expr;
use serde_json::json;

use crate::artifact::path;
use crate::engine::functions::Progress;
use crate::engine::view::{self, View};
use crate::plan::{Input, Noise};
use crate::score::onnx::runtime;
use crate::score::{OnnxModel, Scorer};
use crate::target::{Dataset, Side, Target};

use super::Held;

/// Raised whenever the scores of a model, or the files that hold them, come to mean something else.
const FORMAT: u32 = 1;

/// A dataset that a model scores.
pub(super) struct ScoredView {
    pub(super) side: Side,
    pub(super) noise: Option<Noise>,
    /// What the scores follow from, as JSON.
    pub(super) identity: String,
    /// The digest of that.
    pub(super) digest: String,
    /// The scores, as an expression of the columns of the dataset.
    pub(super) model: Expr,
    pub(super) outputs: usize,
}

/// What models score of a dataset for these inputs, each view once.
pub(super) async fn asked<'i>(
    target: &Target,
    dataset: &Dataset,
    inputs: impl Iterator<Item = &'i Input>,
    progress: &Arc<Progress>,
) -> Result<Vec<ScoredView>> {
    let none = Held::default();
    let rows = View::new(target, dataset, progress, &none);
    let mut views: Vec<ScoredView> = Vec::new();
    for input in inputs {
        let Input::Score { side, noise, .. } = input else { continue };
        if views.iter().any(|view| view.side == *side && view.noise == *noise) {
            continue;
        }
        let Some(judged) = target.judged(*side) else { continue };
        // Of an ONNX model everything is known that its scores follow from. What a program reads beside its command is not,
        // and what stands behind an address still less: of those nothing is kept.
        let (Scorer::Onnx(onnx), Some(model)) = (&judged.scorer, &judged.sha256) else { continue };
        let data = dataset.sha256.find().await?;
        let identity = identity(target, &data, model, onnx, noise.as_ref())?;
        let digest = path::sha256_of_bytes(identity.as_bytes());
        let (model, outputs) = rows.outputs(*side, onnx, noise.as_ref())?;
        views.push(ScoredView { side: *side, noise: noise.clone(), identity, digest, model, outputs });
    }
    Ok(views)
}

/// How a model is fed follows from the schema of the data, which its digest covers, and from what the spec says. ONNX
/// Runtime computes in another order with another processor, and so in other last bits.
fn identity(target: &Target, data: &str, model: &str, onnx: &OnnxModel, noise: Option<&Noise>) -> Result<String> {
    let written = &target.spec.written;
    let noise = match noise {
        Some(noise) => Some(json!({
            "scale": noise.scale,
            "seed": noise.seed,
            "id": view::id(&written.columns)?,
        })),
        None => None,
    };
    let identity = json!({
        "format": FORMAT,
        "modelgate": env!("CARGO_PKG_VERSION"),
        "kernels": runtime::kernels()?,
        "data": data,
        "model": model,
        "task": written.model.task,
        "classes": written.model.class_names(),
        "features": written.columns.features,
        "mapping": onnx.mapping,
        "noise": noise,
    });
    Ok(identity.to_string())
}
