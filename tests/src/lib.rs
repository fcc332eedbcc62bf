//! Tests

/// The code on the page about trace context, run as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../docs/propagation.md")]
mod propagation {}

/// The code on the page about the pipeline.
#[cfg(doctest)]
#[doc = include_str!("../../docs/pipeline.md")]
mod pipeline {}

/// The program on the front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The code on the page about SQL.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sql.md")]
mod sql {}
