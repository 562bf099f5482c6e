//! A row of the table in which the steps are compared, and the clock behind it.

use std::time::{Duration, Instant};

use crate::{Disk, Outcome, PAIR_BYTES, Pair, Workload};

/// A way of storing the workload.
pub trait Store {
    /// Writes a pair. Once this returns, it survives the death of the process, if the store can do that at all.
    ///
    /// # Errors
    ///
    /// The system's.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome;

    /// The value written last for this key.
    ///
    /// # Errors
    ///
    /// The system's, and damage.
    fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>>;

    /// Memory that it holds, as far as it can be told.
    fn memory_bytes(&self) -> usize;
}

/// What a way of storing the workload costs.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about.
    pub label: String,
    /// Writes a second.
    pub writes_per_second: f64,
    /// Bytes written to files for each byte of key and value given.
    pub written: f64,
    /// Bytes of all files for each byte of live keys and values.
    pub space: f64,
    /// Look-ups a second, of keys that are there.
    pub gets_per_second: f64,
    /// Files read from for each of them.
    pub files: f64,
    /// KiB read for each of them.
    pub kib: f64,
    /// Files read from for each look-up of a key that is not there.
    pub files_absent: f64,
    /// Bytes of memory for each key.
    pub memory: f64,
}

/// In a round, the writer stops this often to let readers read.
const STOPS_MAX: u64 = 50;

impl Row {
    /// Writes the workload into a store whose files are on `disk`, checks some `reads` look-ups on the way, and says what all that cost.
    ///
    /// The look-ups are spread over the second round, when each key is there, half with its first value and half with its second on the average:
    /// a store that merges now and then would otherwise be judged by what it did last.
    ///
    /// # Errors
    ///
    /// Those of the store, and when it gives anything but what was written last.
    pub fn measure(
        label: &str,
        disk: &Disk,
        work: Workload,
        reads: u64,
        store: &mut impl Store,
    ) -> Outcome<Self> {
        let written_before = disk.counts().written_bytes;
        let mut writing = Stopwatch::default();
        let (mut present, mut absent) = (Reading::default(), Reading::default());
        let (mut space, mut memory, mut stops) = (0, 0, 0);
        writing.put(work.first_round(), store)?;
        let stops_wanted = reads.min(STOPS_MAX);
        for stop in 0..stops_wanted {
            let from = work.keys() * stop / stops_wanted;
            let until = work.keys() * (stop + 1) / stops_wanted;
            writing.put(work.second_round(from..until), store)?;
            let numbers = stop * (reads / stops_wanted)..(stop + 1) * (reads / stops_wanted);
            present.get(disk, work.reads_after(until, numbers.clone()), store)?;
            absent.get(disk, work.absent(numbers), store)?;
            (space, memory, stops) = (space + disk.bytes()?, memory + store.memory_bytes(), stops + 1);
        }
        let written = disk.counts().written_bytes - written_before;
        Ok(Row {
            label: label.to_owned(),
            writes_per_second: writing.per_second(),
            written: written as f64 / (writing.count * PAIR_BYTES) as f64,
            space: space as f64 / (stops * work.live_bytes()) as f64,
            gets_per_second: present.stopwatch.per_second(),
            files: present.files as f64 / present.stopwatch.count as f64,
            kib: present.bytes as f64 / 1024.0 / present.stopwatch.count as f64,
            files_absent: absent.files as f64 / absent.stopwatch.count as f64,
            memory: memory as f64 / (stops * work.keys()) as f64,
        })
    }

    /// Measures the look-ups of these pairs anew.
    ///
    /// # Errors
    ///
    /// As [`Row::measure`].
    pub fn measure_gets(
        &mut self,
        disk: &Disk,
        reads: impl Iterator<Item = Pair>,
        store: &impl Store,
    ) -> Outcome {
        let mut reading = Reading::default();
        reading.get(disk, reads.map(|(key, value)| (key, Some(value))), store)?;
        let count = reading.stopwatch.count as f64;
        self.gets_per_second = reading.stopwatch.per_second();
        (self.files, self.kib) = (reading.files as f64 / count, reading.bytes as f64 / 1024.0 / count);
        Ok(())
    }

    /// Prints the head of the table.
    #[expect(clippy::print_stdout, reason = "the programs talk to a person")]
    pub fn print_header() {
        println!(
            "{:<34} {:>9} {:>7} {:>6} {:>9} {:>6} {:>8} {:>6} {:>7}",
            "", "writes/s", "written", "disk", "gets/s", "files", "KiB", "files", "memory"
        );
        println!(
            "{:<34} {:>9} {:>7} {:>6} {:>9} {:>6} {:>8} {:>6} {:>7}",
            "", "", "a byte", "a byte", "", "a get", "a get", "a miss", "B a key"
        );
    }

