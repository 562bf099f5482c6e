#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| terrace_sstable::testing::check_footer_bytes(input));
