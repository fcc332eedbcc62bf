//! percolate's own aggregation of durations and rows: histograms without a lock on the way of a
//! call.
//!
//! Each thread has its own [`Cell`](cell::Cell) for each series, which it alone writes. A collection
//! reads the cells of all threads. [`CellPool`](pool::CellPool) assigns cells to threads, and
//! [`HistogramData`] is what exporters receive. Which series a call has is decided in `series`.
//!
//! Invariant: a cell has one writer at a time. A thread that ends gives its cells back, and the next
//! thread goes on counting in them, so no count is lost and the number of cells is that of the
//! threads that were alive at the same time.

mod atomics;
mod bounds;
mod cell;
mod data;
mod histograms;
mod options;
mod pool;
#[cfg(test)]
mod tests;

pub(crate) use self::cell::CellExemplar;
pub(crate) use self::data::HistogramData;
#[cfg(feature = "otlp")]
pub(crate) use self::data::HistogramPoint;
pub(crate) use self::histograms::{Histograms, SeriesCells};
pub use self::options::OwnAggregation;
