//! A filter used alone: skip the slow look-up for words that are surely not in a list.
//!
//! `cargo run -p terrace-bloom --example alone`
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use terrace_bloom::{BlockedBloom, Filter, FilterError, KeyHash};

fn main() -> Result<(), FilterError> {
    let words: Vec<String> = (0..10_000).map(|number| format!("word{number}")).collect();

    // The side that writes: hashes in, bytes out. The bytes may go to a disk or over a network.
    let hashes: Vec<KeyHash> = words.iter().map(|word| KeyHash::of(word.as_bytes())).collect();
    let stored: Vec<u8> = BlockedBloom::build(&hashes, 10.0);

    // The side that reads: answers come straight from the bytes, which may be borrowed.
    let filter = BlockedBloom::open(stored.as_slice())?;
    let may_contain = |word: &str| filter.may_contain(KeyHash::of(word.as_bytes()));

    assert!(words.iter().all(|word| may_contain(word)), "no word of the list is ever lost");
    let wrong = (0..100_000).filter(|number| may_contain(&format!("other{number}"))).count();
    println!("{} words in {} bytes", words.len(), stored.len());
    println!("{wrong} of 100000 other words would be looked up in vain");
    Ok(())
}
