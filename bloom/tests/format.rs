//! The stored forms held still: golden bytes, and a reader written from FORMAT.md alone that must agree on every answer.

use terrace_bloom::testing::{Golden, check_golden, hashes};
use terrace_bloom::{BlockedBloom, Filter, KeyHash, StandardBloom};

fn key_hashes(keys: core::ops::Range<usize>) -> Vec<KeyHash> {
    keys.map(|number| KeyHash::of(format!("key{number}").as_bytes())).collect()
}

fn hex(bytes: &[u8]) -> String {
    let lines =
        bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Builds the filter of key0 .. key19 at 10 bits per key and holds it against the bytes of the first build ever made.
fn check_bytes_of_twenty_keys<F: Filter>(golden: &str) {
    let present = key_hashes(0..20);
    assert_eq!(hex(&F::build(&present, 10.0)), golden, "{}: the stored form changed", F::NAME);
    check_golden::<F>(&Golden { bytes: &unhex(golden), present: &present, absent: &key_hashes(900..904) });
}

const STANDARD_GOLDEN: &str = "\
5b1744817c6265e39001a2e29902bee4
c77c02b009e28e22ab54c0312460abd9
04000000000000000000000000000701";

const BLOCKED_GOLDEN: &str = "\
4083100a18031362080118080210a041
15424090011b740348010011a0810112
01092a000805422852010a0040400051
14013a02603108204828200008c04001
01000000000000000000000000000601";

#[test]
fn standard_bytes_are_those_of_the_first_build() {
    check_bytes_of_twenty_keys::<StandardBloom>(STANDARD_GOLDEN);
}

#[test]
fn blocked_bytes_are_those_of_the_first_build() {
    check_bytes_of_twenty_keys::<BlockedBloom>(BLOCKED_GOLDEN);
}

/// Larger filters by the hash of their bytes: many words, many lines, and one word of probes or several.
#[test]
fn larger_filters_are_those_of_the_first_build() {
    let present = key_hashes(0..10_000);
    let digest = |stored: Vec<u8>| format!("{} {:016x}", stored.len(), KeyHash::of(&stored).0);
    assert_eq!(digest(StandardBloom::build(&present, 10.0)), "12520 6c20a01cd932fc5e");
    assert_eq!(digest(StandardBloom::build(&present, 43.0)), "53768 4ed05f06f771bb2c");
    assert_eq!(digest(BlockedBloom::build(&present, 10.0)), "12560 cfd679c3eda9731b");
    assert_eq!(digest(BlockedBloom::build(&present, 32.0)), "40016 306bb7d1a872222f");
}

#[test]
fn an_empty_set_is_one_unit_of_zeros() {
    let footer = |k: u8| [&[1, 0, 0, 0, 0, 0, 0, 0], &[0; 6][..], &[k, 1]].concat();
    assert_eq!(StandardBloom::build(&[], 10.0), [vec![0; 8], footer(7)].concat());
    assert_eq!(BlockedBloom::build(&[], 10.0), [vec![0; 64], footer(6)].concat());
}

fn bit(body: &[u8], number: u64) -> bool {
    body[(number / 8) as usize] >> (number % 8) & 1 == 1
}

fn high_half(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// Units, k and body, as the page lays them out.
fn parts(stored: &[u8], unit_bytes: usize) -> (u64, u64, &[u8]) {
    let (body, footer) = stored.split_at(stored.len() - 16);
    let units = u64::from_le_bytes(footer[..8].try_into().unwrap());
    assert_eq!(body.len() as u64, units * unit_bytes as u64);
    assert_eq!((&footer[8..14], footer[15]), (&[0; 6][..], 1));
    (units, u64::from(footer[14]), body)
}

fn standard_by_the_page(stored: &[u8], h: u64) -> bool {
    let (units, k, body) = parts(stored, 8);
    let step = h.wrapping_mul(0x517c_c1b7_2722_0a95);
    let mut x = h;
    (0..k).all(|probe| {
        if probe > 0 {
            x = x.rotate_left(5).wrapping_add(step);
        }
        bit(body, high_half(x, units * 64))
    })
}

fn blocked_by_the_page(stored: &[u8], h: u64) -> bool {
    let (units, k, body) = parts(stored, 64);
    let remix = |x: u64| {
        let (a, b) = (x ^ 0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345);
        high_half(a, b) ^ a.wrapping_mul(b)
    };
    let line = &body[high_half(h, units) as usize * 64..][..64];
    let mut w = vec![remix(h)];
    (0..k).all(|i| {
        while w.len() as u64 <= i / 7 {
            w.push(remix(w[w.len() - 1]));
        }
        bit(line, w[(i / 7) as usize] >> (9 * (i % 7)) & 511)
    })
}

fn check_against_the_page<F: Filter>(by_the_page: fn(&[u8], u64) -> bool) {
    for (keys, bits_per_key) in
        [(0, 10.0), (1, 1.0), (7, 3.0), (500, 10.0), (3000, 6.5), (400, 17.0), (300, 50.0)]
    {
        let present: Vec<KeyHash> = hashes(1).take(keys).collect();
        let stored = F::build(&present, bits_per_key);
        let reader = F::open(stored.as_slice()).unwrap();
        for hash in present.iter().copied().chain(hashes(2).take(3000)) {
            let by_page = by_the_page(&stored, hash.0);
            assert_eq!(F::may_contain(&reader, hash), by_page, "{} {keys} {bits_per_key} {hash:?}", F::NAME);
        }
    }
}

#[test]
fn standard_answers_as_a_reader_written_from_the_format_page() {
    check_against_the_page::<StandardBloom>(standard_by_the_page);
}

#[test]
fn blocked_answers_as_a_reader_written_from_the_format_page() {
    check_against_the_page::<BlockedBloom>(blocked_by_the_page);
}
