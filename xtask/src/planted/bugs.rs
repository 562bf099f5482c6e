//! The bugs to plant: each is one that somebody could make in a change that looks harmless.

/// Tests to run while a bug is planted.
pub(super) struct Suite {
    /// What follows `cargo test`.
    pub(super) arguments: &'static [&'static str],
    /// Flags for rustc.
    pub(super) flags: &'static str,
}

/// A bug.
pub(super) struct Bug {
    /// What it does, in a line.
    pub(super) name: &'static str,
    /// The file that it is planted in.
    pub(super) file: &'static str,
    /// What stands there, exactly once.
    pub(super) right: &'static str,
    /// What is put in its place.
    pub(super) wrong: &'static str,
    /// Tried in this order until one notices.
    pub(super) suites: &'static [Suite],
}

const fn suite(arguments: &'static [&'static str]) -> Suite {
    Suite { arguments, flags: "" }
}

/// Whole databases on a simulated machine; with the stock parts alone, which are compiled sooner.
const ENGINE: &[Suite] = &[
    suite(&["-p", "terrace", "--features", "testing", "--test", "simulation", "--test", "limits"]),
    suite(&["-p", "terrace", "--features", "testing", "--test", "crash_points", "--test", "fault_sites"]),
];
/// What is made before it is needed.
const READY: &[Suite] = &[suite(&["-p", "terrace", "--features", "testing", "--test", "ready"])];
/// Flipped bits and foreign bytes.
const DAMAGE: &[Suite] =
    &[suite(&["-p", "terrace", "--features", "testing", "--test", "damage", "--test", "bytes"])];
/// Windows between threads.
const SHUTTLE: &[Suite] =
    &[Suite { arguments: &["-p", "terrace", "--test", "shuttle"], flags: "--cfg shuttle" }];
const PICKER: &[Suite] =
    &[suite(&["-p", "terrace", "--features", "testing", "--test", "own_picker", "--test", "simulation"])];
const WAL: &[Suite] =
    &[suite(&["-p", "terrace-wal", "--all-features"]), suite(&["-p", "terrace", "--test", "damage"])];
