//! An engine of one's own: a memtable and a compaction policy written outside the workspace's crates, checked by the
//! conformance suites that ship with the traits, and put together with stock parts for the rest.
//!
//! `cargo run -p terrace --example custom_engine`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::cmp::Ordering::{Equal, Greater, Less};
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use terrace::{Engine, Options, Parts};
use terrace_compaction::{
    Bound, CompactionPicker, Measure, PickContext, Plan, Reason, Scope, Shape, Verdict, Weighed,
};
use terrace_entry::{Cursor, Entry, InternalKey, SeqNo};
use terrace_memtable::{Found, MemTable};

/// A binary search tree that only grows. A child is set once and never changed, so readers need no lock, writers race for an empty
/// place with [`OnceLock::set`], and there is no `unsafe`. Nothing balances it: for keys in random order it is fine, and for keys that
/// ascend every insert walks the whole tree.
#[derive(Default)]
struct TreeMemTable {
    root: Link,
    len: AtomicUsize,
    bytes: AtomicUsize,
}

type Link = OnceLock<Box<Node>>;

struct Node {
    user_key: Box<[u8]>,
    trailer: u64,
    value: Box<[u8]>,
    smaller: Link,
    greater: Link,
}

impl Node {
    fn key(&self) -> InternalKey<'_> {
        InternalKey::from_trailer(&self.user_key, self.trailer).expect("made from a key")
    }
}

impl TreeMemTable {
    /// The least node at or after `target`.
    fn at_or_after(&self, target: InternalKey<'_>) -> Option<&Node> {
        let (mut link, mut best) = (&self.root, None);
        while let Some(node) = link.get() {
            match target.cmp(&node.key()) {
                Equal => return Some(node),
                Less => (best, link) = (Some(&**node), &node.smaller),
                Greater => link = &node.greater,
            }
        }
        best
    }

    /// The greatest node before `target`, or after everything the greatest of all.
    fn before(&self, target: Option<InternalKey<'_>>) -> Option<&Node> {
        let (mut link, mut best) = (&self.root, None);
        while let Some(node) = link.get() {
            if target.is_none_or(|target| node.key() < target) {
                (best, link) = (Some(&**node), &node.greater);
            } else {
                link = &node.smaller;
            }
        }
        best
    }

    /// The least node after `target`.
    fn after(&self, target: InternalKey<'_>) -> Option<&Node> {
        let (mut link, mut best) = (&self.root, None);
        while let Some(node) = link.get() {
            if node.key() > target {
                (best, link) = (Some(&**node), &node.smaller);
            } else {
                link = &node.greater;
            }
        }
        best
    }
}

impl Drop for TreeMemTable {
    /// Node by node: dropping a deep tree by recursion would overflow the stack.
    fn drop(&mut self) {
        let mut left: Vec<Box<Node>> = self.root.take().into_iter().collect();
        while let Some(mut node) = left.pop() {
            left.extend(node.smaller.take());
            left.extend(node.greater.take());
        }
    }
}

impl MemTable for TreeMemTable {
    const NAME: &'static str = "tree";
    type Cursor = TreeCursor;

    fn new(_bytes_hint: usize) -> Self {
        TreeMemTable::default()
    }

    fn insert(&self, key: InternalKey<'_>, value: &[u8]) {
        let mut node = Box::new(Node {
            user_key: key.user_key.into(),
            trailer: key.trailer(),
            value: value.into(),
            smaller: Link::new(),
            greater: Link::new(),
        });
        let size = size_of::<Node>() + key.user_key.len() + value.len();
        let mut link = &self.root;
        loop {
            while let Some(there) = link.get() {
                link = if key < there.key() { &there.smaller } else { &there.greater };
            }
            match link.set(node) {
                Ok(()) => break,
                // Somebody else was first; go on below what they put there.
                Err(back) => node = back,
            }
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.len.fetch_add(1, Ordering::Release);
    }

    fn get(&self, user_key: &[u8], seqno: SeqNo) -> Option<Found<'_>> {
        let node = self.at_or_after(InternalKey::seek_to(user_key, seqno))?;
        let key = node.key();
        (key.user_key == user_key).then_some(Found { seqno: key.seqno, kind: key.kind, value: &node.value })
    }

