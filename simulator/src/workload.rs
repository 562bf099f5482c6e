//! What is written: a stream of flushes.
//!
//! | workload | keys of a write | live are |
//! | --- | --- | --- |
//! | uniform | any key, all alike | all keys written |
//! | zipf | key of rank r with a chance in proportion to r^-0.99, popular keys anywhere | all keys written |
//! | sequential | each key once, ascending | all keys written |
//! | time | ascending, but one in ten up to ten memtables late; each once | the youngest, as many as the data size holds |
//! | deletes | any key, all alike; every second write is a delete | keys whose last write was no delete |
//!
//! Of several writes to one key in one memtable the flush keeps the last.

use crate::content::{Held, Keys, Piece, SPACE};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Any key, all alike.
    Uniform,
    /// Some keys far more often than others.
    Zipf,
    /// Each key once, in order.
    Sequential,
    /// Each key once, nearly in order; what is old is of no use any more.
    Time,
    /// Any key, all alike, written and deleted in turn.
    Deletes,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 5] =
        [Workload::Uniform, Workload::Zipf, Workload::Sequential, Workload::Time, Workload::Deletes];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Workload::Uniform => "uniform",
            Workload::Zipf => "zipf",
            Workload::Sequential => "sequential",
            Workload::Time => "time",
            Workload::Deletes => "deletes",
        }
    }

    /// The workload of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Workload::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// Whether it writes keys again that it wrote before.
    #[must_use]
    pub fn overwrites(self) -> bool {
        matches!(self, Workload::Uniform | Workload::Zipf | Workload::Deletes)
    }
}

/// The exponent of the zipf workload, as YCSB has it.
const ZIPF_EXPONENT: f64 = 0.99;
const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
/// Classes of equal popularity that the zipf workload's keys are divided into; each has a quarter of the keys of the next.
const ZIPF_CLASSES: i32 = 12;
/// The share of the time workload's writes that come late, and by how many memtables at most.
const LATE_SHARE: f64 = 0.1;
const LATE_FLUSHES: f64 = 10.0;
/// The time workload's keys are this much sparser than its writes, so that two never meet.
const TIME_SPARSITY: f64 = 1000.0;
/// The share of the deletes workload's writes that are deletes.
const DELETE_SHARE: f64 = 0.5;

/// The stream.
#[derive(Debug)]
pub(crate) struct Stream {
    workload: Workload,
    pub(crate) keys: Keys,
    /// For each class its share of the writes, and of the reads.
    pub(crate) popularity: Vec<f64>,
    /// For each class the share of its keys that are live.
    live: Vec<f64>,
    data_bytes: f64,
    memtable_bytes: f64,
    /// Where the next write in order goes, from 0 to 1, and how far a memtable of them reaches.
    at: f64,
    step: f64,
    written_in_order_bytes: f64,
    /// By how much memtables differ, and what the next size is drawn from.
    spread: f64,
    random: u64,
}

/// A flush.
#[derive(Debug)]
pub(crate) struct Flush {
    /// Bytes of all writes, those included that were replaced before they were flushed.
    pub(crate) user_bytes: f64,
    pub(crate) pieces: Vec<Piece>,
}

impl Stream {
    /// `data_bytes` of live data once all keys are written; `total_bytes` is what will be written in order, if the workload writes in order.
    pub(crate) fn new(
        workload: Workload,
        entry_bytes: (f64, f64),
        data_bytes: f64,
        total_bytes: f64,
        memtable_bytes: f64,
    ) -> Self {
        let count = (data_bytes / entry_bytes.0).max(1.0);
        let (classes, popularity) = match workload {
            Workload::Uniform | Workload::Deletes => (vec![count], vec![1.0]),
            Workload::Zipf => zipf_classes(count),
            Workload::Sequential => (vec![total_bytes / entry_bytes.0], vec![1.0]),
            Workload::Time => (vec![total_bytes / entry_bytes.0 * TIME_SPARSITY], vec![1.0]),
        };
        let step = match workload {
            Workload::Sequential | Workload::Time => memtable_bytes / total_bytes,
            _ => memtable_bytes / data_bytes,
        };
        Stream {
            workload,
            live: vec![0.0; classes.len()],
            keys: Keys { classes, value_entry_bytes: entry_bytes.0, tombstone_entry_bytes: entry_bytes.1 },
            popularity,
            data_bytes,
            memtable_bytes,
            at: 0.0,
            step,
            written_in_order_bytes: 0.0,
            spread: 0.0,
            random: 0,
        }
    }

    /// The same with memtables of differing sizes where keys are written anywhere.
    pub(crate) fn with_spread(self, spread: f64, seed: u64) -> Self {
        Stream { spread: spread.clamp(0.0, 0.5), random: seed, ..self }
    }

