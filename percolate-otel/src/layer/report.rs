//! The findings, ready to be read: as text, as JSON, and as annotations of a GitHub workflow.
//!
//! A report holds names of attributes and their types, places in the source and counts; never a value.

use std::fmt::{self, Write as _};

use super::rule::{Level, Rule};

/// Where a finding was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A `tracing` call site.
    CallSite {
        /// The span's name as the source has it; not the `otel.name` of one run.
        span: String,
        /// The `tracing` target.
        target: String,
        /// The source file, if it is known.
        file: Option<String>,
        /// The line in the source file, if it is known.
        line: Option<u32>,
    },
    /// A metric.
    Metric {
        /// Its name.
        name: String,
        /// The instrumentation scope it was recorded under.
        scope: String,
    },
}

impl Place {
    /// Sorts places: by file and line, metrics last.
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

/// The attributes of one example: name and type.
pub type Example = Vec<(String, &'static str)>;

/// One broken rule at one place, however often.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// How bad it is.
    pub level: Level,
    /// Where it was broken.
    pub place: Place,
    /// The attribute or other name it is about; empty for the span or metric as a whole.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// How often.
    pub count: u64,
    /// What the first span (or point) that broke it carried.
    pub first: Example,
    /// What the last one carried.
    pub last: Example,
}

/// Everything the Layer found, by place, most serious first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    pub(super) findings: Vec<Finding>,
    /// Spans that were checked.
    pub spans: u64,
    /// Call sites these spans come from.
    pub call_sites: usize,
    /// Metrics that were checked.
    pub metrics: usize,
    /// From which level on [`assert_clean`](Self::assert_clean) fails.
    pub fail_on: Level,
}

impl Report {
    /// All findings: by file and line, at each place the most serious first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings that break one rule.
    pub fn of(&self, rule: Rule) -> Vec<&Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.rule == rule)
            .collect()
    }

    /// Whether nothing was found that is as bad as [`fail_on`](Self::fail_on).
    pub fn is_clean(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.level < self.fail_on)
    }

    /// Fails a test on any finding that is as bad as [`fail_on`](Self::fail_on).
    ///
    /// # Panics
    ///
    /// Unless the report [is clean](Self::is_clean); the message is the report.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(
            self.is_clean(),
            "telemetry does not follow the conventions\n{self}"
        );
    }

    /// The report as JSON: `{"spans": 1, "call_sites": 1, "metrics": 0, "findings": [{"rule": …, "level": …, …}]}`.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let _ = write!(
            out,
            "{{\"spans\":{},\"call_sites\":{},\"metrics\":{},\"findings\":[",
            self.spans, self.call_sites, self.metrics
        );
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json_finding(&mut out, finding);
        }
        out.push_str("]}");
        out
    }

    /// The report as workflow commands of GitHub: one annotation at the source line of each finding.
    ///
    /// `root` is taken off file names, so that they become relative to the repository.
    pub fn to_github(&self, root: &str) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let command = match finding.level {
                Level::Violation => "error",
                Level::Improvement => "warning",
                Level::Information => "notice",
            };
            let _ = write!(out, "::{command} title={}", property(finding.rule.id()));
            if let Place::CallSite {
                file: Some(file),
                line,
                ..
            } = &finding.place
            {
                let file = file
                    .strip_prefix(root)
                    .unwrap_or(file)
                    .trim_start_matches('/');
                let _ = write!(out, ",file={},line={}", property(file), line.unwrap_or(1));
            }
            let text = format!(
                "{} (×{}). {}. {}",
                finding.place, finding.count, finding.message, finding.help
            );
            let _ = writeln!(out, "::{}", message(&text));
        }
        out
    }
}

impl fmt::Display for Report {
    /// The report as a person wants to read it: by place, most serious first, informational findings as a count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |level| {
            self.findings
                .iter()
                .filter(|finding| finding.level == level)
                .count()
        };
        let (violations, improvements) = (count(Level::Violation), count(Level::Improvement));
        write!(
            f,
            "conventions: {} from {} checked",
            numbered(self.spans, "span"),
            numbered(self.call_sites as u64, "call site")
        )?;
        if self.metrics > 0 {
            write!(f, ", {}", numbered(self.metrics as u64, "metric"))?;
        }
        if violations + improvements == 0 {
            f.write_str(": no problems found")?;
        } else {
            write!(
                f,
                ": {}, {}",
                numbered(violations as u64, "violation"),
                numbered(improvements as u64, "improvement")
            )?;
        }
        match count(Level::Information) {
            0 => writeln!(f)?,
            notes => writeln!(f, " ({})", numbered(notes as u64, "note"))?,
        }
        let mut place = None;
        for finding in self
            .findings
            .iter()
            .filter(|finding| finding.level > Level::Information)
        {
            if place != Some(&finding.place) {
                writeln!(f, "\n{}", finding.place)?;
                place = Some(&finding.place);
            }
            writeln!(
                f,
                "  {} {} ×{}",
                finding.level.as_str(),
                finding.rule.id(),
                finding.count
            )?;
            writeln!(f, "    {}", finding.message)?;
            writeln!(f, "    → {}", finding.help)?;
        }
        Ok(())
    }
}

fn numbered(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn json_finding(out: &mut String, finding: &Finding) {
    let _ = write!(
        out,
        "{{\"rule\":{},\"level\":{},\"subject\":{},\"message\":{},\"help\":{},\"count\":{}",
        json(finding.rule.id()),
        json(finding.level.as_str()),
        json(&finding.subject),
        json(&finding.message),
        json(&finding.help),
        finding.count
    );
    match &finding.place {
        Place::CallSite {
            span,
            target,
            file,
            line,
        } => {
            let _ = write!(out, ",\"span\":{},\"target\":{}", json(span), json(target));
            if let Some(file) = file {
                let _ = write!(
                    out,
                    ",\"file\":{},\"line\":{}",
                    json(file),
                    line.unwrap_or(0)
                );
            }
        }
        Place::Metric { name, scope } => {
            let _ = write!(out, ",\"metric\":{},\"scope\":{}", json(name), json(scope));
        }
    }
    for (key, example) in [("first", &finding.first), ("last", &finding.last)] {
        let fields: Vec<String> = example
            .iter()
            .map(|(name, kind)| format!("{}:{}", json(name), json(kind)))
            .collect();
        let _ = write!(out, ",\"{key}\":{{{}}}", fields.join(","));
    }
    out.push('}');
}

/// A JSON string.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The text of a workflow command.
fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
