//! One finding: a broken rule at one place. It contains names, types, places and counts, never a
//! value.

use std::fmt;

use super::cases::Rule;
use super::level::Level;

/// Where a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A `tracing` call site.
    CallSite {
        /// The name of the span in the source code, not its `otel.name`.
        span: String,
        /// The `tracing` target.
        target: String,
        /// The source file, if known.
        file: Option<String>,
        /// The line in the source file, if known.
        line: Option<u32>,
    },
    /// A metric.
    Metric {
        /// The name of the metric.
        name: String,
        /// The instrumentation scope of the metric.
        scope: String,
    },
}

impl Place {
    /// Returns a key that sorts places by file and line, metrics last.
    pub(super) fn order(&self) -> (bool, &str, u32, &str) {
        match self {
            Self::CallSite {
                span, file, line, ..
            } => (
                false,
                file.as_deref().unwrap_or(""),
                line.unwrap_or(0),
                span,
            ),
            Self::Metric { name, scope } => (true, scope, 0, name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallSite {
                span,
                target,
                file: Some(file),
                line,
            } => {
                write!(f, "{file}:{}: span `{span}` ({target})", line.unwrap_or(0))
            }
            Self::CallSite { span, target, .. } => write!(f, "span `{span}` ({target})"),
            Self::Metric { name, scope } => write!(f, "metric `{name}` (scope `{scope}`)"),
        }
    }
}

/// The attributes of one example, as names and types.
pub type Example = Vec<(String, &'static str)>;

/// One broken rule at one place, with a count.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The level of this finding, which may be lower than the level of the rule.
    pub level: Level,
    /// Where the rule was broken.
    pub place: Place,
    /// The attribute or other name; empty for the span or metric as a whole.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// How many spans (or points of a metric) broke the rule.
    pub count: u64,
    /// The attributes of the first span (or point) that broke the rule.
    pub first: Example,
    /// The attributes of the last one.
    pub last: Example,
}
