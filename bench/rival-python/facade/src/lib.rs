//! The path of percolate-otel in percolate-core.

pub use percolate_otel as otel;
