//! How serious a finding is.

/// The level of a finding. Ordered: a violation is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// A note that needs no change.
    Information,
    /// A recommendation was not followed.
    Improvement,
    /// Telemetry that does not follow the conventions.
    Violation,
}

impl Level {
    /// Returns the level in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Improvement => "improvement",
            Self::Violation => "violation",
        }
    }
}
