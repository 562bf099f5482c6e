//! A trace as a small database: keys by rank, and what is asked of them.

use std::collections::HashMap;
use std::io::Read;
use terrace_trace::{Error, Header, Operation, Record, Report, TraceReader};

/// What is asked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its value.
    Get,
    /// To set it, with a value of this length.
    Put {
        /// Length of the value.
        value_bytes: u32,
    },
    /// To remove it.
    Delete,
    /// So many pairs from it on.
    Scan {
        /// How many.
        steps: u32,
    },
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in seconds since the trace began.
    pub at_seconds: u32,
    /// The place of its key among all keys, from 0.
    pub rank: u32,
    /// What is asked.
    pub ask: Ask,
}

/// A trace as a small database.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The share of all keys that it holds.
    pub rate: f64,
    /// Operations, in order.
    pub events: Vec<Event>,
    /// Keys and value lengths of what was there before, ascending: keys that are read before they are written, and as many others as the
    /// database's tables held versions.
    pub initial: Vec<(u32, u32)>,
    /// Lengths of keys, by rank.
    pub key_bytes: Vec<u32>,
    /// Bytes of tables for a byte of keys and values, if the trace knows.
    pub file_bytes_per_raw: Option<f64>,
    /// Operations that should have been in the trace and are not.
    pub dropped: u64,
    /// Whether the trace was ended in good order.
    pub whole: bool,
}

/// More versions than this in the tables are needed before their size tells how well they pack.
const ENTRIES_TOLD_MIN: u64 = 1000;

impl History {
    /// Reads a trace. Of one with more than `operations_max` operations it keeps those on fewer keys, as if it had been taken at a lower rate.
    ///
    /// # Errors
    ///
    /// Those of the reader. A torn tail is no error.
    pub fn read(source: impl Read, operations_max: usize) -> Result<Self, Error> {
        let mut reader = TraceReader::new(source)?;
        let header = *reader.header();
        let (mut records, mut limit) = (Vec::new(), header.sampling.limit());
        while let Some(record) = reader.next().transpose()? {
            if record.key_hash > limit {
                continue;
            }
            records.push(record);
            if records.len() > operations_max.max(1) {
                limit /= 2;
                records.retain(|record: &Record| record.key_hash <= limit);
            }
        }
        let rate = terrace_trace::Sampling::of_limit(limit).rate();
        Ok(History::of(&records, rate, &header, reader.report()))
    }

    fn of(records: &[Record], rate: f64, header: &Header, report: Report) -> Self {
        let keys = Keys::of(records);
        let mut initial: HashMap<u32, u32> = HashMap::new();
        let mut written = vec![false; keys.key_bytes.len()];
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            let rank = keys.ranks[&record.key_hash];
            let ask = match record.operation {
                Operation::Get { value_bytes } => {
                    if !written[rank as usize] {
                        initial.entry(rank).or_insert(value_bytes);
                    }
                    Ask::Get
                }
                Operation::GetAbsent => Ask::Get,
                Operation::Put { value_bytes } => Ask::Put { value_bytes },
                Operation::Delete => Ask::Delete,
                Operation::Scan { steps } => Ask::Scan { steps },
            };
            written[rank as usize] |= record.operation.writes();
            let at_seconds = u32::try_from(record.at_micros / 1_000_000).unwrap_or(u32::MAX);
            events.push(Event { at_seconds, rank, ask });
        }
        let mut initial: Vec<_> = initial.into_iter().collect();
        initial.sort_unstable();
        let ended = report.ended.unwrap_or(header.facts);
        let told = ended.entries >= ENTRIES_TOLD_MIN && ended.raw_bytes > 0;
        let mut history = History {
            rate,
            events,
            initial,
            key_bytes: keys.key_bytes,
            file_bytes_per_raw: told.then(|| ended.file_bytes as f64 / ended.raw_bytes as f64),
            dropped: report.dropped,
            whole: report.ended.is_some(),
        };
        let entries = (header.facts.entries as f64 * rate) as usize;
        let fill = entries.saturating_sub(history.initial.len());
        if fill > 0 {
            history.fill(fill, header.facts.raw_bytes / header.facts.entries.max(1));
        }
        history
    }

    /// Adds so many keys that nobody asks for, evenly among the others: what the database held and the trace did not touch.
    fn fill(&mut self, count: usize, entry_bytes: u64) {
        let known = self.key_bytes.len();
        // Where the fillers go: before the known key of this rank.
        let before = |filler: usize| ((filler as u128 * (known as u128 + 1)) / count as u128) as usize;
        let mean = self.key_bytes.iter().map(|bytes| u64::from(*bytes)).sum::<u64>();
        let key = (mean / known.max(1) as u64).clamp(1, entry_bytes.max(1)) as u32;
        let value = entry_bytes.saturating_sub(u64::from(key)) as u32;
        let mut moved = Vec::with_capacity(known);
        let mut key_bytes = Vec::with_capacity(known + count);
        let mut initial = Vec::with_capacity(self.initial.len() + count);
        let mut old = self.initial.iter().peekable();
        let mut filler = 0;
        for rank in 0..=known {
            while filler < count && before(filler) <= rank {
                initial.push((key_bytes.len() as u32, value));
                key_bytes.push(key);
                filler += 1;
            }
            if rank < known {
                let now = key_bytes.len() as u32;
                if old.peek().is_some_and(|(old, _)| *old == rank as u32) {
                    initial.extend(old.next().map(|(_, value)| (now, *value)));
                }
                moved.push(now);
                key_bytes.push(self.key_bytes[rank]);
            }
        }
        self.events.iter_mut().for_each(|event| event.rank = moved[event.rank as usize]);
        (self.key_bytes, self.initial) = (key_bytes, initial);
    }

    /// Bytes of a key and a value.
    #[must_use]
    pub fn entry_bytes(&self, rank: u32, value_bytes: u32) -> u32 {
        self.key_bytes[rank as usize].saturating_add(value_bytes)
    }

    /// Bytes of keys and values that it writes.
    #[must_use]
    pub fn user_bytes(&self) -> u64 {
        let of = |event: &Event| match event.ask {
            Ask::Put { value_bytes } => u64::from(self.entry_bytes(event.rank, value_bytes)),
            Ask::Delete => u64::from(self.entry_bytes(event.rank, 0)),
            Ask::Get | Ask::Scan { .. } => 0,
        };
        self.events.iter().map(of).sum()
    }
}