    /// Prints it.
    #[expect(clippy::print_stdout, reason = "the programs talk to a person")]
    pub fn print(&self) {
        println!(
            "{:<34} {:>9.0} {:>7.2} {:>6.2} {:>9.0} {:>6.2} {:>8.1} {:>6.2} {:>7.1}",
            self.label,
            self.writes_per_second,
            self.written,
            self.space,
            self.gets_per_second,
            self.files,
            self.kib,
            self.files_absent,
            self.memory
        );
    }
}

/// Runs something and says how long it took.
///
/// # Errors
///
/// Those of what it runs.
pub fn seconds<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Duration)> {
    #[expect(clippy::disallowed_methods, reason = "the programs measure with the machine's clock")]
    let begun = Instant::now();
    let result = run()?;
    Ok((result, begun.elapsed()))
}

/// Prints a remark below the rows.
#[expect(clippy::print_stdout, reason = "the programs talk to a person")]
pub fn note(words: impl AsRef<str>) {
    println!("  {}", words.as_ref());
}

#[derive(Default)]
struct Stopwatch {
    count: u64,
    took: Duration,
}

impl Stopwatch {
    fn time(&mut self, count: usize, run: impl FnOnce() -> Outcome) -> Outcome {
        let ((), took) = seconds(run)?;
        self.count += count as u64;
        self.took += took;
        Ok(())
    }

    fn put(&mut self, mut pairs: impl Iterator<Item = Pair>, store: &mut impl Store) -> Outcome {
        while let Some(batch) = next_batch(&mut pairs) {
            self.time(batch.len(), || batch.iter().try_for_each(|(key, value)| store.put(key, value)))?;
        }
        Ok(())
    }

    fn per_second(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

#[derive(Default)]
struct Reading {
    stopwatch: Stopwatch,
    files: u64,
    bytes: u64,
}

impl Reading {
    fn get<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        disk: &Disk,
        mut reads: impl Iterator<Item = (K, Option<V>)>,
        store: &impl Store,
    ) -> Outcome {
        let before = disk.counts();
        while let Some(batch) = next_batch(&mut reads) {
            self.stopwatch.time(batch.len(), || {
                batch.iter().try_for_each(|(key, expected)| {
                    disk.begin_operation();
                    let found = store.get(key.as_ref())?;
                    if found.as_deref() == expected.as_ref().map(AsRef::as_ref) {
                        return Ok(());
                    }
                    let key = key.as_ref().escape_ascii();
                    Err(format!("a look-up of {key} gave something else than was written last").into())
                })
            })?;
        }
        self.files += disk.counts().files_touched - before.files_touched;
        self.bytes += disk.counts().read_bytes - before.read_bytes;
        Ok(())
    }
}

/// Keys and values are made a batch at a time, so that making them is not measured.
fn next_batch<T>(items: &mut impl Iterator<Item = T>) -> Option<Vec<T>> {
    let batch: Vec<T> = items.take(1_000).collect();
    (!batch.is_empty()).then_some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Forgets, mixes up or invents on purpose.
    struct Faulty {
        map: HashMap<Vec<u8>, Vec<u8>>,
        keeps_first_value: bool,
        invents: bool,
    }

    impl Store for Faulty {
        fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome {
            if !(self.keeps_first_value && self.map.contains_key(key)) {
                self.map.insert(key.to_vec(), value.to_vec());
            }
            Ok(())
        }

        fn get(&self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
            let found = self.map.get(key).cloned();
            Ok(if self.invents { found.or(Some(Vec::new())) } else { found })
        }

        fn memory_bytes(&self) -> usize {
            self.map.len() * 10
        }
    }

    fn measure(keeps_first_value: bool, invents: bool) -> Outcome<Row> {
        let mut store = Faulty { map: HashMap::new(), keeps_first_value, invents };
        Row::measure("faulty", &Disk::new()?, Workload::of(2_000), 100, &mut store)
    }

    #[test]
    fn wrong_answers_are_seen() {
        assert!(measure(true, false).is_err());
        assert!(measure(false, true).is_err());
        let row = measure(false, false).expect("a map is right");
        assert_eq!((row.memory, row.files, row.written), (10.0, 0.0, 0.0));
    }
}
