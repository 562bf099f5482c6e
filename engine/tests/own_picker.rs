//! A picker from outside, made to merge what the stock pickers rarely do: the newest runs alone, above older ones that overlap them.

use std::path::Path;
use terrace::{DefaultMemTable, Engine, Options, Parts, StockLog};
use terrace_compaction::{CompactionPicker, Output, PickContext, Plan, Reason, Shape, Task, TaskKind};
use terrace_sstable::{BlockTable, SlotCache};

/// Merges the two newest runs of level 0 as soon as there are three, and never anything else.
#[derive(Debug)]
struct NewestTwoPicker;

impl CompactionPicker for NewestTwoPicker {
    fn name(&self) -> &'static str {
        "newest-two"
    }

    fn pick(&self, shape: &Shape, context: &PickContext) -> Plan {
        let mut plan = Plan::default();
        let runs = shape.runs_of(0);
        if runs.len() >= 3 && context.busy.is_empty() && context.tasks_max > 0 {
            plan.tasks.push(Task {
                kind: TaskKind::Merge,
                inputs: runs[..2].iter().flat_map(|run| &run.tables).map(|table| table.id).collect(),
                output: Output::NewRun { level: 0, run: None },
                target_table_bytes: 1 << 20,
                cuts: Vec::new(),
                reason: Reason::Other("the newest two".to_owned()),
            });
        }
        plan
    }
}

/// Names a table that is not there: a broken picker.
#[derive(Debug)]
struct WrongPicker;

impl CompactionPicker for WrongPicker {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn pick(&self, shape: &Shape, _context: &PickContext) -> Plan {
        let mut plan = Plan::default();
        // The newest run of level 0 carried below an older one that overlaps it.
        if let [newest, _older, ..] = shape.runs_of(0) {
            plan.tasks.push(Task {
                kind: TaskKind::Merge,
                inputs: newest.tables.iter().map(|table| table.id).collect(),
                output: Output::NewRun { level: 3, run: None },
                target_table_bytes: 1 << 20,
                cuts: Vec::new(),
                reason: Reason::Other("wrong on purpose".to_owned()),
            });
        }
        plan
    }
}

macro_rules! parts {
    ($name:ident, $picker:ident) => {
        enum $name {}

        impl Parts for $name {
            type MemTable = DefaultMemTable;
            type Log = StockLog;
            type Cache = SlotCache;
            type Table = BlockTable;
            type Picker = $picker;

            fn picker(_options: &Options) -> $picker {
                $picker
            }
        }
    };
}

parts!(NewestTwo, NewestTwoPicker);
parts!(Wrong, WrongPicker);

fn open<P: Parts>(dir: &Path) -> Engine<P> {
    Engine::<P>::builder(dir).log_preallocate_bytes(0).open().unwrap()
}

#[test]
fn a_tombstone_stays_while_older_versions_lie_below() {
    let dir = tempfile::tempdir().unwrap();
    let db = open::<NewestTwo>(dir.path());
    db.put("deleted", "old").unwrap();
    db.put("replaced", "old").unwrap();
    db.flush().unwrap();
    db.delete("deleted").unwrap();
    db.put("replaced", "new").unwrap();
    db.flush().unwrap();
    db.put("other", "1").unwrap();
    db.flush().unwrap();
    db.wait_for_background().unwrap();
    assert_eq!(db.stats().compactions, 1, "{}", db.shape());
    assert_eq!(db.stats().runs, 2, "{}", db.shape());
    assert_eq!(db.get("deleted").unwrap(), None, "a deleted key came back");
    assert_eq!(db.get("replaced").unwrap().as_deref(), Some(b"new".as_slice()));
    assert_eq!(db.iter().count(), 2);
    assert_eq!(db.iter().rev().count(), 2);
    db.close().unwrap();
    let db = open::<NewestTwo>(dir.path());
    assert_eq!(db.get("deleted").unwrap(), None);
    // At the bottom nothing needs the tombstone any more.
    db.compact().unwrap();
    let entries: u64 = db.shape().keyspaces[0].shape.tables().map(|(_, table)| table.entries).sum();
    assert_eq!(entries, 2);
}

#[test]
fn many_rounds_of_merges_above_older_runs_agree_with_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let db = open::<NewestTwo>(dir.path());
    let mut model = std::collections::BTreeMap::new();
    let mut state = 3_u64;
    for round in 0..40 {
        for _ in 0..60 {
            let random = terrace_entry::testing::next_random(&mut state);
            let key = format!("{:03}", random % 200);
            if random >> 32 & 1 == 0 {
                db.delete(&key).unwrap();
                model.remove(key.as_bytes());
            } else {
                db.put(&key, format!("{round}")).unwrap();
                model.insert(key.into_bytes(), format!("{round}").into_bytes());
            }
        }
        db.flush().unwrap();
        db.wait_for_background().unwrap();
        let found: Vec<_> = db.iter().map(|kv| kv.unwrap()).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(found, expected, "round {round}");
    }
    assert!(db.stats().compactions > 20);
}

#[test]
fn a_wrong_task_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = open::<Wrong>(dir.path());
    for round in 0..4 {
        db.put("k", format!("{round}")).unwrap();
        db.flush().unwrap();
    }
    db.wait_for_background().unwrap();
    assert_eq!(db.get("k").unwrap().as_deref(), Some(b"3".as_slice()));
    assert_eq!(db.stats().compactions, 0);
    assert!(db.shape().to_string().contains("refused a task"), "{}", db.shape());
    assert!(db.failure().is_none());
}
