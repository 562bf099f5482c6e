//! Which versions a merge keeps.
//!
//! Algorithm: the sequence numbers that somebody may read at (the *boundaries*: every snapshot, and what was visible when the job
//! began) cut time into stripes `(s[i-1], s[i]]`. A reader at `s[i]` sees the newest version at or below it, so of a key's versions in one stripe
//! only the newest can ever be read: the others are *shadowed*. Versions above the last boundary belong to readers yet to come and
//! are all kept. (LevelDB's `smallest_snapshot` rule, extended to every snapshot as in RocksDB's compaction iterator.)
//!
//! A tombstone is dropped when it is the newest of the oldest stripe and nothing outside the merge can hold an older version of its key: its own
//! older versions are in the oldest stripe too and go with it, so that whoever could see it now sees nothing, which is the same.
//! A tombstone in a younger stripe stays even if it hides nothing: a look-ahead would be needed to know.
//!
//! At the bottom the sequence number of a `Put` in the oldest stripe says nothing any more: every reader sees it, and no older version
//! is left. Written as zero, it compresses better. Only one version of a key can meet the rule, so no two become equal.
//!
//! Invariants: *order kept* (what comes out ascends as it went in), *same answers* (a read at a boundary, or above the last one, gives the same before
//! and after, tombstone and absence taken as one).
//!
//! Costs: O(1) for each version beside the cursor's own; one comparison of user keys; one key buffer, reused; `bottom` is asked at most
//! once for each key and only when its answer matters.

use core::fmt;

use terrace_entry::{Cursor, Entry, InternalKey, KeyBuffer, Kind, SeqNo};

/// What [`Survivors`] has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SurvivorStats {
    /// Versions read.
    pub entries_in: u64,
    /// Versions kept.
    pub entries_out: u64,
    /// Versions dropped because a newer one of the same stripe hides them.
    pub shadowed: u64,
    /// Tombstones dropped at the bottom.
    pub tombstones_dropped: u64,
    /// Versions whose sequence number became zero.
    pub seqnos_zeroed: u64,
    /// Bytes of user keys and values read.
    pub bytes_in: u64,
    /// Bytes of user keys and values kept.
    pub bytes_out: u64,
}

/// Filters a merged cursor: yields the versions to keep, in order.
///
/// ```
/// use terrace_compaction::Survivors;
/// use terrace_entry::{Cursor, Kind, SeqNo, VecCursor};
///
/// let version = |key: &str, seqno, kind| (key.as_bytes().to_vec(), SeqNo::new(seqno), kind, Vec::new());
/// let mut cursor = VecCursor::new(vec![
///     version("a", 9, Kind::Put),
///     version("a", 4, Kind::Put),    // shadowed: nobody reads between 4 and 9
///     version("b", 8, Kind::Delete), // at the bottom and visible to all: dropped
///     version("b", 2, Kind::Put),
/// ]);
/// cursor.seek_to_first().unwrap();
/// let mut survivors = Survivors::new(cursor, &[SeqNo::new(10)], |_key: &[u8]| true);
/// let kept = survivors.next().unwrap().unwrap();
/// assert_eq!((kept.key.user_key, kept.key.seqno), (b"a".as_slice(), SeqNo::new(9)));
/// assert!(survivors.next().unwrap().is_none());
/// assert_eq!(survivors.stats().shadowed, 2);
/// ```
pub struct Survivors<C, B> {
    cursor: C,
    judge: Judge<B>,
    /// Whether the cursor still stands on what was yielded last.
    on_yielded: bool,
    end: End,
}

/// Says what becomes of each version. Apart from the cursor, which lends the version that is judged.
struct Judge<B> {
    /// Ascending, without repetition.
    boundaries: Vec<SeqNo>,
    bottom: B,
    zero_seqnos: bool,
    key: KeyBuffer,
    /// What is known of the key in `key`; `None` before the first.
    state: Option<KeyState>,
    stats: SurvivorStats,
}

#[derive(Clone, Copy)]
struct KeyState {
    /// The stripe whose newest version was met; `boundaries.len()` for above the last boundary, where nothing is shadowed.
    stripe_seen: Option<usize>,
    /// Stripe of the last version; sequence numbers descend within a key, so it only falls.
    stripe: usize,
    /// The answer of `bottom`, once asked.
    bottom: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    No,
    Clean,
    Failed,
}

enum Verdict {
    Keep,
    KeepZeroed,
    DropShadowed,
    DropTombstone,
}

impl<C: Cursor, B: FnMut(&[u8]) -> bool> Survivors<C, B> {
    /// Reads `cursor` from where it stands.
    ///
    /// `boundaries`, ascending, are the sequence numbers of all snapshots, and last the number visible when the job began; with none, all versions
    /// are kept. `bottom` says of a user key that nothing older than the outputs, outside the inputs, can hold it
    /// ([`crate::OlderTables::may_hold`] is the opposite); it is asked in ascending order of keys.
    #[must_use]
    pub fn new(cursor: C, boundaries: &[SeqNo], bottom: B) -> Self {
        debug_assert!(boundaries.is_sorted(), "boundaries ascend");
        let mut boundaries = boundaries.to_vec();
        boundaries.dedup();
        Survivors {
            cursor,
            judge: Judge {
                boundaries,
                bottom,
                zero_seqnos: false,
                key: KeyBuffer::new(),
                state: None,
                stats: SurvivorStats::default(),
            },
            on_yielded: false,
            end: End::No,
        }
    }

