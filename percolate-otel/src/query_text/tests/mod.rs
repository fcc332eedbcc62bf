//! Tests of query text.

mod dialects;
mod official;
mod properties;
mod summaries;
mod texts;
