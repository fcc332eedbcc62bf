//! Runs the target `headers` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| percolate_fuzz_targets::headers(data));
