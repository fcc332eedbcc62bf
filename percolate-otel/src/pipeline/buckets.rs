//! [`HistogramBuckets`]: the buckets of the duration histograms, as views. The instruments are
//! created in `metrics`. Invariant: the storage preset contains every bound that the conventions
//! advise, so that its buckets add up to the advised ones exactly.

use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};

use crate::conventions::metric;
use crate::metrics::{ADVISED_BOUNDS, JOB_BOUNDS, STORAGE_BOUNDS};
use crate::runtime::Buckets;

/// The histograms of durations.
const DURATIONS: [&str; 3] = [
    metric::DB_CLIENT_OPERATION_DURATION,
    metric::JOB_DURATION,
    metric::JOB_QUEUE_WAIT,
];

/// Base-2 exponential buckets with the defaults of the SDK.
pub(super) const EXPONENTIAL: Buckets = Buckets::Exponential {
    max_size: 160,
    max_scale: 20,
};

/// The buckets of `db.client.operation.duration`, `job.duration` and `job.queue.wait`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum HistogramBuckets {
    /// 22 bounds from 1 µs to 10 s that contain every advised bound; for `job.duration` 14 bounds
    /// from 1 ms to 1 h.
    #[default]
    Storage,
    /// The bounds that the conventions advise, from 1 ms to 10 s.
    Advised,
    /// Base-2 exponential buckets, at most 160, whose scale adapts to the values.
    Exponential,
    /// The given bounds in seconds, finite and ascending. Other bounds are reported as a warning,
    /// and the storage preset is used.
    Explicit(Vec<f64>),
}

impl HistogramBuckets {
    /// Returns the buckets of one instrument.
    pub(super) fn of(&self, instrument: &str) -> Buckets {
        match self {
            Self::Storage if instrument == metric::JOB_DURATION => {
                Buckets::Explicit(JOB_BOUNDS.to_vec())
            }
            Self::Storage => Buckets::Explicit(STORAGE_BOUNDS.to_vec()),
            Self::Advised => Buckets::Explicit(ADVISED_BOUNDS.to_vec()),
            Self::Explicit(bounds) => Buckets::Explicit(bounds.clone()),
            Self::Exponential => EXPONENTIAL,
        }
    }

    /// Returns a message if explicit bounds are invalid.
    pub(super) fn problem(&self) -> Option<String> {
        let Self::Explicit(bounds) = self else {
            return None;
        };
        let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = bounds.iter().all(|bound| bound.is_finite());
        (!ascending || !finite)
            .then(|| "bounds must be finite and ascending; using the storage preset".to_owned())
    }

    /// Returns the view that sets these buckets on the duration histograms, and exponential buckets
    /// on all other histograms if `exponential` is set. Other instruments are unchanged.
    pub(super) fn view(
        self,
        exponential: bool,
    ) -> impl Fn(&Instrument) -> Option<Stream> + Send + Sync + 'static {
        move |instrument| {
            let name = instrument.name();
            let aggregation = if DURATIONS.contains(&name) {
                aggregation(self.of(name))
            } else if exponential && instrument.kind() == InstrumentKind::Histogram {
                aggregation(EXPONENTIAL)
            } else {
                return None;
            };
            Stream::builder().with_aggregation(aggregation).build().ok()
        }
    }
}

/// Returns the SDK's aggregation with these buckets.
fn aggregation(buckets: Buckets) -> Aggregation {
    let record_min_max = true;
    match buckets {
        Buckets::Explicit(boundaries) => Aggregation::ExplicitBucketHistogram {
            boundaries,
            record_min_max,
        },
        Buckets::Exponential {
            max_size,
            max_scale,
        } => Aggregation::Base2ExponentialHistogram {
            max_size,
            max_scale,
            record_min_max,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conventions;

    #[test]
    fn the_storage_preset_contains_every_advised_bound() {
        for instrument in DURATIONS {
            let Buckets::Explicit(bounds) = HistogramBuckets::Storage.of(instrument) else {
                panic!("the storage preset is explicit");
            };
            assert!(
                ADVISED_BOUNDS
                    .iter()
                    .all(|advised| bounds.contains(advised)),
                "{instrument}: {bounds:?}"
            );
            assert_eq!(HistogramBuckets::Explicit(bounds).problem(), None);
        }
        assert!((STORAGE_BOUNDS[0] - 0.000_001).abs() < f64::EPSILON);
    }

    #[test]
    fn every_duration_of_the_conventions_gets_the_buckets() {
        let durations = conventions::METRICS
            .iter()
            .filter(|metric| metric.instrument == "histogram" && metric.unit == "s");
        let names: Vec<_> = durations.map(|metric| metric.name).collect();
        assert_eq!(names, DURATIONS);
    }

    #[test]
    fn explicit_bounds_that_do_not_ascend_are_refused() {
        assert!(
            HistogramBuckets::Explicit(vec![1.0, 1.0])
                .problem()
                .is_some()
        );
        assert!(
            HistogramBuckets::Explicit(vec![1.0, f64::INFINITY])
                .problem()
                .is_some()
        );
        assert_eq!(HistogramBuckets::Explicit(vec![]).problem(), None);
    }
}
