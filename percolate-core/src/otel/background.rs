//! Background job spans made by hand: [`background_span`], [`record_background_metrics`]. `#[background_job]` does
//! the same and more: it measures, and reads the outcome from the returned value.

use super::conventions as names;
use super::metrics::Names;
use super::operation::span_by_hand;
use super::site::{Site, attr};

/// Job types known by name, and any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackgroundJobType {
    /// Builds an index.
    IndexBuild,
    /// Writes an index to disk.
    IndexSave,
    /// Reads an index from disk.
    IndexLoad,
    /// Rebuilds the field indexes of a schema.
    IndexFieldRebuild,
    /// Rebuilds the key index.
    IndexKeyRebuild,
    /// Computes embeddings.
    EmbeddingGenerate,
    /// Writes the log to disk.
    WalFlush,
    /// Compacts a column family.
    DbCompact,
    /// Another job; dotted words in lower snake case.
    Other(&'static str),
}

macro_rules! job_types {
    ($($variant:ident = $name:literal),* $(,)?) => {
        impl BackgroundJobType {
            /// The value of `job.type`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            fn site(self) -> &'static Site {
                match self {
                    $(Self::$variant => {
                        crate::__private::site!(SITE, job, INFO, BY_HAND, [], { name: $name, by_hand: true });
                        &SITE
                    })*
                    Self::Other(_) => {
                        crate::__private::site!(SITE, job, INFO, BY_HAND, [], { name: "job", by_hand: true });
                        &SITE
                    }
                }
            }
        }
    };
}

const BY_HAND: u32 = attr::JOB_TARGET | attr::JOB_BATCH_SIZE;

job_types! {
    IndexBuild = "index.build",
    IndexSave = "index.save",
    IndexLoad = "index.load",
    IndexFieldRebuild = "index.field.rebuild",
    IndexKeyRebuild = "index.key.rebuild",
    EmbeddingGenerate = "embedding.generate",
    WalFlush = "wal.flush",
    DbCompact = "db.compact",
}

/// A span for one run of a background job, named `{job type} {target}`.
///
/// Enter it around synchronous code; around a future use `.instrument(span)` of `tracing`, never a guard across
/// `.await`. Record how it ended with [`record_background_metrics`] while it is entered.
///
/// # Examples
/// ```
/// use percolate_core::otel::{BackgroundJobType, background_span, record_background_metrics};
///
/// let _span = background_span(BackgroundJobType::IndexBuild, "hnsw").entered();
/// let started = std::time::Instant::now();
/// let vectors = 1000;
/// record_background_metrics(Some(vectors), Some(started.elapsed().as_millis() as u64), "success");
/// ```
#[must_use = "a span does nothing until it is entered"]
pub fn background_span(job_type: BackgroundJobType, target: &str) -> tracing::Span {
    let about = Names { target: Some(target), ..Names::default() };
    span_by_hand(job_type.site(), job_type.as_str(), about, None)
}

/// Records on the current span, made by [`background_span`], how the run ended.
///
/// `duration_ms` is in milliseconds. `status` is `success`, `partial`, `failed` or `cancelled`; `failed` marks the
/// span as an error of type `_OTHER` (record `error.type` yourself where you know better). `started`, which the
/// founding examples record first, is not an outcome: it leaves `job.status` for the end.
pub fn record_background_metrics(batch_size: Option<u64>, duration_ms: Option<u64>, status: &str) {
    let span = tracing::Span::current();
    for (name, number) in [(names::JOB_BATCH_SIZE, batch_size), (names::JOB_DURATION_MS, duration_ms)] {
        if let Some(number) = number {
            span.record(name, i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
    if status == "started" {
        return;
    }
    span.record(names::JOB_STATUS, status);
    if status == "failed" {
        span.record(names::OTEL_STATUS_CODE, "ERROR");
        span.record(names::ERROR_TYPE, names::ERROR_TYPE_OTHER);
    }
}
