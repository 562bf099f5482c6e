//! What kind of a workload a history is.

use core::fmt;
use std::collections::HashSet;

use super::history::{Ask, History};
use crate::Workload;

/// Keys of about the same popularity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PopularityClass {
    /// The share of all keys that were asked for.
    pub keys: f64,
    /// The share of all operations that went to them.
    pub operations: f64,
}

/// What kind of a workload a history is. Shares are of all operations unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mix {
    /// Operations.
    pub operations: u64,
    /// Keys that were asked for.
    pub keys: u64,
    /// The share that are look-ups.
    pub gets: f64,
    /// The share that set a key.
    pub puts: f64,
    /// The share that remove one.
    pub deletes: f64,
    /// The share that are scans.
    pub scans: f64,
    /// Of the puts, the share that set a key that was there.
    pub updates: f64,
    /// Of the puts of other keys, the share whose key is greater than all before.
    pub ascending: f64,
    /// Bytes of a key and of a value that is set, in the mean.
    pub key_bytes: f64,
    /// Bytes of a value that is set, in the mean.
    pub value_bytes: f64,
    /// Pairs of a scan, in the mean.
    pub scan_steps: f64,
    /// Keys by popularity, the most popular first: each class has four times as many keys as the one before.
    pub classes: Vec<PopularityClass>,
}

/// Describes a history.
#[must_use]
pub fn mix(history: &History) -> Mix {
    let mut asked = vec![0_u64; history.key_bytes.len()];
    let mut live: HashSet<u32> = history.initial.iter().map(|(rank, _)| *rank).collect();
    let mut greatest = history.initial.last().map(|(rank, _)| *rank);
    let (mut gets, mut puts, mut deletes, mut scans) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut updates, mut ascending, mut values, mut keys, mut steps_sum) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for event in &history.events {
        asked[event.rank as usize] += 1;
        keys += u64::from(history.key_bytes[event.rank as usize]);
        match event.ask {
            Ask::Get => gets += 1,
            Ask::Put { value_bytes } => {
                puts += 1;
                values += u64::from(value_bytes);
                if live.insert(event.rank) {
                    ascending += u64::from(greatest.is_none_or(|greatest| event.rank > greatest));
                } else {
                    updates += 1;
                }
                greatest = greatest.max(Some(event.rank));
            }
            Ask::Delete => {
                deletes += 1;
                live.remove(&event.rank);
            }
            Ask::Scan { steps } => {
                scans += 1;
                steps_sum += u64::from(steps);
            }
        }
    }
    let operations = history.events.len() as u64;
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    asked.retain(|times| *times > 0);
    asked.sort_unstable_by(|a, b| b.cmp(a));
    Mix {
        operations,
        keys: asked.len() as u64,
        gets: share(gets, operations),
        puts: share(puts, operations),
        deletes: share(deletes, operations),
        scans: share(scans, operations),
        updates: share(updates, puts),
        ascending: share(ascending, puts - updates),
        key_bytes: share(keys, operations),
        value_bytes: share(values, puts),
        scan_steps: share(steps_sum, scans),
        classes: classes(&asked, operations),
    }
}

/// From a thousandth of the keys on, each class with four times as many as the one before.
fn classes(asked: &[u64], operations: u64) -> Vec<PopularityClass> {
    let (mut classes, mut from, mut size) = (Vec::new(), 0, asked.len().div_ceil(1000));
    while from < asked.len() {
        let to = (from + size).min(asked.len());
        let sum: u64 = asked[from..to].iter().sum();
        let keys = (to - from) as f64 / asked.len() as f64;
        classes.push(PopularityClass { keys, operations: sum as f64 / operations.max(1) as f64 });
        (from, size) = (to, size * 4);
    }
    classes
}

