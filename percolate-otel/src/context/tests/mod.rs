//! Tests of trace context: the cases of the W3C test suite, and properties.

mod conformance;
mod properties;
