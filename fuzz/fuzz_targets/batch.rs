#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| terrace::testing::check_batch_bytes(input));
