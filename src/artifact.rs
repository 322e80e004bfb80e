//! Where models and data come from, and what they are: bytes with a digest.

pub mod path;
