//! All findings of a Layer, and their formats: text, JSON and annotations of a GitHub workflow.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};

use super::cases::Rule;
use super::finding::{Finding, Place};
use super::level::Level;

/// All findings of a Layer, sorted by place and level.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    pub(super) findings: Vec<Finding>,
    /// The number of checked spans.
    pub spans: u64,
    /// The number of call sites of these spans.
    pub call_sites: usize,
    /// The number of checked metrics.
    pub metrics: usize,
    /// The lowest level at which [`assert_clean`](Self::assert_clean) fails.
    pub fail_on: Level,
}

impl Report {
    /// Sorts the findings by place, level, rule and subject.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            let key = |finding: &Finding| (Reverse(finding.level), finding.rule);
            (a.place.order(), key(a), &a.subject).cmp(&(b.place.order(), key(b), &b.subject))
        });
    }

    /// Returns all findings by file and line, and at each place by level, violations first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the findings of one rule.
    pub fn of(&self, rule: Rule) -> Vec<&Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.rule == rule)
            .collect()
    }

    /// Returns whether all findings are below the level [`fail_on`](Self::fail_on).
    pub fn is_clean(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.level < self.fail_on)
    }

    /// Fails a test on any finding at or above the level [`fail_on`](Self::fail_on).
    ///
    /// # Panics
    ///
    /// Panics with the report as its message unless the report [is clean](Self::is_clean).
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(
            self.is_clean(),
            "telemetry does not follow the conventions\n{self}"
        );
    }

    /// Returns the report as JSON: `{"spans": 1, "call_sites": 1, "metrics": 0, "findings":
    /// [{"rule": …, "level": …, …}]}`.
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

    /// Returns the report as workflow commands of GitHub: one annotation at the source line of each
    /// finding.
    ///
    /// `root` is removed from the start of file names, so that they become relative to the
    /// repository.
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
            let _ = writeln!(out, "::{}", escaped(&text));
        }
        out
    }
}

impl fmt::Display for Report {
    /// Writes the findings by place, violations first. Findings of the level information are only
    /// counted.
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

/// Returns a text as a JSON string.
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

/// Escapes the text of a workflow command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}
