//! Figures of what ends before a page is written, such as an open database: its owner passes the last
//! values to all reports of the process. Invariant: only a thread that does the same is waited for.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use opentelemetry::KeyValue;

use crate::conventions::MetricDef;
use crate::forks;

/// The last value of a metric that is not collected any more.
#[derive(Debug, Clone)]
pub struct LastFigure {
    /// The metric: a counter or an up-down counter.
    pub metric: &'static MetricDef,
    /// The attributes of the series.
    pub attributes: Vec<KeyValue>,
    /// The value in the unit of the metric.
    pub value: f64,
}

/// A report that keeps last figures. It does not wait for calls.
pub(super) trait KeepLast: Send + Sync {
    /// Keeps figures that have ended.
    fn keep_last(&self, figures: &[LastFigure]);
}

/// The reports of one process.
type Reports = Mutex<Vec<Weak<dyn KeepLast>>>;

/// One place per generation of forks: a thread of the parent may have held the lock.
static REPORTS: [Reports; 16] = [const { Mutex::new(Vec::new()) }; 16];

fn reports() -> MutexGuard<'static, Vec<Weak<dyn KeepLast>>> {
    let place = forks::count() as usize % REPORTS.len();
    REPORTS[place]
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Passes figures to this report from now on.
pub(super) fn add(report: Weak<dyn KeepLast>) {
    forks::watch();
    let mut reports = reports();
    reports.retain(|report| report.strong_count() > 0);
    reports.push(report);
}

/// Passes figures that end now to the reports of this process, whose pages have their last values
/// unless the series continues. `read` is called if there is a report.
pub fn keep_last_figures(read: impl FnOnce() -> Vec<LastFigure>) {
    let reports: Vec<_> = reports().iter().filter_map(Weak::upgrade).collect();
    if reports.is_empty() {
        return;
    }
    let figures = read();
    for report in reports {
        report.keep_last(&figures);
    }
}
