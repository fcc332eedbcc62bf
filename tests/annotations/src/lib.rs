//! Tests of the annotations on the instrumentation alone: the span of every kind of function (`tests/shapes.rs`), what
//! compiles and what does not (`tests/ui.rs`), and the examples of the manual, which are the doctests of this crate.
//! Nothing here needs the store, so it builds in seconds.

/// The examples of `docs/macros.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/macros.md")]
pub struct Manual;

/// The examples of `docs/annotate-your-engine.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/annotate-your-engine.md")]
pub struct YourEngine;
