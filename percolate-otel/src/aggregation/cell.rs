//! A histogram that one thread writes and any thread reads, without a lock.
//!
//! Cumulative cells have their numbers once, and keep them. Cells whose numbers are taken, for
//! delta temporality, have them twice: see [`TakenCell`].
//!
//! `tests/loom` includes this file, and those of its parts, with atomics that try every order.

use super::counts::{BucketCounts, CellCounts};
use super::exemplars::CellExemplar;
use super::exponential::ExponentialNumbers;
use super::exponential_counts::{Exponential, ExponentialCounts};
use super::numbers::{ExplicitNumbers, Numbers};
use super::taken::TakenCell;
use super::version::Version;

/// The buckets of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// This number of explicit buckets.
    Explicit(usize),
    Exponential(Exponential),
}

/// The numbers of a histogram.
#[derive(Debug)]
pub(crate) enum Cell {
    /// With explicit buckets, cumulative.
    Explicit(KeptCell<ExplicitNumbers>),
    /// All other kinds, which are rare.
    Other(Box<OtherCell>),
}

#[derive(Debug)]
pub(crate) enum OtherCell {
    Exponential(KeptCell<ExponentialNumbers>),
    TakenExplicit(TakenCell<ExplicitNumbers>),
    TakenExponential(TakenCell<ExponentialNumbers>),
}

/// Numbers that readers leave in their place.
#[derive(Debug)]
pub(crate) struct KeptCell<N> {
    version: Version,
    numbers: N,
}

impl Layout {
    /// Returns the counts of a cell without a value.
    pub(crate) fn empty(self) -> CellCounts {
        CellCounts::empty(match self {
            Self::Explicit(buckets) => BucketCounts::Explicit(vec![0; buckets]),
            Self::Exponential(options) => {
                BucketCounts::Exponential(ExponentialCounts::empty(options))
            }
        })
    }
}

impl Cell {
    /// Creates a cell. With `is_taken` its numbers can be taken; otherwise they can be read.
    pub(crate) fn new(layout: Layout, is_taken: bool) -> Self {
        let other = match (layout, is_taken) {
            (Layout::Explicit(buckets), false) => {
                return Self::Explicit(KeptCell::new(ExplicitNumbers::new(buckets)));
            }
            (Layout::Explicit(buckets), true) => {
                OtherCell::TakenExplicit(TakenCell::new(|| ExplicitNumbers::new(buckets)))
            }
            (Layout::Exponential(options), false) => {
                OtherCell::Exponential(KeptCell::new(ExponentialNumbers::new(options)))
            }
            (Layout::Exponential(options), true) => {
                OtherCell::TakenExponential(TakenCell::new(|| ExponentialNumbers::new(options)))
            }
        };
        Self::Other(Box::new(other))
    }

    /// Records a value, and its explicit bucket. Two threads must not record in a cell at the same
    /// time; counts would be lost.
    #[inline]
    pub(crate) fn record(&self, bucket: usize, value: u64) {
        match self {
            Self::Explicit(cell) => cell.record(bucket, value),
            Self::Other(cell) => cell.record(bucket, value),
        }
    }

    /// Records a value of a sampled call, as [`record`](Self::record) does.
    // Not inlined, because most calls are not sampled.
    #[inline(never)]
    pub(crate) fn record_sampled(&self, bucket: usize, exemplar: CellExemplar) {
        match self {
            Self::Explicit(cell) => cell.record_sampled(bucket, exemplar),
            Self::Other(cell) => cell.record_sampled(bucket, exemplar),
        }
    }

    /// Returns the numbers at one moment. Of a cell whose numbers are taken, it takes them; two
    /// threads must not do so at the same time.
    pub(crate) fn collect(&self) -> CellCounts {
        match self {
            Self::Explicit(cell) => cell.read(),
            Self::Other(cell) => cell.collect(),
        }
    }
}

impl OtherCell {
    #[inline(never)]
    fn record(&self, bucket: usize, value: u64) {
        match self {
            Self::Exponential(cell) => cell.record(bucket, value),
            Self::TakenExplicit(cell) => cell.record(bucket, value),
            Self::TakenExponential(cell) => cell.record(bucket, value),
        }
    }

    fn record_sampled(&self, bucket: usize, exemplar: CellExemplar) {
        match self {
            Self::Exponential(cell) => cell.record_sampled(bucket, exemplar),
            Self::TakenExplicit(cell) => cell.record_sampled(bucket, exemplar),
            Self::TakenExponential(cell) => cell.record_sampled(bucket, exemplar),
        }
    }

    fn collect(&self) -> CellCounts {
        match self {
            Self::Exponential(cell) => cell.read(),
            Self::TakenExplicit(cell) => cell.take(),
            Self::TakenExponential(cell) => cell.take(),
        }
    }
}

impl<N: Numbers> KeptCell<N> {
    fn new(numbers: N) -> Self {
        Self {
            version: Version::new(),
            numbers,
        }
    }

    #[inline]
    fn record(&self, bucket: usize, value: u64) {
        self.version.write(|| self.numbers.add(bucket, value));
    }

    fn record_sampled(&self, bucket: usize, exemplar: CellExemplar) {
        self.numbers.prepare_exemplars();
        self.version.write(|| {
            self.numbers.add(bucket, exemplar.value);
            self.numbers.keep(bucket, exemplar);
        });
    }

    fn read(&self) -> CellCounts {
        self.version.read(|| self.numbers.copy()).into()
    }
}
