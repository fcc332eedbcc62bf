//! Compact records: what a sampled call leaves behind on its thread, and how it becomes a span elsewhere.
//!
//! A [`Record`] holds references, ids and clock readings, and owns text only where a call carries more than its names.
//! Each thread fills a buffer of its own; full ones are handed over without waiting, the background thread
//! (`percolate-spans`) fetches the others in time and turns records into SDK `SpanData` ([`convert`]). When the
//! hand-over is full, records are dropped and counted.

mod buffer;
mod convert;

use std::time::Duration;

use super::clock::Reading;
use super::metrics::Series;
use super::operation::{Details, OwnedNames};
use super::outcome::{ErrorInfo, Outcome};
use super::runtime::Identity;

pub(crate) use buffer::Recorder;

/// One finished call: what every call has, and a pointer to what few have.
#[derive(Debug)]
pub(crate) struct Record {
    series: &'static Series,
    identity: Identity,
    started: Reading,
    duration: Duration,
    status: &'static str,
    returned_rows: Option<i64>,
    side: Option<Box<Side>>,
}

/// What few calls carry.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) details: Details,
    /// Names that the series does not hold, because there were too many.
    pub(crate) names: Option<Box<OwnedNames>>,
    /// What a probe reported.
    pub(crate) probed: Vec<(&'static str, i64)>,
    pub(super) affected_rows: Option<i64>,
    pub(super) error: Option<ErrorInfo>,
}

impl Record {
    #[inline]
    pub(crate) fn new(
        series: &'static Series,
        identity: Identity,
        (started, duration): (Reading, Duration),
        status: &'static str,
        outcome: &mut Outcome,
        mut side: Option<Box<Side>>,
    ) -> Self {
        if outcome.affected_rows.is_some()
            || outcome.batch_size.is_some()
            || outcome.error.is_some()
        {
            let side = side.get_or_insert_default();
            side.affected_rows = outcome.affected_rows;
            side.details.batch_size = outcome.batch_size.or(side.details.batch_size);
            side.error = outcome.error.take();
        }
        let returned_rows = outcome.returned_rows;
        Self {
            series,
            identity,
            started,
            duration,
            status,
            returned_rows,
            side,
        }
    }
}