const TABLE: &[Suite] = &[suite(&["-p", "terrace-sstable", "--all-features"])];
const VFS: &[Suite] = &[suite(&["-p", "terrace-vfs", "--all-features"])];
const BLOOM: &[Suite] = &[suite(&["-p", "terrace-bloom", "--all-features"])];
const COMPACTION: &[Suite] = &[suite(&["-p", "terrace-compaction", "--all-features"])];
const MEMTABLE: &[Suite] = &[
    suite(&["-p", "terrace-memtable", "--all-features"]),
    Suite { arguments: &["-p", "terrace-memtable", "--test", "shuttle"], flags: "--cfg shuttle" },
];

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "a synced write does not sync older logs",
        file: "engine/src/commit/mod.rs",
        right: "            self.logs().sync_all()?;\n            log.sync()?;",
        wrong: "            log.sync()?;",
        suites: ENGINE,
    },
    Bug {
        name: "a synced write is only handed over",
        file: "engine/src/commit/mod.rs",
        right: "            log.sync()?;\n            lead.durable",
        wrong: "            log.hand_over()?;\n            lead.durable",
        suites: ENGINE,
    },
    Bug {
        name: "a write is not handed to the system",
        file: "engine/src/commit/mod.rs",
        right: "        } else {\n            log.hand_over()?;\n        }",
        wrong: "        }",
        suites: ENGINE,
    },
    Bug {
        name: "a failed sync is not final",
        file: "engine/src/commit/mod.rs",
        right: "        result.map_err(|error| self.fail(error))",
        wrong: "        result",
        suites: ENGINE,
    },
    Bug {
        name: "a number is visible before its insert",
        file: "engine/src/commit/alone.rs",
        right: "            self.insert_unguarded(&place, ops);\n            self.show(lead);",
        wrong: "            self.show(lead);\n            self.insert_unguarded(&place, ops);",
        suites: SHUTTLE,
    },
    Bug {
        name: "a writer that leads alone does not look who came",
        file: "engine/src/commit/queue.rs",
        right: "        (!shared.commit.turn.let_go()).then(",
        wrong: "        shared.commit.turn.set(false, false);\n        false.then(",
        suites: SHUTTLE,
    },
    Bug {
        name: "a memtable that was sealed is written into by who comes alone",
        file: "engine/src/commit/room.rs",
        right: "        lead.recent = None;\n        tree.seal(",
        wrong: "        tree.seal(",
        suites: ENGINE,
    },
    Bug {
        name: "a group is visible before its leader has inserted it",
        file: "engine/src/commit/mod.rs",
        right: "        if self.inserts_at_once(members.len(), bytes) {\n",
        wrong: "        if self.inserts_at_once(members.len(), bytes) {\n            self.show(lead);\n",
        suites: SHUTTLE,
    },
    Bug {
        name: "CURRENT is renamed before it is synced",
        file: "engine/src/manifest/mod.rs",
        right: "        file.sync()?;\n        drop(file);\n        self.vfs.rename(&temp, &FileName::Current.in_dir(&self.dir))?;",
        wrong: "        self.vfs.rename(&temp, &FileName::Current.in_dir(&self.dir))?;\n        file.sync()?;\n        drop(file);",
        suites: ENGINE,
    },
    Bug {
        name: "the folder is not synced after CURRENT is renamed",
        file: "engine/src/manifest/mod.rs",
        right: "        self.vfs.rename(&temp, &FileName::Current.in_dir(&self.dir))?;\n        self.vfs.sync_dir(&self.dir)?;",
        wrong: "        self.vfs.rename(&temp, &FileName::Current.in_dir(&self.dir))?;",
        suites: ENGINE,
    },
    Bug {
        name: "the folder is not synced before CURRENT names a new manifest",
        file: "engine/src/manifest/mod.rs",
        right: "        self.vfs.sync_dir(&self.dir)?;\n        self.point_at(number)?;",
        wrong: "        self.point_at(number)?;",
        suites: ENGINE,
    },
    Bug {
        name: "a manifest record is not synced",
        file: "engine/src/manifest/mod.rs",
        right: "    log.append(&[buffer])?;\n    log.sync()?;",
        wrong: "    log.append(&[buffer])?;\n    log.hand_over()?;",
        suites: ENGINE,
    },
    Bug {
        name: "the checksum of CURRENT is ignored",
        file: "engine/src/manifest/mod.rs",
        right: "    if text == pointer_text(number) {",
        wrong: "    if text.starts_with(name) {",
        suites: DAMAGE,
    },
    Bug {
        name: "a new manifest forgets a table",
        file: "engine/src/manifest/state.rs",
        right: "let shape = ShapeEdit { removed: Vec::new(), added: Some((output, run.tables.clone())) };\n            Edit",
        wrong: "let shape = ShapeEdit { removed: Vec::new(), added: Some((output, run.tables[1..].to_vec())) };\n            Edit",
        suites: ENGINE,
    },
    Bug {
        name: "the folder is not synced after tables are written",
        file: "engine/src/outputs.rs",
        right: "        if !self.written.is_empty() {\n            self.shared.trash.sync_dir(&self.shared.dir)?;\n        }",
        wrong: "",
        suites: ENGINE,
    },
    Bug {
        name: "a new log's name is not synced",
        file: "engine/src/logs.rs",
        right: "        let mut log = P::create_log(&self.options, &self.vfs, &path, create)?;\n        self.vfs.sync_dir(&self.dir)?;",
        wrong: "        let mut log = P::create_log(&self.options, &self.vfs, &path, create)?;",
        suites: ENGINE,
    },
    Bug {
        name: "a log is prepared where a sync would write all of it",
        file: "engine/src/logs.rs",
        right: "if let Some(chore) = log.chore().filter(|_| prepares) {",
        wrong: "if let Some(chore) = log.chore() {",
        suites: READY,
    },
    Bug {
        name: "one log too many is removed",
        file: "engine/src/logs.rs",
        right: "is_some_and(|log| log.number < floor)",
        wrong: "is_some_and(|log| log.number <= floor)",
        suites: ENGINE,
    },
    Bug {
        name: "the logs that other keyspaces need are forgotten",
        file: "engine/src/logs.rs",
        right: "tree.first_log(skip)).min()",
        wrong: "tree.first_log(skip)).max()",
        suites: ENGINE,
    },
    Bug {
        name: "a flush does not close the logs that others need",
        file: "engine/src/flush.rs",
        right: "shared.close_needed_logs(floor, upto)",
        wrong: "shared.close_needed_logs(u64::MAX, upto)",
        suites: ENGINE,
    },
    Bug {
        name: "a flush does not wait for the writes that belong into it",
        file: "engine/src/flush.rs",
        right: "        if self.visible() < mem.last_seqno() {",
        wrong: "        if false && self.visible() < mem.last_seqno() {",
        suites: SHUTTLE,
    },
    Bug {
        name: "a read takes the number before the view",
        file: "engine/src/read.rs",
        right: "        let view = tree.view();\n        let seqno = at.unwrap_or_else(|| self.visible());",
        wrong: "        let seqno = at.unwrap_or_else(|| self.visible());\n        let view = tree.view();",
        suites: SHUTTLE,
    },
    Bug {
        name: "an iterator takes the number before the view",
        file: "engine/src/iter.rs",
        right: "        let view = tree.pin();\n        let seqno = at.unwrap_or_else(|| shared.visible());",
        wrong: "        let seqno = at.unwrap_or_else(|| shared.visible());\n        let view = tree.pin();",
        suites: SHUTTLE,
    },
    Bug {
        name: "recovered logs are not made durable",
        file: "engine/src/recover/mod.rs",
        right: "        if log.durable || log.bytes == 0 {",
        wrong: "        if log.bytes < u64::MAX {",
        suites: ENGINE,
    },
    Bug {
        name: "a hole in the chain of records is ignored",
        file: "engine/src/recover/replay.rs",
        right: "        if payload.previous != self.last_logged {",
        wrong: "        if false && payload.previous != self.last_logged {",
        suites: ENGINE,
    },
    Bug {
        name: "compaction forgets the snapshots",
        file: "engine/src/snapshot.rs",
        right: "let mut boundaries: Vec<SeqNo> = held.keys().copied().collect();",
        wrong: "let mut boundaries: Vec<SeqNo> = held.keys().copied().take(0).collect();",
        suites: ENGINE,
    },
    Bug {
        name: "tombstones are dropped above older versions",
        file: "engine/src/compact.rs",
        right: "Box::new(move |key| !older.may_hold(key))",
        wrong: "Box::new(move |key| !older.may_hold(key) || true)",
        suites: PICKER,
    },
    Bug {
        name: "an iterator sees what is newer than its snapshot",
        file: "engine/src/iter.rs",
        right: "            if key.seqno > self.seqno || (self.front_passed",
        wrong: "            if (self.front_passed",
        suites: ENGINE,
    },
    Bug {
        name: "closing forgets what bypassed the log",
        file: "engine/src/db.rs",
        right: "self.flush_unlogged() } else { Ok(()) }",
        wrong: "Ok(()) } else { Ok(()) }",
        suites: ENGINE,
    },
    Bug {
        name: "obsolete tables are never removed",
        file: "engine/src/compact.rs",
        right: "        gone.iter().for_each(|table| table.retire());",
        wrong: "        drop(gone);",
        suites: ENGINE,
    },
    Bug {
        name: "a compaction's inputs are removed before the manifest forgets them",
        file: "engine/src/compact.rs",
        right: "        self.record(&mut manifest, &mut edits)?;\n        let mut gone = Vec::new();",
        wrong: "        for id in &task.inputs {\n            let _ = self.vfs.remove(&self.path_of(crate::names::FileName::Table(id.0)));\n        }\n        self.record(&mut manifest, &mut edits)?;\n        let mut gone = Vec::new();",
        suites: ENGINE,
    },
    Bug {
        name: "recovery removes a live table",
        file: "engine/src/recover/mod.rs",
        right: "filter(|number| !live.contains(number))",
        wrong: "filter(|number| !live[1.min(live.len())..].contains(number))",
        suites: ENGINE,
    },
    Bug {
        name: "a new database begins with a log and no manifest",
        file: "engine/src/recover/mod.rs",
        right: "        if held.summary.created {",
        wrong: "        if false && held.summary.created {",
        suites: ENGINE,
    },
    Bug {
        name: "a log's payload checksum is ignored",
        file: "wal/src/reader.rs",
        right: "            return Ok(Err(Problem::PayloadChecksum(header)));",
        wrong: "            let _ = Problem::PayloadChecksum(header);",
        suites: WAL,
    },
    Bug {
        name: "a header's checksum does not cover its place",
        file: "wal/src/record.rs",
        right: "    checked.0[0..8].copy_from_slice(&offset.to_le_bytes());",
        wrong: "    checked.0[0..8].copy_from_slice(&(offset & 0).to_le_bytes());",
        suites: WAL,
    },
    Bug {
        name: "a record of another log is replayed",
        file: "wal/src/judge.rs",
        right: "        Ok(header) if header.number_low != number_low => {",
        wrong: "        Ok(header) if header.number_low != number_low && head.is_empty() => {",
        suites: WAL,
    },
    Bug {
        name: "the durable mark runs ahead",
        file: "wal/src/buffered.rs",
        right: "data_header(offset, self.synced, payload, crc)",
        wrong: "data_header(offset, offset, payload, crc)",
        suites: WAL,
    },
    Bug {
        name: "a sync of the buffered log skips the file",
        file: "wal/src/buffered.rs",
        right: "            self.with_file(|file, _| file.sync())?;\n            self.synced = self.len;",
        wrong: "            self.synced = self.len;",
        suites: WAL,
    },
    Bug {
        name: "a store into a map begins with the bytes that must come last",
        file: "vfs/src/real/map.rs",
        right: "bytes.split_at(bytes.len().min(FIRST_BYTES))",
        wrong: "bytes.split_at(bytes.len().min(FIRST_BYTES - 8))",
        suites: VFS,
    },
    Bug {
        name: "a header without its first memory line is taken for rot",
        file: "wal/src/judge.rs",
        right: "(offset + at as u64 + 1).is_multiple_of(LINE_BYTES)",
        wrong: "(offset + at as u64 + 1).is_multiple_of(8 * LINE_BYTES)",
        suites: WAL,
    },
    Bug {
        name: "blocks of dropped tables count for ever",
        file: "sstable/src/slots/queues.rs",
        right: "self.left_bytes.fetch_add(weight, Ordering::Relaxed);",
        wrong: "self.left_bytes.fetch_add(weight & 0, Ordering::Relaxed);",
        suites: TABLE,
    },
    Bug {
        name: "a block's checksum is ignored",
        file: "sstable/src/block/stored.rs",
        right: "    if checksum(covered, offset) != u32::from_le_bytes(*crc) {",
        wrong: "    if checksum(covered, offset) != u32::from_le_bytes(*crc) && covered.is_empty() {",
        suites: TABLE,
    },
    Bug {
        name: "a block's checksum does not cover its place",
        file: "sstable/src/block/stored.rs",
        right: "crc32c::crc32c_append(checksum, &offset.to_le_bytes())",
        wrong: "crc32c::crc32c_append(checksum, &(offset & 0).to_le_bytes())",
        suites: TABLE,
    },
    Bug {
        name: "the index's fences are off by one",
        file: "sstable/src/block/index.rs",
        right: "                low = middle + 1;",
        wrong: "                low = middle + 2;",
        suites: TABLE,
    },
    Bug {
        name: "a forged raw length is believed",
        file: "sstable/src/block/stored.rs",
        right: "        TAG_LZ4 if raw > payload.len().saturating_mul(LZ4_EXPANSION_MAX) => {",
        wrong: "        TAG_LZ4 if raw > payload.len().saturating_mul(LZ4_EXPANSION_MAX << 20) => {",
        suites: TABLE,
    },
    Bug {
        name: "the filter is asked with another seed than it was built with",
        file: "bloom/src/blocked.rs",
        right: "        let start = reduce(hash.0, self.lines) * LINE_BYTES;",
        wrong: "        let start = reduce(hash.0.rotate_left(1), self.lines) * LINE_BYTES;",
        suites: BLOOM,
    },
    Bug {
        name: "the filter sets one bit too few",
        file: "bloom/src/blocked.rs",
        right: "    with_probes!(left, set_all, line, word);",
        wrong: "    with_probes!(left - 1, set_all, line, word);",
        suites: BLOOM,
    },
    Bug {
        name: "a shadowed version is kept in place of the newest",
        file: "compaction/src/survivors.rs",
        right: "        if state.stripe_seen == Some(state.stripe) {\n            return Verdict::DropShadowed;",
        wrong: "        if state.stripe_seen != Some(state.stripe) && seqno.get() % 7 == 6 {\n            return Verdict::DropShadowed;",
        suites: COMPACTION,
    },
    Bug {
        name: "a tombstone goes while a snapshot needs it",
        file: "compaction/src/survivors.rs",
        right: "        if state.stripe > 0 || (kind",
        wrong: "        if (state.stripe > 0 && kind == Kind::Put) || (kind",
        suites: COMPACTION,
    },
    Bug {
        name: "a look-up in the skiplist takes a neighbour's value",
        file: "memtable/src/skiplist.rs",
        right: "        (key.user_key == user_key).then(|| Found {",
        wrong: "        (key.user_key >= user_key).then(|| Found {",
        suites: MEMTABLE,
    },
    Bug {
        name: "a look-up in the skiplist sees what is newer than its snapshot",
        file: "memtable/src/skiplist.rs",
        right: "Target::of_key(InternalKey::seek_to(user_key, seqno))).1?;",
        wrong: "Target::of_key(InternalKey::seek_to(user_key, seqno.max(SeqNo::MAX)))).1?;",
        suites: MEMTABLE,
    },
    Bug {
        name: "a read of the B-tree is not validated",
        file: "memtable/src/btree/version.rs",
        right: "if self.node.version.load(Relaxed) == self.version { Ok(()) }",
        wrong: "if self.node.version.load(Relaxed) >= self.version { Ok(()) }",
        suites: MEMTABLE,
    },
    Bug {
        name: "a memtable is frozen without saying so to those who walk it",
        file: "memtable/src/hash/order.rs",
        right: "        self.settling.store(1, Relaxed);\n        let mut room",
        wrong: "        let mut room",
        suites: MEMTABLE,
    },
    Bug {
        name: "a memtable is never sealed early, however fast writers are",
        file: "engine/src/flush.rs",
        right: "        shared.limit_active(&self.tree, self.sealed_bytes, self.mem.memory_bytes());\n",
        wrong: "",
        suites: &[suite(&["-p", "terrace", "--test", "order"])],
    },
    Bug {
        name: "a merge goes on beside a flush that memory waits for",
        file: "engine/src/compact.rs",
        right: "                if self.waits_for_flush(tree) {",
        wrong: "                if false && self.waits_for_flush(tree) {",
        suites: &[suite(&["-p", "terrace", "--test", "order"])],
    },
];
