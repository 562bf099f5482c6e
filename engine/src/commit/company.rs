//! Company for a sync.
//!
//! A sync takes longer than all else in a commit, and as long for twenty writes as for one. Writers told of theirs mostly come again within microseconds.
//! A leader that syncs at once goes without them: they wait for that whole sync and make up the next group, so that the writers fall into
//! two halves that take turns, and every sync serves half of them. So a leader waits for about as many as wrote at the last sync,
//! for less time than that sync took. A writer that always comes alone expects nobody and waits for nothing.
//!
//! Waiting in vain costs little: after it some groups go without, and twice as many each time that it happens again.
//!
//! The others do not sleep through a short sync. To wake seven threads one after the other took half as long as the sync that they waited for; who lets other threads
//! go first until it is over is back at once. That costs the time of a processor that nobody else wants. RocksDB's writers wait so too, for up to 100 us.

use std::time::Duration;

use super::locked;
use super::queue::{Leading, Queue};
use crate::Parts;
use crate::shared::Shared;
use crate::sync::thread;

/// A leader waits no longer than this, however long syncs take.
const WAIT_MAX: Duration = Duration::from_millis(1);
/// How often it looks who has come, with other threads let go first in between: the end where a clock stands still.
const LOOKS_MAX: usize = if cfg!(shuttle) { 3 } else { 4_000 };
/// Who waits for a longer sync sleeps: to be woken is then little of it.
const PATIENT_SYNC_MAX: Duration = Duration::from_micros(500);
/// And of so few writers the one or two that are to be woken sleep: of two, the one that did not made the other's sync a tenth slower.
const PATIENT_WRITERS_MIN: usize = 3;
/// After however many waits in vain, no more groups than this go without.
const WITHOUT_MAX: u32 = 64;

/// How many writers a synced group may expect, and for how long it is worth waiting for them.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// The members of the last synced group and those who waited at its end.
    expected: usize,
    /// What that group took, nearly all of it its sync.
    took: Duration,
    /// So many groups go without.
    without: u32,
    /// So many are to after the next wait in vain.
    without_next: u32,
}

impl Company {
    /// How long to wait for others when so many are here; `None`: not at all.
    fn limit(&mut self, here: usize) -> Option<Duration> {
        if here >= self.expected {
            return None;
        }
        if self.without > 0 {
            self.without -= 1;
            return None;
        }
        Some(self.took.min(WAIT_MAX))
    }

    /// How long a writer lets other threads go first before it sleeps: until the sync that goes on, and the next, should be over.
    pub(super) fn patience(&self) -> Duration {
        if self.expected < PATIENT_WRITERS_MIN || self.took > PATIENT_SYNC_MAX {
            return Duration::ZERO;
        }
        2 * self.took
    }

    /// A wait is over, and all who were expected came or not.
    fn waited(&mut self, came: bool) {
        if came {
            self.without_next = 0;
        } else {
            self.without_next = (self.without_next * 2).clamp(1, WITHOUT_MAX);
            self.without = self.without_next;
        }
    }

    fn synced(&mut self, wrote: usize, took: Duration) {
        (self.expected, self.took) = (wrote, took);
    }
}

impl<P: Parts> Queue<P> {
    /// How many are here, with the leader.
    fn here(&self, leading: &Leading<'_, P>) -> usize {
        1 + leading.followers.0.len() + self.waiting.len()
    }
}

impl<P: Parts> Shared<P> {
    /// Lets others join a group that is to be synced, whose leader's own write has some bytes.
    pub(super) fn gather(&self, leading: &mut Leading<'_, P>, bytes: usize) {
        let mut queue = locked(&self.commit.queue);
        let here = queue.here(leading);
        if let Some(limit) = queue.company.limit(here) {
            let until = self.clock.now() + limit;
            for _ in 0..LOOKS_MAX {
                drop(queue);
                thread::yield_now();
                queue = locked(&self.commit.queue);
                if queue.here(leading) >= queue.company.expected || self.clock.now() >= until {
                    break;
                }
            }
            let came = queue.here(leading) >= queue.company.expected;
            queue.company.waited(came);
        }
        // Also without a wait: some may have come since the lead was taken.
        leading.take_along(&mut queue, bytes);
    }

    /// Says for so long that one may wait without sleep.
    pub(super) fn patient_for(&self, patience: Duration) -> impl FnMut() -> bool {
        let until = if patience.is_zero() { Duration::ZERO } else { self.clock.now() + patience };
        let mut looks = if patience.is_zero() { 0 } else { LOOKS_MAX };
        move || {
            looks = looks.saturating_sub(1);
            looks > 0 && self.clock.now() < until
        }
    }

    /// A synced group of so many members is committed, since `began`.
    pub(super) fn note_company(&self, members: usize, began: Duration) {
        let took = self.clock.now().saturating_sub(began);
        let mut queue = locked(&self.commit.queue);
        let wrote = members + queue.waiting.len();
        queue.company.synced(wrote, took);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(100);

    #[test]
    fn who_comes_alone_waits_for_nobody() {
        let mut company = Company::default();
        for _ in 0..3 {
            assert_eq!(company.limit(1), None);
            company.synced(1, SYNC);
        }
    }

    #[test]
    fn it_waits_for_as_many_as_wrote_last_and_no_longer_than_that_took() {
        let mut company = Company::default();
        company.synced(8, SYNC);
        assert_eq!(company.limit(8), None, "all are here");
        assert_eq!(company.limit(9), None);
        assert_eq!(company.limit(7), Some(SYNC));
        company.synced(8, Duration::from_secs(1));
        assert_eq!(company.limit(7), Some(WAIT_MAX));
        company.synced(2, SYNC);
        assert_eq!(company.limit(2), None, "others have left");
    }

    #[test]
    fn three_and_more_do_not_sleep_through_a_short_sync() {
        let mut company = Company::default();
        assert_eq!(company.patience(), Duration::ZERO);
        company.synced(2, SYNC);
        assert_eq!(company.patience(), Duration::ZERO);
        company.synced(3, SYNC);
        assert_eq!(company.patience(), 2 * SYNC);
        company.synced(8, Duration::from_millis(5));
        assert_eq!(company.patience(), Duration::ZERO);
    }

    #[test]
    fn waits_in_vain_become_rare_until_one_is_not() {
        let mut company = Company::default();
        company.synced(2, SYNC);
        let mut waits = 0;
        for _ in 0..1_000 {
            if company.limit(1).is_some() {
                waits += 1;
                company.waited(false);
            }
        }
        // The first 7 are followed by 1, 2, 4, ... 64 without, and from then on each 65th waits.
        assert_eq!(waits, 7 + (1_000_u32 - 7 - 127).div_ceil(65));
        while company.limit(1).is_none() {}
        company.waited(true);
        assert_eq!(company.limit(1), Some(SYNC), "the next group waits again");
    }
}
