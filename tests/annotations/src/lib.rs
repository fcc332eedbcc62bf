//! Tests of the annotations on the instrumentation alone: the span of every kind of function (`tests/shapes.rs`) and
//! what compiles and what does not (`tests/ui.rs`). Nothing here needs the store, so it builds in seconds.
