//! The `OTEL_*` variables and those of percolate: a snapshot, typed reading, and a [`ConfigWarning`] for each invalid
//! value. The effect of a value on the pipeline is decided in `settings`. Invariant, as the
//! specification requires: an empty value counts as unset, and an invalid value is reported and
//! ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// A snapshot of the variables that configure telemetry.
///
/// [`Telemetry::from_env`](super::Telemetry::from_env) reads those of the process; tests and
/// embedders can pass their own.
///
/// ```
/// use percolate_otel::Environment;
///
/// let environment: Environment = [("OTEL_SERVICE_NAME", "articles")].into_iter().collect();
/// assert_eq!(environment.get("OTEL_SERVICE_NAME"), Some("articles"));
/// ```
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    unreadable: Vec<String>,
}

/// Shows the names of the variables but not their values, which may be secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

/// A variable or option whose value was not used, or only in part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigWarning {
    /// The variable, e.g. `OTEL_TRACES_EXPORTER`; for a builder method, its name.
    pub variable: String,
    /// The problem, and the value that is used instead.
    pub problem: String,
}

impl std::fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.variable, self.problem)
    }
}

impl ConfigWarning {
    /// Whether ignoring the value can multiply the load: without its sampler, a service samples
    /// every trace.
    pub(super) fn is_severe(&self) -> bool {
        self.variable.starts_with("OTEL_TRACES_SAMPLER")
    }
}

impl Environment {
    /// Reads the variables of this process that start with `OTEL_`, `PERCOLATE_REPORT` and
    /// `PERCOLATE_FILE_FOLDER`.
    #[must_use]
    pub fn from_process() -> Self {
        let mut this = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if !name.starts_with("OTEL_") && !known::is_own(&name) {
                continue;
            }
            match value.into_string() {
                Ok(value) => drop(this.variables.insert(name, value)),
                Err(_) => this.unreadable.push(name),
            }
        }
        this
    }

    /// Returns an environment without variables.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns the value of a variable; `None` if it is unset or blank.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.variables
            .iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .map(|(name, _)| name.as_str())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables,
            unreadable: Vec::new(),
        }
    }
}

