//! What a collection returns: histograms, ready to be exported.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;

use super::counts::{BucketCounts, CellCounts};
use super::readers::Temporality;
use super::unit::Unit;
use crate::clock::unix_time;

/// A histogram.
#[derive(Debug, Clone)]
pub struct HistogramData {
    /// The name of the metric.
    pub name: &'static str,
    /// The unit of the values.
    pub unit: &'static str,
    /// Whether the values are whole numbers.
    pub is_whole: bool,
    /// The description of the metric.
    pub description: &'static str,
    /// The temporality of the reader that collects.
    pub temporality: Temporality,
    /// The start of the values: that of the runtime, or the last collection of the reader.
    pub start: SystemTime,
    /// The time of the collection.
    pub time: SystemTime,
    /// The values, by their attributes.
    pub points: Vec<HistogramPoint>,
}

/// The values of one set of attributes, in the unit of the histogram. There is at least one.
#[derive(Debug, Clone)]
pub struct HistogramPoint {
    /// The attributes, sorted by key.
    pub attributes: Vec<KeyValue>,
    /// The number of values.
    pub count: u64,
    /// The sum of the values.
    pub sum: f64,
    /// The smallest value.
    pub minimum: f64,
    /// The largest value.
    pub maximum: f64,
    /// How many values were in each bucket.
    pub buckets: PointBuckets,
    /// Sampled calls, at most one for each bucket.
    pub exemplars: Vec<Exemplar>,
}

/// How many values were in each bucket.
#[derive(Debug, Clone, PartialEq)]
pub enum PointBuckets {
    /// Explicit buckets.
    Explicit {
        /// The upper bounds of all buckets except the last.
        bounds: Arc<[f64]>,
        /// One count for each bucket.
        counts: Vec<u64>,
    },
    /// Base-2 exponential buckets. There are no negative values.
    Exponential {
        /// The base is `2^(2^-scale)`.
        scale: i8,
        /// The number of values that are 0.
        zeros: u64,
        /// The index of the first bucket of `counts`.
        offset: i32,
        /// The counts of buckets with subsequent indexes.
        counts: Vec<u64>,
    },
}

/// A sampled call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The id of its trace.
    pub trace_id: u128,
    /// The id of its span.
    pub span_id: u64,
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// Its measured value.
    pub value: f64,
}

impl HistogramPoint {
    /// Returns the point of counts that are not empty.
    fn new(attributes: Vec<KeyValue>, counts: CellCounts, unit: Unit, bounds: &Arc<[f64]>) -> Self {
        let exemplars = counts.exemplars.iter().flatten();
        Self {
            attributes,
            count: counts.count(),
            sum: unit.exported(counts.sum),
            minimum: unit.exported(counts.minimum),
            maximum: unit.exported(counts.maximum),
            exemplars: exemplars
                .map(|exemplar| Exemplar {
                    trace_id: exemplar.trace_id,
                    span_id: exemplar.span_id,
                    time: unix_time(exemplar.stamp),
                    value: unit.exported(exemplar.value),
                })
                .collect(),
            buckets: match counts.buckets {
                BucketCounts::Explicit(counts) => PointBuckets::Explicit {
                    bounds: Arc::clone(bounds),
                    counts,
                },
                BucketCounts::Exponential(buckets) => {
                    let (scale, zeros, offset, counts) = buckets.into_parts();
                    PointBuckets::Exponential {
                        scale,
                        zeros,
                        offset,
                        counts,
                    }
                }
            },
        }
    }
}

/// The counts of series with the same attributes, added up.
#[derive(Debug, Default)]
pub(crate) struct Points(HashMap<String, (Vec<KeyValue>, CellCounts)>);

impl Points {
    /// Adds the counts of a series, unless they are empty.
    pub(crate) fn add(&mut self, attributes: &[KeyValue], counts: &CellCounts) {
        if counts.count() == 0 {
            return;
        }
        let mut attributes = attributes.to_vec();
        attributes.sort_by(|left, right| left.key.cmp(&right.key));
        match self.0.entry(format!("{attributes:?}")) {
            Entry::Occupied(mut known) => known.get_mut().1.add(counts),
            Entry::Vacant(place) => {
                place.insert((attributes, counts.clone()));
            }
        }
    }

    pub(crate) fn into_points(self, unit: Unit, bounds: &Arc<[f64]>) -> Vec<HistogramPoint> {
        let mut points: Vec<_> = self.0.into_iter().collect();
        points.sort_by(|(left, _), (right, _)| left.cmp(right));
        points
            .into_iter()
            .map(|(_, (attributes, counts))| HistogramPoint::new(attributes, counts, unit, bounds))
            .collect()
    }
}
