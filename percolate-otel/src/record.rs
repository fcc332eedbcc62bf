//! Compact records of sampled calls, which become spans on another thread.
//!
//! A [`CallRecord`] holds references, ids and clock readings, and owns text only where a call
//! carries more than its names. How it gets to the runtime's [`RecordSink`] is in `recorder`.

use opentelemetry::KeyValue;

use crate::call_events::CallEvents;
use crate::clock::Reading;
use crate::conventions::JobStatus;
use crate::details::{Details, OwnedNames};
use crate::identity::Identity;
use crate::outcome::{ErrorInfo, Outcome};
use crate::probe::Probed;
use crate::series::Series;
use crate::shared_attributes::SharedAttributes;

/// When a call started, how long it took, and how it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTiming {
    pub(crate) started: Reading,
    pub(crate) nanos: u64,
    pub(crate) status: JobStatus,
}

/// One finished call. What few calls have is boxed.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "read by the conversion to the SDK's spans")
)]
pub struct CallRecord {
    pub(crate) series: &'static Series,
    pub(crate) identity: Identity,
    pub(crate) started: Reading,
    pub(crate) nanos: u64,
    pub(crate) status: JobStatus,
    pub(crate) returned_rows: Option<i64>,
    pub(crate) extras: Option<Box<RecordExtras>>,
}

/// Receives the records of finished calls on the background thread of one runtime.
pub trait RecordSink: std::fmt::Debug + Send {
    /// Called before each delivery, and at least every 200 ms.
    fn tick(&mut self);

    /// Receives a block of records, in the order in which their calls ended on one thread.
    fn deliver(&mut self, records: Vec<CallRecord>);
}

/// What few calls have.
#[derive(Debug, Default)]
pub(crate) struct RecordExtras {
    pub(crate) details: Details,
    /// The names of a call in an overflow series, which does not hold them.
    pub(crate) names: Option<Box<OwnedNames>>,
    /// The attributes that a sampler added.
    pub(crate) sampled: Vec<KeyValue>,
    /// The attributes of the context in which the call started.
    pub(crate) shared: Option<SharedAttributes>,
    /// The counts and links of a probe.
    pub(crate) probed: Probed,
    pub(crate) affected_rows: Option<i64>,
    pub(crate) events: Option<Box<CallEvents>>,
    pub(crate) error: Option<ErrorInfo>,
}

impl CallRecord {
    #[inline]
    pub(crate) fn new(
        series: &'static Series,
        identity: Identity,
        CallTiming {
            started,
            nanos,
            status,
        }: CallTiming,
        outcome: &mut Outcome,
        mut extras: Option<Box<RecordExtras>>,
    ) -> Self {
        if outcome.affected_rows.is_some()
            || outcome.batch_size.is_some()
            || outcome.error.is_some()
        {
            let extras = extras.get_or_insert_default();
            extras.affected_rows = outcome.affected_rows;
            extras.details.batch_size = outcome.batch_size.or(extras.details.batch_size);
            extras.error = outcome.error.take();
        }
        let returned_rows = outcome.returned_rows;
        Self {
            series,
            identity,
            started,
            nanos,
            status,
            returned_rows,
            extras,
        }
    }
}
