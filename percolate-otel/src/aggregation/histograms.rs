//! The histograms of a runtime with an own aggregation: durations of operations and jobs, rows, and
//! waits in queues.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;

use super::bounds::Bounds;
use super::cell::Layout;
use super::data::{HistogramData, Points};
use super::exemplars::CellExemplar;
use super::exponential_counts::Exponential;
use super::options::{Buckets, OwnAggregation};
use super::pool::CellPool;
use super::readers::{Interval, Readers};
use super::unit::Unit;
use crate::clock::nanoseconds;
use crate::conventions::{attribute, metric};
use crate::metrics::{
    JOB_DESCRIPTION, OPERATION_DESCRIPTION, QUEUE_WAIT_DESCRIPTION, ROWS_DESCRIPTION,
};
use crate::site::SiteKind;

/// The most sets of attributes of failed calls that one series has. Further ones share a set.
const MAX_OUTCOMES: usize = 100;
/// The most queues. Further ones share a set of attributes.
const MAX_QUEUES: usize = 2000;

/// The histograms and their readers.
#[derive(Debug)]
pub(crate) struct Histograms {
    operations: Histogram,
    jobs: Histogram,
    rows: Histogram,
    queue_waits: Histogram,
    readers: Readers,
    /// The waits in each queue. They are rare.
    queues: Outcomes,
    pub(crate) has_exemplars: bool,
}

/// One histogram.
#[derive(Debug)]
struct Histogram {
    name: &'static str,
    description: &'static str,
    /// No bounds if the buckets are exponential.
    bounds: Bounds,
    layout: Layout,
}

