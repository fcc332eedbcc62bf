//! Runs the target `saved_index` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| percolate_fuzz_targets::saved_index(data));
