//! What a collection returns: cumulative histograms, ready to be exported.

use std::time::SystemTime;

use opentelemetry::KeyValue;

use super::bounds::{Bounds, Unit};
use super::cell::CellCounts;

/// A cumulative histogram.
#[derive(Debug, Clone)]
pub(crate) struct HistogramData {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) bounds: Vec<f64>,
    pub(crate) start: SystemTime,
    pub(crate) time: SystemTime,
    pub(crate) points: Vec<HistogramPoint>,
}

/// The values of one set of attributes, in the unit of the histogram.
#[derive(Debug, Clone)]
pub(crate) struct HistogramPoint {
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) minimum: f64,
    pub(crate) maximum: f64,
    pub(crate) buckets: Vec<u64>,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// A sampled call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    pub(crate) value: f64,
}

impl HistogramPoint {
    /// Returns the point of counts that are not empty.
    pub(crate) fn new(attributes: Vec<KeyValue>, counts: CellCounts, unit: Unit) -> Self {
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
                    time: exemplar.time,
                    value: unit.exported(exemplar.value),
                })
                .collect(),
            buckets: counts.buckets,
        }
    }
}

/// The counts of series with the same attributes, added up.
#[derive(Debug, Default)]
pub(crate) struct Points(std::collections::HashMap<String, (Vec<KeyValue>, CellCounts)>);

impl Points {
    /// Adds the counts of a series, unless they are empty.
    pub(crate) fn add(&mut self, attributes: &[KeyValue], counts: &CellCounts) {
        if counts.count() == 0 {
            return;
        }
        let mut attributes = attributes.to_vec();
        attributes.sort_by(|left, right| left.key.cmp(&right.key));
        match self.0.entry(format!("{attributes:?}")) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().1.add(counts),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert((attributes, counts.clone()));
            }
        }
    }

    pub(crate) fn into_points(self, bounds: &Bounds) -> Vec<HistogramPoint> {
        let mut points: Vec<_> = self.0.into_iter().collect();
        points.sort_by(|(left, _), (right, _)| left.cmp(right));
        points
            .into_iter()
            .map(|(_, (attributes, counts))| HistogramPoint::new(attributes, counts, bounds.unit()))
            .collect()
    }
}