    /// Bytes of the next memtable: even about the mean, with the standard deviation that was asked for.
    fn next_memtable_bytes(&mut self) -> f64 {
        if self.spread == 0.0 {
            return self.memtable_bytes;
        }
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let even = (z ^ (z >> 31)) as f64 / u64::MAX as f64;
        self.memtable_bytes * (1.0 + self.spread * 3.0_f64.sqrt() * (2.0 * even - 1.0))
    }

    /// Every key once, in order: the next memtable of them, or `None` when all were written.
    pub(crate) fn load(&mut self) -> Option<Flush> {
        if self.at >= 1.0 {
            return None;
        }
        let step = self.step.min(1.0 - self.at);
        let all = Held { values: 1.0, tombstones: 0.0 };
        let piece = piece(self.at, self.at + step, vec![all; self.live.len()]);
        self.at = if 1.0 - self.at - step < 1e-9 { 1.0 } else { self.at + step };
        let count: f64 = self.keys.classes.iter().sum();
        let user_bytes = count * step * self.keys.value_entry_bytes;
        self.live.iter_mut().for_each(|live| *live = self.at);
        self.written_in_order_bytes += user_bytes;
        Some(Flush { user_bytes, pieces: vec![piece] })
    }

    /// The next memtable of the workload; `None` when it is at its end.
    pub(crate) fn next(&mut self) -> Option<Flush> {
        match self.workload {
            Workload::Sequential => self.load(),
            Workload::Time => self.next_in_time(),
            Workload::Uniform | Workload::Zipf => Some(self.next_anywhere(0.0)),
            Workload::Deletes => Some(self.next_anywhere(DELETE_SHARE)),
        }
    }

    fn next_anywhere(&mut self, delete_share: f64) -> Flush {
        let memtable_bytes = self.next_memtable_bytes();
        let keys = &self.keys;
        let mean_bytes =
            delete_share * keys.tombstone_entry_bytes + (1.0 - delete_share) * keys.value_entry_bytes;
        let writes = memtable_bytes / mean_bytes;
        let touched = |(keys, share): (&f64, &f64)| 1.0 - (-writes * share / keys).exp();
        let touched = keys.classes.iter().zip(&self.popularity).map(touched);
        let held: Vec<Held> = touched
            .map(|share| Held { values: share * (1.0 - delete_share), tombstones: share * delete_share })
            .collect();
        for (live, held) in self.live.iter_mut().zip(&held) {
            *live = *live * (1.0 - held.values - held.tombstones) + held.values;
        }
        Flush { user_bytes: memtable_bytes, pieces: vec![piece(0.0, 1.0, held)] }
    }

    fn next_in_time(&mut self) -> Option<Flush> {
        if self.at >= 1.0 {
            return None;
        }
        let step = self.step.min(1.0 - self.at);
        let writes = self.memtable_bytes * (step / self.step) / self.keys.value_entry_bytes;
        let share_of = |writes: f64, from: f64, to: f64| writes / (self.keys.classes[0] * (to - from));
        let held = |values: f64| vec![Held { values, tombstones: 0.0 }];
        let mut pieces = Vec::new();
        let late_from = (self.at - LATE_FLUSHES * self.step).max(0.0);
        let late = if late_from < self.at { LATE_SHARE } else { 0.0 };
        if late > 0.0 {
            let share = share_of(writes * late, late_from, self.at);
            pieces.push(piece(late_from, self.at, held(share)));
        }
        let to = self.at + step;
        pieces.push(piece(self.at, to, held(share_of(writes * (1.0 - late), self.at, to))));
        self.at = if 1.0 - to < 1e-9 { 1.0 } else { to };
        self.written_in_order_bytes += writes * self.keys.value_entry_bytes;
        Some(Flush { user_bytes: writes * self.keys.value_entry_bytes, pieces })
    }

    /// Bytes of the live keys in their newest versions.
    pub(crate) fn live_bytes(&self) -> f64 {
        match self.workload {
            Workload::Sequential => self.written_in_order_bytes,
            Workload::Time => self.written_in_order_bytes.min(self.data_bytes),
            _ => self.live_entries().iter().sum::<f64>() * self.keys.value_entry_bytes,
        }
    }

    /// Live keys of each class.
    pub(crate) fn live_entries(&self) -> Vec<f64> {
        match self.workload {
            Workload::Time => vec![self.live_bytes() / self.keys.value_entry_bytes],
            _ => self.keys.classes.iter().zip(&self.live).map(|(keys, live)| keys * live).collect(),
        }
    }

    /// The part of all keys that live ones may lie in, from and to, both from 0 to 1.
    pub(crate) fn live_span(&self) -> (f64, f64) {
        match self.workload {
            Workload::Sequential => (0.0, self.at),
            Workload::Time => {
                let kept = self.step * self.live_bytes() / self.memtable_bytes;
                ((self.at - kept).max(0.0), self.at)
            }
            _ => (0.0, 1.0),
        }
    }
}

