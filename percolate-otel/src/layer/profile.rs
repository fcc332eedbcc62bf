//! What happens with findings.

/// What happens with findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// Checks nothing.
    Off,
    /// Collects findings for [`ConventionLayer::report`](super::ConventionLayer::report).
    #[default]
    Collect,
    /// As `Collect`. The first finding of each rule at each call site is also logged, as a WARN
    /// event with the target [`LOG_TARGET`](super::LOG_TARGET) outside of any span.
    Log,
    /// As `Collect`, and nothing is tolerated. At the end of a
    /// [test scope](super::ConventionLayer::test_scope) the test fails on any finding.
    Strict,
}

impl Profile {
    /// Returns the profile in the environment variable `PERCOLATE_CONVENTIONS` (`off`, `collect`,
    /// `log` or `strict`), or `otherwise` if the variable is unset or has another value.
    pub fn from_env_or(otherwise: Self) -> Self {
        let named = std::env::var("PERCOLATE_CONVENTIONS").unwrap_or_default();
        match named.trim().to_ascii_lowercase().as_str() {
            "off" => Self::Off,
            "collect" => Self::Collect,
            "log" => Self::Log,
            "strict" => Self::Strict,
            _ => otherwise,
        }
    }
}
