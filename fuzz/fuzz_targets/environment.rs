//! Runs the target `environment` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| percolate_fuzz_targets::environment(data));