fn piece(from: f64, to: f64, held: Vec<Held>) -> Piece {
    let largest = if to >= 1.0 - 1e-9 { u64::MAX } else { ((to * SPACE) as u64).saturating_sub(1) };
    Piece { smallest: ((from * SPACE) as u64).min(largest), largest, held }
}

/// Keys and popularity of each class.
fn zipf_classes(count: f64) -> (Vec<f64>, Vec<f64>) {
    // The sum of r^-exponent for the ranks up to this one, but for a term that falls as the rank grows.
    let weight = |rank: f64| {
        let sum = |rank: f64| (rank.powf(1.0 - ZIPF_EXPONENT) - 1.0) / (1.0 - ZIPF_EXPONENT) + EULER_GAMMA;
        if rank < 1.0 { rank * sum(1.0) } else { sum(rank) }
    };
    let mut from = 0.0;
    let (mut classes, mut popularity) = (Vec::new(), Vec::new());
    for class in (0..ZIPF_CLASSES).rev() {
        let to = count * 0.25_f64.powi(class);
        classes.push(to - from);
        popularity.push((weight(to) - weight(from)) / weight(count));
        from = to;
    }
    (classes, popularity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(workload: Workload) -> Stream {
        Stream::new(workload, (100.0, 20.0), 1e9, 3e9, 1e7)
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for workload in Workload::ALL {
            assert_eq!(Workload::named(workload.name()), Some(workload));
        }
        assert_eq!(Workload::named("random"), None);
    }

    #[test]
    fn a_load_writes_every_key_once_from_end_to_end() {
        for workload in [Workload::Uniform, Workload::Zipf, Workload::Sequential] {
            let mut stream = stream(workload);
            let (mut bytes, mut next) = (0.0, 0);
            while let Some(flush) = stream.load() {
                bytes += flush.user_bytes;
                assert_eq!(flush.pieces[0].smallest, next, "{workload:?}");
                next = flush.pieces[0].largest.wrapping_add(1);
            }
            assert_eq!(next, 0, "the last piece ends with the last key");
            let expected = if workload == Workload::Sequential { 3e9 } else { 1e9 };
            assert!((bytes / expected - 1.0).abs() < 1e-6, "{workload:?}: {bytes}");
            assert!((stream.live_bytes() / expected - 1.0).abs() < 1e-6, "{workload:?}");
        }
    }

    #[test]
    fn memtables_differ_as_much_as_asked_for_and_not_on_average() {
        let mut stream = stream(Workload::Uniform).with_spread(0.01, 7);
        let off: Vec<f64> =
            (0..10_000).map(|_| stream.next().map_or(0.0, |flush| flush.user_bytes / 1e7 - 1.0)).collect();
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        let deviation = (off.iter().map(|off| off * off).sum::<f64>() / off.len() as f64).sqrt();
        assert!(mean.abs() < 0.0005 && (deviation / 0.01 - 1.0).abs() < 0.03, "{mean} {deviation}");
    }

    #[test]
    fn zipf_writes_four_in_ten_to_few_keys() {
        let (classes, popularity) = zipf_classes(1e12);
        assert!((classes.iter().sum::<f64>() / 1e12 - 1.0).abs() < 1e-9);
        assert!((popularity.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // By the sums themselves 13.8 of 32.4 for the first 238 thousand of 10^12.
        assert!((popularity[0] - 0.425).abs() < 0.01 && classes[0] < 1e6, "{classes:?} {popularity:?}");
    }

    #[test]
    fn every_second_write_deletes_so_half_of_the_keys_live() {
        let mut stream = stream(Workload::Deletes);
        while stream.load().is_some() {}
        for _ in 0..2000 {
            let flush = stream.next().expect("it has no end");
            let held = flush.pieces[0].held[0];
            assert!((held.values - held.tombstones).abs() < 1e-12 && held.values > 0.0);
        }
        assert!((stream.live_bytes() / 0.5e9 - 1.0).abs() < 0.01, "{}", stream.live_bytes());
    }

    #[test]
    fn time_goes_on_and_keeps_the_youngest() {
        let mut stream = stream(Workload::Time);
        let mut flushes = 0;
        while let Some(flush) = stream.next() {
            flushes += 1;
            assert!(flush.pieces.is_sorted_by(|a, b| a.largest < b.smallest));
        }
        assert_eq!(flushes, 300);
        assert!((stream.live_bytes() - 1e9).abs() < 1.0);
        let (from, to) = stream.live_span();
        assert!((from - 2.0 / 3.0).abs() < 1e-6 && to == 1.0, "{from} {to}");
    }
}
