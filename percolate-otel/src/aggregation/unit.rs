//! The units of the values of histograms.

/// The unit of the values of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds, exported as seconds.
    Nanoseconds,
    /// A number of things.
    Count,
}

impl Unit {
    /// Returns a value in the exported unit.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exported numbers are floats with 53 bits"
    )]
    pub(crate) fn exported(self, value: u64) -> f64 {
        match self {
            Self::Nanoseconds => std::time::Duration::from_nanos(value).as_secs_f64(),
            Self::Count => value as f64,
        }
    }
}
