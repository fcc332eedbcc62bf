//! The histograms of a runtime with an own aggregation: durations of operations and jobs, and rows.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;

use super::bounds::{Bounds, Unit};
use super::cell::{CellCounts, CellExemplar};
use super::data::{HistogramData, Points};
use super::options::OwnAggregation;
use super::pool::CellPool;
use crate::conventions::{attribute, metric};
use crate::metrics::ROW_BOUNDS;
use crate::site::SiteKind;

/// The most sets of attributes of failed calls that one series has. Further ones share a set.
const MAX_OUTCOMES: usize = 100;

/// The bounds and the age of the histograms.
#[derive(Debug)]
pub(crate) struct Histograms {
    operations: Bounds,
    jobs: Bounds,
    rows: Bounds,
    start: SystemTime,
    pub(crate) has_exemplars: bool,
}

/// The cells of one series.
#[derive(Debug)]
pub(crate) struct SeriesCells {
    pub(crate) duration: &'static CellPool,
    pub(crate) rows: &'static CellPool,
    /// The durations of calls that did not succeed, by their attributes. They are rare.
    outcomes: Mutex<Vec<(Vec<KeyValue>, &'static CellPool)>>,
}

impl Histograms {
    pub(crate) fn new(options: OwnAggregation) -> Self {
        Self {
            operations: Bounds::new(options.operation_bounds, Unit::Nanoseconds),
            jobs: Bounds::new(options.job_bounds, Unit::Nanoseconds),
            has_exemplars: options.exemplars,
            rows: Bounds::new(ROW_BOUNDS.to_vec(), Unit::Count),
            start: SystemTime::now(),
        }
    }

    #[inline]
    pub(crate) fn durations(&self, kind: SiteKind) -> &Bounds {
        match kind {
            SiteKind::Db => &self.operations,
            SiteKind::Job => &self.jobs,
        }
    }

    pub(crate) fn rows(&self) -> &Bounds {
        &self.rows
    }

    pub(crate) fn cells(&self, kind: SiteKind) -> SeriesCells {
        SeriesCells {
            duration: CellPool::leak(self.durations(kind).buckets()),
            rows: CellPool::leak(self.rows.buckets()),
            outcomes: Mutex::default(),
        }
    }

    /// Records the duration of a call that did not succeed.
    #[cold]
    pub(crate) fn record_outcome(
        &self,
        cells: &SeriesCells,
        kind: SiteKind,
        attributes: Vec<KeyValue>,
        (nanos, exemplar): (u64, Option<CellExemplar>),
    ) {
        let bounds = self.durations(kind);
        let pool = {
            let mut outcomes = cells
                .outcomes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let attributes = if outcomes.len() < MAX_OUTCOMES {
                attributes
            } else {
                vec![KeyValue::new(attribute::OTEL_METRIC_OVERFLOW, true)]
            };
            let known = outcomes.iter().find(|(known, _)| *known == attributes);
            if let Some(pool) = known.map(|(_, pool)| *pool) {
                pool
            } else {
                let pool = CellPool::leak(bounds.buckets());
                outcomes.push((attributes, pool));
                pool
            }
        };
        pool.record_shared((bounds.bucket(nanos), nanos), exemplar);
    }

    /// Collects the series, which are pairs of attributes of successful calls and cells.
    pub(crate) fn collect<'a>(
        &self,
        series: impl Iterator<Item = (SiteKind, &'a [KeyValue], &'a [KeyValue], &'a SeriesCells)>,
    ) -> Vec<HistogramData> {
        let (mut operations, mut jobs, mut rows) =
            (Points::default(), Points::default(), Points::default());
        for (kind, successful, any, cells) in series {
            let durations = match kind {
                SiteKind::Db => &mut operations,
                SiteKind::Job => &mut jobs,
            };
            durations.add(successful, &cells.duration.read());
            let outcomes = cells
                .outcomes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            for (attributes, pool) in outcomes {
                durations.add(&attributes, &pool.read());
            }
            let counts: CellCounts = cells.rows.read();
            rows.add(any, &counts);
        }
        let time = SystemTime::now();
        let histogram = |name, unit, description, bounds: &Bounds, points: Points| HistogramData {
            name,
            unit,
            description,
            bounds: bounds.exported().to_vec(),
            start: self.start,
            time: time.max(self.start + Duration::from_nanos(1)),
            points: points.into_points(bounds),
        };
        let mut histograms = vec![
            histogram(
                metric::DB_CLIENT_OPERATION_DURATION,
                "s",
                crate::metrics::OPERATION_DESCRIPTION,
                &self.operations,
                operations,
            ),
            histogram(
                metric::DB_CLIENT_RESPONSE_RETURNED_ROWS,
                "{row}",
                crate::metrics::ROWS_DESCRIPTION,
                &self.rows,
                rows,
            ),
            histogram(
                metric::JOB_DURATION,
                "s",
                crate::metrics::JOB_DESCRIPTION,
                &self.jobs,
                jobs,
            ),
        ];
        histograms.retain(|histogram| !histogram.points.is_empty());
        histograms
    }
}
