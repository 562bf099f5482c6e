#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| terrace_bloom::testing::check_filter_bytes(input));
