//! The summaries: what can be known about rows in one pass, each in a file of its own.
//!
//! To add one: write the file, name it here, and name its type in [`for_every_summary`](crate::for_every_summary).
//! The law tests and the engine's registration follow from that list.

pub mod cells;
pub mod exact_sum;
pub mod frequencies;
pub mod grid;
pub mod moments;
pub mod presence;
pub mod quantiles;
pub mod ranks;
pub mod regions;
pub mod rows;
mod run;
pub mod spread;
pub mod sums;
pub mod tally;
pub mod term;
pub mod total_order;
pub mod units;
pub mod values;
pub mod wire;

pub use cells::Budget;
pub use frequencies::Frequencies;
pub use moments::Moments;
pub use presence::Presence;
pub use quantiles::Quantiles;
pub use ranks::{RankParams, Ranks};
pub use regions::Regions;
pub use rows::{Columns, RowCounts, Task, Threshold};
pub use spread::{Spread, SpreadParams};
pub use sums::Sums;
pub use values::{ValueParams, Values};

/// Hands the list of all summary types to the macro `$then`, as `then!(Frequencies, Moments, ...)`.
#[macro_export]
macro_rules! for_every_summary {
    ($then:ident) => {
        $then!(Frequencies, Moments, Presence, Quantiles, Ranks, Regions, Spread, Sums, Values);
    };
}
