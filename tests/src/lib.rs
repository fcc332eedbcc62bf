//! Runs the Rust code of the documentation pages as doctests.

/// The code of `docs/propagation.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/propagation.md")]
mod propagation {}

/// The code of `docs/pipeline.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/pipeline.md")]
mod pipeline {}

/// The program in `README.md`.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The code of `docs/sql.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sql.md")]
mod sql {}

/// The code of `docs/scaling.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/scaling.md")]
mod scaling {}