    fn cursor(self: Arc<Self>) -> TreeCursor {
        TreeCursor { table: self, at: None }
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Remembers the key it stands on and searches it again for each move: O(depth), and safe whatever is inserted meanwhile.
struct TreeCursor {
    table: Arc<TreeMemTable>,
    at: Option<(Box<[u8]>, u64)>,
}

impl TreeCursor {
    fn stand_on(&mut self, find: impl FnOnce(&TreeMemTable) -> Option<&Node>) -> Result<(), Infallible> {
        self.at = find(&self.table).map(|node| (node.user_key.clone(), node.trailer));
        Ok(())
    }

    fn step(
        &mut self,
        find: for<'t> fn(&'t TreeMemTable, InternalKey<'_>) -> Option<&'t Node>,
    ) -> Result<(), Infallible> {
        let Some((user_key, trailer)) = self.at.take() else { return Ok(()) };
        let key = InternalKey::from_trailer(&user_key, trailer).expect("made from a key");
        self.stand_on(|table| find(table, key))
    }
}

impl Cursor for TreeCursor {
    type Error = Infallible;

    fn seek_to_first(&mut self) -> Result<(), Infallible> {
        self.stand_on(|table| table.at_or_after(InternalKey::seek_to(b"", SeqNo::MAX)))
    }

    fn seek_to_last(&mut self) -> Result<(), Infallible> {
        self.stand_on(|table| table.before(None))
    }

    fn seek(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.stand_on(|table| table.at_or_after(target))
    }

    fn seek_before(&mut self, target: InternalKey<'_>) -> Result<(), Infallible> {
        self.stand_on(|table| table.before(Some(target)))
    }

    fn next(&mut self) -> Result<(), Infallible> {
        self.step(|table, key| table.after(key))
    }

    fn prev(&mut self) -> Result<(), Infallible> {
        self.step(|table, key| table.before(Some(key)))
    }

    fn current(&self) -> Option<Entry<'_>> {
        let (user_key, trailer) = self.at.as_ref()?;
        let node = self.table.at_or_after(InternalKey::from_trailer(user_key, *trailer).ok()?)?;
        Some(Entry { key: node.key(), value: &node.value })
    }
}

/// The simplest policy that bounds reads: when enough runs have come together, merge everything into one.
#[derive(Debug)]
struct MergeAllPicker {
    runs_max: usize,
    table_bytes: u64,
}

impl CompactionPicker for MergeAllPicker {
    fn name(&self) -> &'static str {
        "merge-all"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let runs = shape.runs().count();
        let mut plan =
            Plan { pressure: (runs as f64 / (8 * self.runs_max) as f64).min(1.0), ..Plan::default() };
        let bound = Bound::Above(self.runs_max as u64);
        let weighed = Weighed::new(Scope::Tree, Measure::Runs, runs as u64, bound);
        plan.weighed.push(match context.busy.len() {
            0 if context.tasks_max == 0 => weighed.if_due(Verdict::NoRoom),
            0 => weighed,
            _ => weighed.if_due(Verdict::Busy),
        });
        if runs > self.runs_max && context.busy.is_empty() && context.tasks_max > 0 {
            let reason = Reason::RunCount { runs, runs_max: self.runs_max };
            plan.tasks.extend(shape.full_merge(self.table_bytes).map(|mut task| {
                task.reason = reason;
                task
            }));
        }
        plan
    }
}

/// The engine: two parts of our own, the rest from stock.
enum MyParts {}

impl Parts for MyParts {
    type MemTable = TreeMemTable;
    type Log = terrace_wal::BufferedLog;
    type Cache = terrace_sstable::SlotCache;
    type Table = terrace_sstable::BlockTable;
    type Picker = MergeAllPicker;

    fn picker(options: &Options) -> MergeAllPicker {
        MergeAllPicker { runs_max: 4, table_bytes: options.table_bytes }
    }
}

fn conform() {
    terrace_memtable::testing::check::<TreeMemTable>();
    let picker = MergeAllPicker { runs_max: 4, table_bytes: 64 << 20 };
    terrace_compaction::testing::check_picker(&picker, 7, 60);
}

fn use_it(dir: &Path) -> terrace::Result<()> {
    let db = Engine::<MyParts>::builder(dir).memtable_bytes(256 << 10).open()?;
    for number in 0..20_000_u32 {
        db.put(format!("{:08x}", number.wrapping_mul(2_654_435_761)), format!("value {number}"))?;
    }
    db.flush()?;
    db.wait_for_background()?;
    assert_eq!(db.iter().count(), 20_000);
    println!("{}\n{}", db.shape(), db.stats());
    db.close()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    conform();
    println!("the memtable and the picker keep their laws\n");
    let dir = tempfile::tempdir()?;
    use_it(dir.path())?;
    Ok(())
}
