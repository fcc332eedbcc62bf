//! percolate's own aggregation of durations, rows and waits: histograms without a lock on the way
//! of a call.
//!
//! Each thread has its own [`Cell`](cell::Cell) for each series, which it alone writes. A collection
//! reads the cells of all threads. [`CellPool`](pool::CellPool) assigns cells to threads,
//! [`Readers`](readers::Readers) are those that collect, and [`HistogramData`] is what they receive.
//! Which series a call has is decided in `series`.
//!
//! Invariant: a cell has one writer at a time. A thread that ends gives its cells back, and the next
//! thread goes on counting in them, so no count is lost and the number of cells is that of the
//! threads that were alive at the same time.

mod atomics;
mod bounds;
mod cell;
mod counts;
mod data;
mod exemplars;
mod exponential;
mod exponential_counts;
mod histograms;
mod numbers;
mod options;
mod pool;
mod readers;
mod taken;
#[cfg(test)]
mod tests;
mod unit;
mod version;

pub(crate) use self::bounds::Bounds;
pub use self::data::{Exemplar, HistogramData, HistogramPoint, PointBuckets};
pub(crate) use self::exemplars::CellExemplar;
pub(crate) use self::histograms::{Histograms, SeriesCells};
pub use self::options::{Buckets, OwnAggregation};
pub use self::readers::Temporality;
