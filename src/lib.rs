//! The gate between a pull request and production for machine-learning models.
//!
//! A run goes one way: a spec becomes a plan, the engine answers it, checks turn answers into evidence, evidence
//! becomes verdicts, and the record and the reports are written. `ARCHITECTURE.md` has the picture.

pub mod answers;
pub mod artifact;
pub mod calibrate;
pub mod check;
pub mod checks;
pub mod cli;
pub mod deliver;
pub mod docs;
pub mod engine;
pub mod evidence;
pub mod gate;
pub mod measure;
pub mod plan;
pub mod record;
pub mod report;
pub mod score;
pub mod spec;
pub mod stats;
pub mod summaries;
pub mod summary;
pub mod target;
pub mod verdict;
