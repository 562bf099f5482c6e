#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| terrace::testing::check_manifest_bytes(input));