    /// Whether sequence numbers that say nothing any more are written as zero. Off unless asked for.
    #[must_use]
    pub fn zero_seqnos(mut self, yes: bool) -> Self {
        self.judge.zero_seqnos = yes;
        self
    }

    /// The next version to keep, borrowed until the next call; `None` at the end.
    ///
    /// # Errors
    ///
    /// The cursor's. What comes after is unknown then: every later call gives `None` and [`Survivors::is_complete`] stays false; whatever was
    /// made of the versions so far must be thrown away.
    #[expect(
        clippy::should_implement_trait,
        reason = "lends from itself and can fail, which Iterator can not say"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, C::Error> {
        let mut kept_as = None;
        while self.end == End::No && kept_as.is_none() {
            if self.on_yielded {
                self.on_yielded = false;
                self.step()?;
            }
            let Some(entry) = self.cursor.current() else {
                self.end = End::Clean;
                break;
            };
            kept_as = self.judge.keeps_as(entry);
            match kept_as {
                Some(_) => self.on_yielded = true,
                None => self.step()?,
            }
        }
        let Some(seqno) = kept_as else { return Ok(None) };
        Ok(self.cursor.current().map(|entry| with_seqno(entry, seqno)))
    }

    /// Gives the next versions to keep, at most `versions_max` of them, to `keep`, as [`Survivors::next`] would one by one. It returns whether
    /// there may be more.
    ///
    /// # Errors
    ///
    /// Those of the cursor, as told at [`Survivors::next`], and those of `keep`, after which the version refused is not given again.
    pub fn pass_on<E: From<C::Error>>(
        &mut self,
        versions_max: usize,
        mut keep: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut left = versions_max;
        if self.end == End::No && self.on_yielded {
            self.on_yielded = false;
            self.step()?;
        }
        while self.end == End::No && left > 0 {
            let Some(entry) = self.cursor.current() else {
                self.end = End::Clean;
                break;
            };
            if let Some(seqno) = self.judge.keeps_as(entry) {
                left -= 1;
                if let Err(error) = keep(with_seqno(entry, seqno)) {
                    self.on_yielded = true;
                    return Err(error);
                }
            }
            self.step()?;
        }
        Ok(self.end == End::No)
    }

    #[inline(always)]
    fn step(&mut self) -> Result<(), C::Error> {
        self.cursor.next().inspect_err(|_| self.end = End::Failed)
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> SurvivorStats {
        self.judge.stats
    }

    /// Whether the cursor was read to its end without an error.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end == End::Clean
    }

    /// The cursor, wherever it stands.
    #[must_use]
    pub fn into_cursor(self) -> C {
        self.cursor
    }
}

#[inline(always)]
fn with_seqno(entry: Entry<'_>, seqno: SeqNo) -> Entry<'_> {
    Entry { key: InternalKey { seqno, ..entry.key }, value: entry.value }
}

impl<B: FnMut(&[u8]) -> bool> Judge<B> {
    /// The sequence number with which a version is kept; `None` if it is dropped.
    #[inline(always)]
    fn keeps_as(&mut self, entry: Entry<'_>) -> Option<SeqNo> {
        let InternalKey { user_key, seqno, kind } = entry.key;
        let bytes = (user_key.len() + entry.value.len()) as u64;
        if self.state.is_none() || !self.key.holds(user_key) {
            self.key.set(user_key);
            self.state = Some(KeyState { stripe_seen: None, stripe: self.boundaries.len(), bottom: None });
        }
        self.stats.entries_in += 1;
        self.stats.bytes_in += bytes;
        let kept_as = match self.judge(seqno, kind) {
            Verdict::Keep => seqno,
            Verdict::KeepZeroed => {
                self.stats.seqnos_zeroed += u64::from(seqno != SeqNo::ZERO);
                SeqNo::ZERO
            }
            Verdict::DropShadowed => {
                self.stats.shadowed += 1;
                return None;
            }
            Verdict::DropTombstone => {
                self.stats.tombstones_dropped += 1;
                return None;
            }
        };
        self.stats.entries_out += 1;
        self.stats.bytes_out += bytes;
        Some(kept_as)
    }

    /// What becomes of the version of `self.key` with this number and kind.
    #[inline(always)]
    fn judge(&mut self, seqno: SeqNo, kind: Kind) -> Verdict {
        let Some(state) = &mut self.state else { return Verdict::Keep };
        while state.stripe > 0 && seqno <= self.boundaries[state.stripe - 1] {
            state.stripe -= 1;
        }
        if state.stripe == self.boundaries.len() {
            return Verdict::Keep;
        }
        if state.stripe_seen == Some(state.stripe) {
            return Verdict::DropShadowed;
        }
        match kind {
            Kind::Put | Kind::Delete => state.stripe_seen = Some(state.stripe),
            // A kind of a later version of the format may need what is below it.
            _ => return Verdict::Keep,
        }
        if state.stripe > 0 || (kind == Kind::Put && !self.zero_seqnos) {
            return Verdict::Keep;
        }
        let at_bottom = *state.bottom.get_or_insert_with(|| (self.bottom)(self.key.as_slice()));
        match (at_bottom, kind) {
            (true, Kind::Delete) => Verdict::DropTombstone,
            (true, _) => Verdict::KeepZeroed,
            (false, _) => Verdict::Keep,
        }
    }
}

impl<C, B> fmt::Debug for Survivors<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Survivors");
        debug.field("boundaries", &self.judge.boundaries);
        debug.field("stats", &self.judge.stats).field("end", &self.end);
        debug.finish_non_exhaustive()
    }
}