impl Mix {
    /// The workload of the simulator that is most like its writes, for studies at other sizes.
    #[must_use]
    pub fn workload(&self) -> Workload {
        let first = self.classes.first().copied().unwrap_or_default();
        if self.ascending > 0.99 && self.updates < 0.1 {
            Workload::Sequential
        } else if self.ascending > 0.5 && self.updates < 0.1 {
            Workload::Time
        } else if self.deletes > self.puts / 4.0 {
            Workload::Deletes
        } else if first.operations > 20.0 * first.keys {
            Workload::Zipf
        } else {
            Workload::Uniform
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        writeln!(
            f,
            "{} operations on {} keys: {} gets, {} puts, {} deletes, {} scans",
            self.operations,
            self.keys,
            percent(self.gets),
            percent(self.puts),
            percent(self.deletes),
            percent(self.scans)
        )?;
        writeln!(
            f,
            "keys of {:.0} bytes, values of {:.0}, scans of {:.1} pairs; of the puts {} set a key that was there, of the others {} one above all before",
            self.key_bytes,
            self.value_bytes,
            self.scan_steps,
            percent(self.updates),
            percent(self.ascending)
        )?;
        let class = |class: &PopularityClass| {
            format!("{} of the keys {}", percent(class.keys), percent(class.operations))
        };
        let classes: Vec<_> = self.classes.iter().map(class).collect();
        write!(
            f,
            "operations by popularity: {}; nearest workload of the simulator: {}",
            classes.join(", "),
            self.workload().name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Event;
    use super::*;

    fn history(asks: impl Iterator<Item = (u32, Ask)>, keys: u32) -> History {
        let events = asks.map(|(rank, ask)| Event { at_seconds: 0, rank, ask }).collect();
        History { rate: 1.0, events, key_bytes: vec![16; keys as usize], ..History::default() }
    }

    #[test]
    fn each_kind_of_writes_is_told_from_the_others() {
        const PUT: Ask = Ask::Put { value_bytes: 100 };
        let scattered = |n: u32| n.wrapping_mul(2_654_435_761) % 1000;
        let of = |asks: Vec<(u32, Ask)>| mix(&history(asks.into_iter(), 2000)).workload();
        assert_eq!(of((0..1000).map(|n| (n, PUT)).collect()), Workload::Sequential);
        let late = |n: u32| if n % 10 == 9 { 2 * n - 17 } else { 2 * n };
        assert_eq!(of((0..1000).map(|n| (late(n), PUT)).collect()), Workload::Time);
        assert_eq!(of((0..5000).map(|n| (scattered(n), PUT)).collect()), Workload::Uniform);
        let hot = |n: u32| if n.is_multiple_of(2) { 7 } else { scattered(n) };
        assert_eq!(of((0..5000).map(|n| (hot(n), PUT)).collect()), Workload::Zipf);
        let turns = |n: u32| if n.is_multiple_of(2) { PUT } else { Ask::Delete };
        assert_eq!(of((0..5000).map(|n| (scattered(n), turns(n))).collect()), Workload::Deletes);
    }

    #[test]
    fn shares_and_means_are_counted() {
        let asks = [
            (1, Ask::Put { value_bytes: 10 }),
            (1, Ask::Put { value_bytes: 30 }),
            (2, Ask::Get),
            (1, Ask::Delete),
            (0, Ask::Scan { steps: 7 }),
            (1, Ask::Get),
            (2, Ask::Get),
            (2, Ask::Get),
        ];
        let found = mix(&history(asks.into_iter(), 3));
        assert_eq!((found.operations, found.keys), (8, 3));
        assert_eq!([found.gets, found.puts, found.deletes, found.scans], [0.5, 0.25, 0.125, 0.125]);
        assert_eq!(
            [found.updates, found.ascending, found.value_bytes, found.scan_steps],
            [0.5, 1.0, 20.0, 7.0]
        );
        let shares: f64 = found.classes.iter().map(|class| class.operations).sum();
        assert!((shares - 1.0).abs() < 1e-9 && found.to_string().contains("50.0 % gets"));
    }
}
