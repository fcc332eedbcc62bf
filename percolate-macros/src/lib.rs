//! Attribute macros of percolate.
