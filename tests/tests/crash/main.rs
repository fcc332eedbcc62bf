//! What a database keeps when its process is killed (`kills`) and when its disk fails (`disk`), under
//! the mixed load of `load`.
//!
//! The process that writes is this test program, which runs only an ignored test.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

#[cfg(target_os = "linux")]
mod disk;
#[path = "../engine/mod.rs"]
mod engine;
mod kills;
mod load;

#[cfg(not(target_os = "linux"))]
#[test]
#[ignore = "errors of the disk are produced by a preloaded library, for Linux only"]
fn every_error_of_the_disk_is_typed_and_loses_nothing() {}
