//! Threads that work in stretches which begin and end together, and how long these took in all.
//!
//! What a thread does between two stretches must take no processor from a stretch of another, and must leave it none. So all begin a round
//! together, when each has come, and go on together, when each has done its stretch. A round takes from its first begin to its last end.
//!
//! Who waits for a begin asks again and again, so that all begin within a microsecond if there are processors for all; nothing is measured then.
//! Who waits for an end sleeps, for others are measured still.

use crate::workload::client::Stretch;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The rounds of some threads.
#[derive(Debug)]
pub(super) struct Rounds {
    state: Mutex<State>,
    ended: Condvar,
    /// How many rounds have begun.
    begun: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    members: u64,
    arrived: u64,
    finished: u64,
    /// How many rounds are over.
    rounds: u64,
    /// The round under way, as far as it is done.
    round: Option<Stretch>,
    elapsed: Duration,
}

impl Rounds {
    pub(super) fn new(members: u64) -> Self {
        let state = State { members, ..State::default() };
        Rounds { state: Mutex::new(state), ended: Condvar::new(), begun: AtomicU64::new(0) }
    }

    /// One of the threads; to be asked for once in each.
    pub(super) fn member(&self) -> Member<'_> {
        Member { rounds: self, round: 0 }
    }

    /// How long all rounds took that are over.
    pub(super) fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a round begin when all are there, and ends it when all are done.
    fn advance(&self, state: &mut State) {
        if state.members > 0 && state.arrived == state.members {
            state.arrived = 0;
            self.begun.fetch_add(1, Ordering::Release);
        }
        if state.members > 0 && state.finished == state.members {
            state.finished = 0;
            state.rounds += 1;
            state.elapsed += state.round.take().map_or(Duration::ZERO, |round| round.end - round.begin);
            self.ended.notify_all();
        }
    }
}

/// One of the threads. It leaves when it is dropped, and the others go on without it.
#[derive(Debug)]
pub(super) struct Member<'a> {
    rounds: &'a Rounds,
    /// The round that it is in or comes to.
    round: u64,
}

impl Member<'_> {
    /// Waits until all are there.
    pub(super) fn begin(&self) {
        let mut state = self.rounds.state();
        state.arrived += 1;
        self.rounds.advance(&mut state);
        drop(state);
        while self.rounds.begun.load(Ordering::Acquire) <= self.round {
            std::thread::yield_now();
        }
    }

    /// Waits until all are done.
    pub(super) fn end(&mut self, own: Stretch) {
        let mut state = self.rounds.state();
        state.finished += 1;
        state.round = Some(state.round.map_or(own, |others| others.and(own)));
        self.rounds.advance(&mut state);
        while state.rounds <= self.round {
            state = self.rounds.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.round += 1;
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let mut state = self.rounds.state();
        state.members -= 1;
        self.rounds.advance(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_round_takes_from_the_first_begin_to_the_last_end_and_what_is_between_rounds_counts_nowhere() {
        let rounds = Rounds::new(3);
        let start = meter::now();
        let at = |millis| start + Duration::from_millis(millis);
        // For each thread the begins and ends of its rounds; the last one leaves after the first round.
        let plans: [&[(u64, u64)]; 3] = [&[(0, 10), (100, 107)], &[(2, 12), (103, 110)], &[(1, 9)]];
        std::thread::scope(|scope| {
            for plan in plans {
                let mut member = rounds.member();
                scope.spawn(move || {
                    for (begin, end) in plan {
                        member.begin();
                        member.end(Stretch { begin: at(*begin), end: at(*end) });
                    }
                });
            }
        });
        assert_eq!(rounds.elapsed(), Duration::from_millis(12 + 10));
    }

    #[test]
    fn nobody_begins_a_round_before_all_are_there_or_goes_on_before_all_are_done() {
        const ROUNDS: u64 = 200;
        let rounds = Rounds::new(3);
        let (working, prepared) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let mut member = rounds.member();
                let (working, prepared) = (&working, &prepared);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        assert_eq!(working.load(Ordering::SeqCst), 0, "somebody works still");
                        prepared.fetch_add(1, Ordering::SeqCst);
                        member.begin();
                        working.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(prepared.load(Ordering::SeqCst), 3 * (round + 1), "somebody is not there");
                        let begin = meter::now();
                        working.fetch_sub(1, Ordering::SeqCst);
                        member.end(Stretch { begin, end: begin });
                    }
                });
            }
        });
    }

    #[test]
    fn who_leaves_in_the_midst_of_a_round_holds_nobody_up() {
        let rounds = Rounds::new(2);
        let [mut stays, leaves] = [rounds.member(), rounds.member()];
        std::thread::scope(|scope| {
            scope.spawn(move || {
                leaves.begin();
                drop(leaves);
            });
            for _ in 0..2 {
                stays.begin();
                let begin = meter::now();
                stays.end(Stretch { begin, end: begin + Duration::from_millis(3) });
            }
        });
        assert_eq!(rounds.elapsed(), Duration::from_millis(6));
    }
}
