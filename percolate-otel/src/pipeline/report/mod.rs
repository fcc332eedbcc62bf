//! The report: one HTML page with what the pipeline has recorded, which opens without a server. It
//! is written at a flush and at the shutdown.
//!
//! [`traces`] selects the traces that are kept, [`flame`] and [`heat`] sum up all of them over names
//! and over time, [`figures`] copies the metrics, [`data`] writes all as JSON, and [`page`] puts that
//! into the template. [`last_figures`] has values of metrics that have ended. [`handle`] has [`Report`], which the exporters in [`exporters`] fill.
//!
//! Invariants: memory is bounded ([`Limits`](limits::Limits)), what is left out is counted and shown,
//! and no text of the program becomes markup.

mod data;
mod exporters;
mod figures;
mod flame;
mod handle;
mod heat;
mod kept;
mod last_figures;
mod limits;
mod losses;
mod open_trace;
mod page;
mod traces;

pub(super) use exporters::{ReportMetrics, ReportSpans};
pub(super) use handle::{Report, ReportOptions};
pub use last_figures::{LastFigure, keep_last_figures};
pub(super) use losses::PipelineState;
