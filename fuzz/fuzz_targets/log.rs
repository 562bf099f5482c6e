#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| terrace_wal::testing::check_log_bytes(input));