/// Pools by the attributes of their measurements.
type Outcomes = Mutex<Vec<(Vec<KeyValue>, &'static CellPool)>>;

/// The cells of one series.
#[derive(Debug)]
pub(crate) struct SeriesCells {
    pub(crate) duration: &'static CellPool,
    pub(crate) rows: &'static CellPool,
    /// The durations of calls that did not succeed. They are rare.
    outcomes: Outcomes,
}

impl Histogram {
    fn new(
        (name, description): (&'static str, &'static str),
        buckets: Buckets,
        unit: Unit,
    ) -> Self {
        let (bounds, layout) = match buckets {
            Buckets::Explicit(bounds) => {
                let bounds = Bounds::new(bounds, unit);
                let layout = Layout::Explicit(bounds.buckets());
                (bounds, layout)
            }
            Buckets::Exponential {
                max_size,
                max_scale,
            } => {
                let options = Exponential {
                    max_size,
                    max_scale,
                    unit,
                };
                (Bounds::new(Vec::new(), unit), Layout::Exponential(options))
            }
        };
        Self {
            name,
            description,
            bounds,
            layout,
        }
    }

    fn data(&self, points: Points, interval: &Interval<'_>) -> HistogramData {
        let unit = self.bounds.unit();
        HistogramData {
            name: self.name,
            unit: match unit {
                Unit::Nanoseconds => "s",
                Unit::Count => "{row}",
            },
            is_whole: unit == Unit::Count,
            description: self.description,
            temporality: interval.temporality,
            start: interval.start,
            time: interval.start,
            points: points.into_points(unit, &Arc::from(self.bounds.exported())),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Histograms {
    pub(crate) fn new(options: OwnAggregation) -> Self {
        let operations = (metric::DB_CLIENT_OPERATION_DURATION, OPERATION_DESCRIPTION);
        let jobs = (metric::JOB_DURATION, JOB_DESCRIPTION);
        let rows = (metric::DB_CLIENT_RESPONSE_RETURNED_ROWS, ROWS_DESCRIPTION);
        let queue_waits = (metric::JOB_QUEUE_WAIT, QUEUE_WAIT_DESCRIPTION);
        let (seconds, count) = (Unit::Nanoseconds, Unit::Count);
        Self {
            operations: Histogram::new(operations, options.operations, seconds),
            jobs: Histogram::new(jobs, options.jobs, seconds),
            rows: Histogram::new(rows, options.rows, count),
            queue_waits: Histogram::new(queue_waits, options.queue_waits, seconds),
            readers: Readers::new(options.readers),
            queues: Mutex::default(),
            has_exemplars: options.exemplars,
        }
    }

    #[inline]
    fn of_durations(&self, kind: SiteKind) -> &Histogram {
        match kind {
            SiteKind::Db => &self.operations,
            SiteKind::Job => &self.jobs,
        }
    }

    #[inline]
    pub(crate) fn durations(&self, kind: SiteKind) -> &Bounds {
        &self.of_durations(kind).bounds
    }

    #[inline]
    pub(crate) fn rows(&self) -> &Bounds {
        &self.rows.bounds
    }

    fn pool(&self, histogram: &Histogram) -> &'static CellPool {
        CellPool::leak(histogram.layout, self.readers.has_delta())
    }

    pub(crate) fn cells(&self, kind: SiteKind) -> SeriesCells {
        SeriesCells {
            duration: self.pool(self.of_durations(kind)),
            rows: self.pool(&self.rows),
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
        (nanos, exemplar): (u64, Option<&CellExemplar>),
    ) {
        let histogram = self.of_durations(kind);
        let pool = self.pool_of((&cells.outcomes, MAX_OUTCOMES), histogram, attributes);
        pool.record_shared((histogram.bounds.bucket(nanos), nanos), exemplar);
    }

    /// Records how long a job waited in a queue.
    #[cold]
    pub(crate) fn record_wait(&self, queue: KeyValue, waited: Duration) {
        let nanos = nanoseconds(waited);
        let histogram = &self.queue_waits;
        let pool = self.pool_of((&self.queues, MAX_QUEUES), histogram, vec![queue]);
        pool.record_shared((histogram.bounds.bucket(nanos), nanos), None);
    }

    /// Returns the pool of these attributes, or of all further ones if there are `most`.
    fn pool_of(
        &self,
        (outcomes, most): (&Outcomes, usize),
        histogram: &Histogram,
        attributes: Vec<KeyValue>,
    ) -> &'static CellPool {
        let mut outcomes = lock(outcomes);
        let find = |outcomes: &[(Vec<KeyValue>, &'static CellPool)], attributes: &[KeyValue]| {
            let known = outcomes.iter().find(|(known, _)| *known == attributes);
            known.map(|(_, pool)| *pool)
        };
        if let Some(pool) = find(&outcomes, &attributes) {
            return pool;
        }
        let attributes = if outcomes.len() < most {
            attributes
        } else {
            vec![KeyValue::new(attribute::OTEL_METRIC_OVERFLOW, true)]
        };
        find(&outcomes, &attributes).unwrap_or_else(|| {
            let pool = self.pool(histogram);
            outcomes.push((attributes, pool));
            pool
        })
    }

    /// Collects the series for a reader. A series is the attributes of successful calls, those of
    /// all calls, and cells.
    pub(crate) fn collect<'a>(
        &self,
        reader: usize,
        series: impl Iterator<Item = (SiteKind, &'a [KeyValue], &'a [KeyValue], &'a SeriesCells)>,
    ) -> Vec<HistogramData> {
        let Some(interval) = self.readers.begin(reader) else {
            return Vec::new();
        };
        let (mut operations, mut jobs) = (Points::default(), Points::default());
        let (mut rows, mut waits) = (Points::default(), Points::default());
        let add = |points: &mut Points, attributes: &[KeyValue], pool: &CellPool| {
            points.add(attributes, &pool.collect(&self.readers, &interval));
        };
        for (kind, successful, any, cells) in series {
            let durations = match kind {
                SiteKind::Db => &mut operations,
                SiteKind::Job => &mut jobs,
            };
            add(durations, successful, cells.duration);
            let outcomes = lock(&cells.outcomes).clone();
            for (attributes, pool) in outcomes {
                add(durations, &attributes, pool);
            }
            add(&mut rows, any, cells.rows);
        }
        let queues = lock(&self.queues).clone();
        for (attributes, pool) in queues {
            add(&mut waits, &attributes, pool);
        }
        let mut histograms = vec![
            self.operations.data(operations, &interval),
            self.rows.data(rows, &interval),
            self.jobs.data(jobs, &interval),
            self.queue_waits.data(waits, &interval),
        ];
        let time = interval.end();
        for histogram in &mut histograms {
            histogram.time = time;
        }
        histograms.retain(|histogram| !histogram.points.is_empty());
        histograms
    }
}
