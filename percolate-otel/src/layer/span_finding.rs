//! Puts a finding of a call site into words. Only done for reports and log lines, never while spans
//! are recorded.

use super::call_site::CallSite;
use super::facts::Facts;
use super::finding::{Example, Finding, Place};
use super::finding_slot::{FindingSlot, Subject};
use super::registry::{Class, Registry};
use super::seen::Seen;
use crate::conventions::attribute;

/// Returns one finding of a call site.
pub(crate) fn span_finding(site: &CallSite, slot: &FindingSlot, registry: &Registry) -> Finding {
    let (subject, found) = match slot.subject {
        Subject::Span => ("", ""),
        Subject::Known(name) => (name, ""),
        Subject::Missing(index) => (
            site.missing
                .get(usize::from(index))
                .map_or("", String::as_str),
            "",
        ),
        Subject::Field(index) => {
            let index = usize::from(index);
            (site.field(index), slot.last.type_of(index))
        }
    };
    let facts = Facts {
        registry,
        subject,
        span: &site.span_type,
        found,
        kind: &site.kind,
        name: &name_pattern(site, &slot.last),
        metric: None,
    };
    let (message, help) = slot.case.message_and_help(&facts);
    let metadata = site.metadata;
    Finding {
        rule: slot.case.rule(),
        level: slot.case.level(),
        place: Place::CallSite {
            span: metadata.name().to_owned(),
            target: metadata.target().to_owned(),
            file: metadata.file().map(str::to_owned),
            line: metadata.line(),
        },
        subject: subject.to_owned(),
        message,
        help,
        count: slot.count,
        first: example(site, &slot.first),
        last: example(site, &slot.last),
    }
}

/// Returns the pattern of the name of a span with these fields.
fn name_pattern(site: &CallSite, seen: &Seen) -> String {
    let keys = if site.class == Class::Job {
        [attribute::JOB_TYPE, attribute::JOB_TARGET]
    } else if seen.given() & site.masks.summary != 0 {
        [attribute::DB_QUERY_SUMMARY, ""]
    } else {
        [attribute::DB_OPERATION_NAME, attribute::DB_COLLECTION_NAME]
    };
    let is_given = |key: &str| {
        (0..site.roles.len())
            .any(|index| seen.given() & (1 << index) != 0 && site.field(index) == key)
    };
    let parts: Vec<String> = keys
        .iter()
        .filter(|key| is_given(key))
        .map(|key| format!("{{{key}}}"))
        .collect();
    parts.join(" ")
}

fn example(site: &CallSite, seen: &Seen) -> Example {
    let given = seen.given();
    (0..site.roles.len())
        .filter(|index| given & (1 << index) != 0)
        .map(|index| (site.field(index).to_owned(), seen.type_of(index)))
        .collect()
}
