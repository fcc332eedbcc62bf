//! Tests of the annotations with percolate-otel only: the spans of every kind of function
//! (`tests/shapes.rs`), compile errors (`tests/ui.rs`), and the examples of the manual, which are
//! the doctests of this crate. Nothing here depends on percolate-core, so it builds in seconds.

/// The examples of `docs/macros.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/macros.md")]
pub struct Manual;

/// The examples of `docs/existing-telemetry.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/existing-telemetry.md")]
pub struct ExistingTelemetry;

/// The examples of `docs/annotate-your-engine.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/annotate-your-engine.md")]
pub struct YourEngine;
