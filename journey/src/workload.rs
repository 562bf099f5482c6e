//! The same small workload for every step: each key is written, in a scattered order, and then each is written once more with another value.

use std::ops::Range;

use crate::Outcome;

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub const VALUE_BYTES: usize = 100;
/// Bytes of a key and its value.
pub const PAIR_BYTES: u64 = (KEY_BYTES + VALUE_BYTES) as u64;
/// Keys when no number is given.
pub const KEYS_DEFAULT: u64 = 50_000;
/// Fewer keys would fit into the first memtable, and there would be nothing to see.
pub const KEYS_MIN: u64 = 5_000;

/// A key: 16 hexadecimal digits.
pub type Key = [u8; KEY_BYTES];
/// A value.
pub type Value = [u8; VALUE_BYTES];
/// A key and its value.
pub type Pair = (Key, Value);

/// Keys and values, all of them functions of a number.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    keys: u64,
}

impl Workload {
    /// With as many keys as the first argument of the program says.
    ///
    /// # Errors
    ///
    /// When it is no number, or less than [`KEYS_MIN`].
    pub fn from_arguments() -> Outcome<Self> {
        let keys = match std::env::args().nth(1) {
            Some(argument) => argument.parse().map_err(|_| format!("`{argument}` is no number of keys"))?,
            None => KEYS_DEFAULT,
        };
        if keys < KEYS_MIN {
            return Err(format!("{keys} keys are too few to see anything; give {KEYS_MIN} or more").into());
        }
        Ok(Workload { keys })
    }

    /// With this many keys.
    #[must_use]
    pub fn of(keys: u64) -> Self {
        Workload { keys }
    }

    /// How many different keys there are.
    #[must_use]
    pub fn keys(self) -> u64 {
        self.keys
    }

    /// Bytes of each key once, with its newest value: what the data would take if nothing were wasted.
    #[must_use]
    pub fn live_bytes(self) -> u64 {
        self.keys * PAIR_BYTES
    }

    /// The writes of the first round: each key once.
    pub fn first_round(self) -> impl Iterator<Item = Pair> {
        (0..self.keys).map(move |index| pair(self.shuffled(index, 0), 0))
    }

    /// The writes of the second round, in another order, from one of them to another.
    pub fn second_round(self, writes: Range<u64>) -> impl Iterator<Item = Pair> {
        writes.map(move |index| pair(self.shuffled(index, 1), 1))
    }

    /// All writes.
    pub fn writes(self) -> impl Iterator<Item = Pair> {
        self.first_round().chain(self.second_round(0..self.keys))
    }

    /// Look-ups by their numbers, at random, each with what it must find after so many writes of the second round.
    pub fn reads_after(self, writes: u64, numbers: Range<u64>) -> impl Iterator<Item = (Key, Option<Value>)> {
        let indexes = numbers.map(move |number| mix(number) % self.keys);
        let pairs = indexes.map(move |index| pair(self.shuffled(index, 1), u64::from(index < writes)));
        pairs.map(|(key, value)| (key, Some(value)))
    }

    /// Look-ups when all is written, at random.
    pub fn reads(self, numbers: Range<u64>) -> impl Iterator<Item = Pair> {
        numbers.map(move |number| pair(mix(number) % self.keys, 1))
    }

    /// As [`Workload::reads`], but four in five go to a twentieth of the keys.
    pub fn skewed_reads(self, numbers: Range<u64>) -> impl Iterator<Item = Pair> {
        numbers.map(move |number| {
            let among = if number % 5 == 0 { self.keys } else { self.keys / 20 };
            pair(mix(number) % among, 1)
        })
    }

    /// Look-ups of keys that are never written. They lie between the others.
    pub fn absent(self, numbers: Range<u64>) -> impl Iterator<Item = (Key, Option<Value>)> {
        numbers.map(move |number| (key(self.keys + number), None))
    }

    /// The keys' numbers in an order that looks random, another for each round: a Feistel network over the next power of four, walked until it
    /// meets a number in range (Black, Rogaway: Ciphers with arbitrary finite domains, 2002).
    fn shuffled(self, index: u64, round: u64) -> u64 {
        let half_bits = (u64::BITS - self.keys.leading_zeros()).div_ceil(2);
        let mask = (1 << half_bits) - 1;
        let mut number = index;
        loop {
            for step in 0..4 {
                let (left, right) = (number >> half_bits, number & mask);
                number = right << half_bits | (left ^ mix(right << 8 | round << 4 | step)) & mask;
            }
            if number < self.keys {
                return number;
            }
        }
    }
}

fn pair(number: u64, round: u64) -> Pair {
    (key(number), value(number, round))
}

/// The key of a number. Neighbours in number are strangers in order.
fn key(number: u64) -> Key {
    let mut key = [0; KEY_BYTES];
    let mut word = mix(number);
    for digit in key.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(word % 16) as usize];
        word /= 16;
    }
    key
}

/// The value that a key is given in a round.
fn value(number: u64, round: u64) -> Value {
    let mut value = [0; VALUE_BYTES];
    for (index, part) in value.chunks_mut(8).enumerate() {
        let word = mix(number ^ (round << 48) ^ ((index as u64) << 56));
        part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
    }
    value
}

/// Stirs a word (SplitMix64). A bijection: different numbers have different keys.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_key_is_written_in_each_round_and_reads_want_its_last_value() {
        for keys in [5_000, 8_191, 10_000] {
            let work = Workload::of(keys);
            let mut model: BTreeMap<Key, Value> = work.first_round().collect();
            assert_eq!(model.len() as u64, keys);
            let half = keys / 2;
            let replaced = |model: &mut BTreeMap<Key, Value>, writes: Range<u64>| {
                let pairs = work.second_round(writes);
                pairs
                    .filter(|(key, value)| model.insert(*key, *value).is_some_and(|old| old != *value))
                    .count() as u64
            };
            assert_eq!(replaced(&mut model, 0..half), half);
            assert!(work.reads_after(half, 0..keys).all(|(key, value)| model.get(&key) == value.as_ref()));
            assert_eq!(replaced(&mut model, half..keys), keys - half);
            assert!(work.reads_after(keys, 0..keys).all(|(key, value)| model.get(&key) == value.as_ref()));
            let reads = work.reads(0..keys).chain(work.skewed_reads(0..keys));
            assert!(reads.into_iter().all(|(key, value)| model.get(&key) == Some(&value)));
            assert!(work.absent(0..keys).all(|(key, _)| !model.contains_key(&key)));
        }
    }

    #[test]
    fn most_skewed_reads_go_to_few_keys() {
        let mut counts = BTreeMap::new();
        let reads = Workload::of(10_000).skewed_reads(0..10_000);
        reads.for_each(|(key, _)| *counts.entry(key).or_insert(0) += 1);
        let mut counts: Vec<u64> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        assert!(counts.iter().take(500).sum::<u64>() >= 8_000);
    }
}
