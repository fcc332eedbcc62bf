//! Spans and metrics that break rules, and what the Layer finds.

use tracing::Span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{ConventionLayer, ConventionLayerBuilder, Level, Report};

fn report_of(builder: ConventionLayerBuilder, body: impl FnOnce()) -> Report {
    let conventions = builder.build();
    let subscriber = tracing_subscriber::registry().with(conventions.layer());
    tracing::subscriber::with_default(subscriber, body);
    conventions.report()
}

/// Returns `rule subject` of all findings except notes.
fn findings(body: impl FnOnce()) -> Vec<String> {
    findings_of(&report_of(ConventionLayer::builder(), body))
}

fn findings_of(report: &Report) -> Vec<String> {
    report
        .findings()
        .iter()
        .filter(|finding| finding.level > Level::Information)
        .map(|finding| {
            format!("{} {}", finding.rule.id(), finding.subject)
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// A database span that follows every rule. Late fields are declared, and more fields can be added.
macro_rules! get {
    ($($more:tt)*) => {
        tracing::info_span!(
            "get",
            otel.name = "get articles",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            db.system.name = "rocksdb",
            db.operation.name = "get",
            db.collection.name = "articles",
            db.response.returned_rows = tracing::field::Empty,
            db.response.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
            $($more)*
        )
    };
}

/// A job span that follows every rule.
macro_rules! job {
    ($($more:tt)*) => {
        tracing::info_span!(
            "index.build",
            otel.name = "index.build hnsw",
            otel.status_code = tracing::field::Empty,
            job.type = "index.build",
            job.target = "hnsw",
            job.status = tracing::field::Empty,
            error.type = tracing::field::Empty,
            $($more)*
        )
    };
}

fn close(span: Span) {
    span.in_scope(|| ());
    drop(span);
}

mod attributes;
mod examples;
mod metrics;
mod outcome;
mod properties;
mod reports;
mod sampled_spans;
mod span_name;
mod subscribers;
