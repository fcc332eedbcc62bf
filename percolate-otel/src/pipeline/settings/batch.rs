//! [`BatchSettings`].

use std::time::Duration;

/// The limits of a queue of spans or log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct BatchSettings {
    pub(in super::super) queue: usize,
    pub(in super::super) batch: usize,
    pub(in super::super) delay: Duration,
    pub(in super::super) export_timeout: Duration,
}
