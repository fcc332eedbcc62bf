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
use super::operation::{FieldValue, OwnedNames};
use super::outcome::Outcome;
use super::runtime::Start;
use super::site::Site;

pub(crate) use buffer::Recorder;

/// One finished call.
#[derive(Debug)]
pub(crate) struct Record {
    site: &'static Site,
    series: &'static Series,
    start: Start,
    started: Reading,
    duration: Duration,
    status: &'static str,
    outcome: Outcome,
    side: Side,
    names: Option<Box<OwnedNames>>,
}

/// What few calls carry.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) batch_size: Option<i64>,
    pub(crate) query_text: Option<String>,
    pub(crate) query_summary: Option<String>,
    pub(crate) custom: Vec<(usize, FieldValue)>,
}

impl Record {
    #[expect(clippy::too_many_arguments, reason = "one caller, and each argument is moved into its place")]
    pub(crate) fn new(
        site: &'static Site,
        series: &'static Series,
        start: Start,
        (started, duration): (Reading, Duration),
        status: &'static str,
        outcome: Outcome,
        side: Side,
        names: Option<Box<OwnedNames>>,
    ) -> Self {
        Self { site, series, start, started, duration, status, outcome, side, names }
    }
}
