//! Where outputs are cut.

use std::sync::Arc;
use terrace_compaction::{CutOptions, OutputCutter, TableMeta};

fn grandparents(ranges: &[(&str, &str, u64)]) -> Vec<Arc<TableMeta>> {
    let table = |(id, &(from, to, bytes)): (usize, &(&str, &str, u64))| {
        Arc::new(TableMeta::sized(id as u64, from, to, bytes))
    };
    ranges.iter().enumerate().map(table).collect()
}

/// Feeds keys, each of `bytes`, and answers the outputs as `abc|def`.
fn outputs(cutter: &mut OutputCutter, keys: &str, bytes: u64) -> String {
    let (mut text, mut file_bytes) = (String::new(), 0);
    for key in keys.chars() {
        if cutter.cut_before(key.to_string().as_bytes(), file_bytes) {
            text.push('|');
            file_bytes = 0;
        }
        text.push(key);
        file_bytes += bytes;
    }
    text
}

#[test]
fn cut_where_the_task_says_beside_the_size() {
    let cuts = ["a", "b2", "d", "d5", "g"].map(|key| key.as_bytes().to_vec());
    let mut cutter = OutputCutter::new(CutOptions::for_target(20), Vec::new()).with_cuts(cuts.to_vec());
    assert_eq!(outputs(&mut cutter, "abcdefgh", 10), "ab|c|d|ef|gh");
}

#[test]
fn cut_at_the_target_when_nothing_lies_below() {
    let mut cutter = OutputCutter::new(CutOptions::for_target(30), Vec::new());
    assert_eq!(outputs(&mut cutter, "abcdefgh", 10), "abc|def|gh");
}

#[test]
fn never_between_versions_of_one_key_not_even_above_the_maximum() {
    let mut cutter = OutputCutter::new(CutOptions::for_target(30), Vec::new());
    assert_eq!(outputs(&mut cutter, "abbbbbbbbbbcc", 10), "abbbbbbbbbb|cc");
}

#[test]
fn an_empty_output_is_not_cut() {
    let mut cutter =
        OutputCutter::new(CutOptions::for_target(0), grandparents(&[("a", "b", 9), ("c", "d", 9)]));
    assert_eq!(outputs(&mut cutter, "abcd", 0), "abcd");
}

#[test]
fn waits_for_a_boundary_below_up_to_twice_the_target() {
    let below = grandparents(&[("a", "h", 1), ("y", "z", 1)]);
    let mut cutter = OutputCutter::new(CutOptions::for_target(30), below);
    // Six keys are twice the target; the boundary after h is taken by the then small output only when it has its share.
    assert_eq!(outputs(&mut cutter, "abcdefghijklmnopq", 10), "abcdef|gh|ijklmn|opq");
}

#[test]
fn cuts_at_a_boundary_once_half_full_and_a_little() {
    let below = grandparents(&[("a", "e", 1), ("x", "z", 1)]);
    // At the first boundary the share is 55 percent.
    for (target, expected) in [(90, "abcde|fgh"), (91, "abcdefgh")] {
        let mut cutter = OutputCutter::new(CutOptions::for_target(target), below.clone());
        assert_eq!(outputs(&mut cutter, "abcdefgh", 10), expected, "target {target}");
    }
}

#[test]
fn the_share_rises_with_the_boundaries_seen() {
    let below = ["a", "b", "c", "d", "e", "x"].map(|key| (key, if key == "x" { "z" } else { key }, 1));
    let below = grandparents(&below);
    // Two boundaries for each key: the fifth key has seen eight and more, so it takes 90 percent.
    for (bytes, expected) in [(22, "abcde"), (23, "abcd|e")] {
        let mut cutter = OutputCutter::new(CutOptions::for_target(100), below.clone());
        assert_eq!(outputs(&mut cutter, "abcde", bytes), expected);
    }
}

#[test]
fn an_output_does_not_overlap_too_much_below() {
    let below = grandparents(&[("a", "b", 400), ("c", "d", 400), ("e", "f", 400), ("g", "h", 400)]);
    let mut cutter = OutputCutter::new(CutOptions::for_target(100), below);
    assert_eq!(outputs(&mut cutter, "abcdefgh", 1), "abcd|efgh");
}

#[test]
fn tables_below_that_are_behind_do_not_count() {
    let below = grandparents(&[("a", "b", 4000), ("m", "n", 4000), ("y", "z", 1)]);
    let mut cutter = OutputCutter::new(CutOptions::for_target(100), below);
    assert_eq!(outputs(&mut cutter, "mnop", 1), "mn|op");
    // After the cut nothing of the past is left over.
    assert_eq!(outputs(&mut cutter, "qrst", 1), "qrst");
}

#[test]
fn huge_numbers_do_not_overflow() {
    let below = grandparents(&[("a", "b", u64::MAX), ("c", "d", u64::MAX), ("e", "f", u64::MAX)]);
    let mut cutter = OutputCutter::new(CutOptions::for_target(u64::MAX), below);
    assert!(!cutter.cut_before(b"a", 0));
    assert!(cutter.cut_before(b"c", u64::MAX));
}