/// The keys of a trace by rank.
struct Keys {
    ranks: HashMap<u64, u32>,
    key_bytes: Vec<u32>,
}

impl Keys {
    fn of(records: &[Record]) -> Self {
        // A key's first place counts: a later one may differ when the recorder had forgotten the key.
        let mut first: HashMap<u64, (u64, u32)> = HashMap::new();
        for record in records {
            first.entry(record.key_hash).or_insert((record.place, record.key_bytes));
        }
        let mut order: Vec<_> =
            first.into_iter().map(|(hash, (place, bytes))| (place, hash, bytes)).collect();
        order.sort_unstable();
        let ranks = (0..).zip(&order).map(|(rank, (_, hash, _))| (*hash, rank)).collect();
        Keys { ranks, key_bytes: order.into_iter().map(|(_, _, bytes)| bytes).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrace_trace::{Facts, Sampling, TraceWriter};

    fn history(header: &Header, records: &[Record], operations_max: usize) -> History {
        let mut writer = TraceWriter::new(header);
        records.iter().for_each(|record| writer.add(record));
        let bytes = writer.finish(Facts::default());
        History::read(bytes.as_slice(), operations_max).expect("it is whole")
    }

    fn record(place: u64, operation: Operation) -> Record {
        let key_hash = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Record { at_micros: 0, operation, key_hash, place, key_bytes: 16 }
    }

    #[test]
    fn keys_get_ranks_by_their_places_and_what_is_read_first_was_there() {
        let get = Operation::Get { value_bytes: 84 };
        let put = Operation::Put { value_bytes: 50 };
        let records = [(30, get), (10, put), (20, Operation::GetAbsent), (10, get), (30, put)]
            .map(|(p, o)| record(p, o));
        let found = history(&Header::default(), &records, 100);
        let ranks: Vec<_> = found.events.iter().map(|event| event.rank).collect();
        assert_eq!(ranks, [2, 0, 1, 0, 2]);
        assert_eq!(found.initial, [(2, 84)]);
        assert_eq!((found.user_bytes(), found.rate), (2 * 66, 1.0));
    }

    #[test]
    fn what_the_tables_held_lies_among_the_keys_of_the_trace() {
        let facts = Facts { entries: 1000, raw_bytes: 100_000, file_bytes: 0 };
        let header = Header { facts, ..Header::default() };
        let get = Operation::Get { value_bytes: 1 };
        let found = history(&header, &[record(5, get), record(9, Operation::Delete)], 100);
        assert_eq!(found.initial.len(), 1000);
        assert!(found.initial.is_sorted_by(|one, next| one.0 < next.0));
        let ranks: Vec<_> = found.events.iter().map(|event| event.rank).collect();
        assert!((300..360).contains(&ranks[0]) && (630..700).contains(&ranks[1]), "{ranks:?}");
        assert!(found.initial.contains(&(ranks[0], 1)) && found.initial.contains(&(0, 84)));
    }

    #[test]
    fn a_long_trace_is_read_as_one_of_a_lower_rate() {
        let records: Vec<_> = (0..20_000).map(|n| record(n / 2, Operation::Delete)).collect();
        let header = Header { sampling: Sampling::default(), ..Header::default() };
        let found = history(&header, &records, 3_000);
        assert!(found.rate == 0.125 && (2_000..3_001).contains(&found.events.len()), "{}", found.rate);
        assert_eq!(found.events.len() % 2, 0, "all operations on a key or none");
    }
}