/// Reads typed values and collects the warnings.
#[derive(Debug)]
pub(super) struct VariableReader<'a> {
    environment: &'a Environment,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl<'a> VariableReader<'a> {
    /// Creates a reader, with warnings for the names of unknown variables.
    pub(super) fn new(environment: &'a Environment) -> Self {
        let mut this = Self {
            environment,
            warnings: Vec::new(),
        };
        for name in &environment.unreadable {
            this.warn(name, "the value is not valid Unicode; ignored");
        }
        for name in environment.names() {
            if let Some(problem) = known::warning(name) {
                this.warn(name, problem);
            }
        }
        this
    }

    /// Adds a warning once: the variables for all signals are read for each signal.
    pub(super) fn warn(&mut self, variable: &str, problem: impl Into<String>) {
        let warning = ConfigWarning {
            variable: variable.to_owned(),
            problem: problem.into(),
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.environment.get(name)
    }

    /// `true` in any letter case is true. Any other value is false, and reported unless it is
    /// `false`.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.text(name)?;
        if value.eq_ignore_ascii_case("true") {
            return Some(true);
        }
        if !value.eq_ignore_ascii_case("false") {
            self.warn(
                name,
                format!("`{value}` is neither true nor false; read as false"),
            );
        }
        Some(false)
    }

    /// Reads a whole number of milliseconds.
    pub(super) fn millis(&mut self, name: &str) -> Option<Duration> {
        self.number(name, "a whole number of milliseconds")
            .map(Duration::from_millis)
    }

    /// Reads a positive count.
    pub(super) fn count(&mut self, name: &str) -> Option<usize> {
        match self.number(name, "a positive whole number")? {
            0 => {
                self.warn(name, "0 is not a positive whole number; ignored");
                None
            }
            count => usize::try_from(count).ok(),
        }
    }

    /// Reads a limit, which may be zero.
    pub(super) fn limit(&mut self, name: &str) -> Option<u32> {
        self.number(name, "a whole number")
            .map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
    }

    fn number(&mut self, name: &str, expected: &str) -> Option<u64> {
        let value = self.text(name)?;
        let number = value.parse().ok();
        if number.is_none() {
            self.warn(name, format!("`{value}` is not {expected}; ignored"));
        }
        number
    }

    /// Reads one of several words in any letter case.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.text(name)?;
        let found = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(value));
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.warn(
                name,
                format!(
                    "`{value}` is not supported; expected one of {}; ignored",
                    words.join(", ")
                ),
            );
        }
        found.map(|(_, choice)| *choice)
    }

    /// Reads a comma-separated list of words; `None` if none of them is known.
    pub(super) fn choices<T: Copy + PartialEq>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Option<Vec<T>> {
        let value = self.text(name)?;
        let mut found = Vec::new();
        for word in value
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match choices
                .iter()
                .find(|(choice, _)| choice.eq_ignore_ascii_case(word))
            {
                Some((_, choice)) if found.contains(choice) => {}
                Some((_, choice)) => found.push(*choice),
                None => {
                    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                    self.warn(
                        name,
                        format!(
                            "`{word}` is not supported; expected {}; ignored",
                            words.join(", ")
                        ),
                    );
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }

    /// Reads headers: `key=value,key=value` with percent-encoded values. An invalid member is
    /// ignored. Values may be secret, and what is left of an equals sign may be a part of one, so that
    /// a warning shows only the position.
    pub(super) fn pairs(&mut self, name: &str) -> Option<Vec<(String, String)>> {
        let value = self.text(name)?;
        let mut pairs = Vec::new();
        for (position, member) in members(value) {
            let header = member.and_then(|(key, value)| match percent_decoded(value) {
                Some(value) if is_header(key, &value) => Ok((key.to_owned(), value)),
                Some(_) => Err("is not a valid header"),
                None => Err("is not percent-encoded text"),
            });
            match header {
                Ok(header) => pairs.push(header),
                Err(problem) => self.warn(name, format!("member {position} {problem}; ignored")),
            }
        }
        Some(pairs)
    }

    /// Reads attributes: `key=value,key=value` with percent-encoded keys and values. As the
    /// specification requires, one invalid member discards the whole value.
    pub(super) fn attributes(&mut self, name: &str) -> Option<Vec<(String, String)>> {
        let value = self.text(name)?;
        let attributes = members(value).map(|(position, member)| {
            let (key, value) = member.map_err(|problem| format!("member {position} {problem}"))?;
            strictly_decoded(key)
                .zip(strictly_decoded(value))
                .ok_or_else(|| format!("member {position} is not percent-encoded text"))
        });
        match attributes.collect() {
            Ok(attributes) => Some(attributes),
            Err(problem) => {
                let problem: String = problem;
                self.warn(name, format!("{problem}; the whole value is ignored"));
                None
            }
        }
    }
}

/// Returns the position, key and value of each member of `key=value,key=value`, or what is wrong
/// with it. Blank members are skipped.
fn members(text: &str) -> impl Iterator<Item = (usize, Result<(&str, &str), &'static str>)> {
    let members = text.split(',').zip(1..);
    members
        .filter(|(member, _)| !member.trim().is_empty())
        .map(|(member, position)| {
            let pair = match member.split_once('=') {
                None => Err("has no `=`"),
                Some((key, _)) if key.trim().is_empty() => Err("has no key"),
                Some((key, value)) => Ok((key.trim(), value.trim())),
            };
            (position, pair)
        })
}

/// Whether a header can be sent over HTTP and gRPC.
fn is_header(name: &str, value: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_value = |byte: u8| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic();
    name.bytes().all(is_name) && value.bytes().all(is_value)
}

/// Decodes percent-encoded text; `None` if the result is not UTF-8. A single `%` is kept.
fn percent_decoded(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}

/// Decodes percent-encoded text; `None` if a `%` is not followed by two hexadecimal digits, or the
/// result is not UTF-8.
fn strictly_decoded(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    let valid = escapes.all(|escape| {
        let digits = escape.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    percent_decoded(text).filter(|_| valid)
}

/// The known variables, so that a misspelled one is reported.
mod known {
    use crate::nearest::nearest_name;

    /// Variables that the pipeline or the SDK reads.
    const READ: &[&str] = &[
        "OTEL_SDK_DISABLED",
        "OTEL_LOG_LEVEL",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_PROPAGATORS",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_LOGS_EXPORTER",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "PERCOLATE_FILE_FOLDER",
        "PERCOLATE_REPORT",
    ];

    /// Variables of percolate, which `Environment::from_process` reads too.
    pub(super) fn is_own(name: &str) -> bool {
        matches!(name, "PERCOLATE_FILE_FOLDER" | "PERCOLATE_REPORT")
    }

    /// Variables of the specification without an effect here.
    const NOT_SUPPORTED: &[&str] = &[
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ENTITIES",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "OTEL_EXPORTER_PROMETHEUS_PORT",
    ];

    /// Variables that name a configuration file.
    const CONFIG_FILES: &[&str] = &["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"];

    /// Prefixes of the variables of other languages, instrumentations and vendors.
    const OTHERS: &[&str] = &[
        "OTEL_INSTRUMENTATION_",
        "OTEL_SEMCONV_",
        "OTEL_PYTHON_",
        "OTEL_JAVA",
        "OTEL_NODE_",
        "OTEL_DOTNET_",
        "OTEL_GO_",
        "OTEL_PHP_",
        "OTEL_RUBY_",
        "OTEL_EXPERIMENTAL_",
        "OTEL_COLLECTOR_",
        "OTEL_RUST_",
    ];

    const OTLP_SUFFIXES: &[&str] = &[
        "ENDPOINT",
        "PROTOCOL",
        "HEADERS",
        "TIMEOUT",
        "COMPRESSION",
        "INSECURE",
        "CERTIFICATE",
        "CLIENT_KEY",
        "CLIENT_CERTIFICATE",
    ];

    /// Returns a warning if a variable of this name is not read.
    pub(super) fn warning(name: &str) -> Option<String> {
        if CONFIG_FILES.contains(&name) {
            let problem = "configuration files are not supported; the other variables are used";
            return Some(problem.to_owned());
        }
        if READ.contains(&name)
            || is_otlp(name)
            || OTHERS.iter().any(|prefix| name.starts_with(prefix))
        {
            return None;
        }
        if NOT_SUPPORTED.contains(&name) {
            return Some("not supported; ignored".to_owned());
        }
        let known = READ.iter().map(|known| (*known).to_owned());
        // A variable with a different name may belong to another program.
        nearest_name(name, known.chain(otlp_names()))
            .map(|known| format!("unknown variable; ignored (did you mean `{known}`?)"))
    }

    fn is_otlp(name: &str) -> bool {
        otlp_names().any(|known| known == name)
    }

    fn otlp_names() -> impl Iterator<Item = String> {
        ["", "TRACES_", "METRICS_", "LOGS_"]
            .into_iter()
            .flat_map(|signal| {
                OTLP_SUFFIXES
                    .iter()
                    .map(move |suffix| format!("OTEL_EXPORTER_OTLP_{signal}{suffix}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_blank_value_counts_as_unset() {
        let environment =
            environment(&[("OTEL_SERVICE_NAME", "  "), ("OTEL_BSP_MAX_QUEUE_SIZE", "")]);
        let mut reader = VariableReader::new(&environment);
        assert_eq!(reader.text("OTEL_SERVICE_NAME"), None);
        assert_eq!(reader.count("OTEL_BSP_MAX_QUEUE_SIZE"), None);
        assert_eq!(reader.warnings, []);
    }

    #[test]
    fn an_unreadable_number_is_reported_and_ignored() {
        let environment = environment(&[("OTEL_BSP_SCHEDULE_DELAY", "5s")]);
        let mut reader = VariableReader::new(&environment);
        assert_eq!(reader.millis("OTEL_BSP_SCHEDULE_DELAY"), None);
        let warnings: Vec<_> = reader.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            ["OTEL_BSP_SCHEDULE_DELAY: `5s` is not a whole number of milliseconds; ignored"]
        );
    }

    #[test]
    fn a_misspelled_variable_is_reported_with_the_nearest_name() {
        let environment = environment(&[("OTEL_EXPORTER_OTLP_ENPOINT", "http://collector:4317")]);
        let reader = VariableReader::new(&environment);
        assert_eq!(
            reader.warnings[0].problem,
            "unknown variable; ignored (did you mean `OTEL_EXPORTER_OTLP_ENDPOINT`?)"
        );
    }

    #[test]
    fn variables_of_other_languages_are_not_reported() {
        let environment = environment(&[
            ("OTEL_PYTHON_LOG_CORRELATION", "true"),
            ("OTEL_VENDOR_THING", "1"),
        ]);
        assert_eq!(VariableReader::new(&environment).warnings, []);
    }

    #[test]
    fn pairs_are_percent_decoded_and_warnings_contain_no_value() {
        let environment = environment(&[(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20abc, x=%FF ,secret",
        )]);
        let mut reader = VariableReader::new(&environment);
        let pairs = reader.pairs("OTEL_EXPORTER_OTLP_HEADERS");
        assert_eq!(
            pairs,
            Some(vec![("authorization".to_owned(), "Bearer abc".to_owned())])
        );
        assert_eq!(reader.warnings.len(), 2);
        assert!(
            reader
                .warnings
                .iter()
                .all(|warning| !warning.problem.contains("secret"))
        );
    }

    #[test]
    fn a_list_keeps_its_known_words() {
        let environment = environment(&[("OTEL_TRACES_EXPORTER", "zipkin, console,console")]);
        let mut reader = VariableReader::new(&environment);
        let choices = [("otlp", 1), ("console", 2)];
        assert_eq!(
            reader.choices("OTEL_TRACES_EXPORTER", &choices),
            Some(vec![2])
        );
        assert_eq!(reader.warnings.len(), 1);
    }
}
