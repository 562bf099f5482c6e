//! The pool of threads alone.

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;
use std::sync::Arc;
use terrace::{Executor, Lane, SimClock, Step, ThreadPool};

use super::explore;

fn pool() -> Arc<ThreadPool> {
    Arc::new(ThreadPool::new(1, Arc::new(SimClock::new())))
}

/// A notice between a waiter's look and its sleep must not be lost: shuttle's waits have no time limit that would hide it.
#[test]
fn a_waiter_always_wakes() {
    explore(1000, || {
        let pool = pool();
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 {
            let (done, notify) = (Arc::clone(&done), Arc::clone(&pool));
            pool.spawn(
                Lane::Flush,
                Box::new(move || {
                    done.fetch_add(1, Ordering::SeqCst);
                    notify.notify();
                    Step::Done
                }),
            );
        }
        let other = {
            let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
            thread::spawn(move || pool.wait(&|| done.load(Ordering::SeqCst) >= 1))
        };
        pool.wait(&|| done.load(Ordering::SeqCst) == 2);
        other.join().unwrap();
        pool.stop();
    });
}

#[test]
fn stop_waits_for_the_step_under_way_and_drops_the_rest() {
    explore(1000, || {
        let pool = pool();
        let (running, alive) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        for lane in [Lane::Flush, Lane::Level0, Lane::Compaction, Lane::Maintenance] {
            let (running, alive) = (Arc::clone(&running), Arc::clone(&alive));
            let mut steps = 0;
            pool.spawn(
                lane,
                Box::new(move || {
                    let _alive = &alive;
                    running.fetch_add(1, Ordering::SeqCst);
                    steps += 1;
                    running.fetch_sub(1, Ordering::SeqCst);
                    if steps == 3 { Step::Done } else { Step::Again }
                }),
            );
        }
        let late = {
            let (pool, alive) = (Arc::clone(&pool), Arc::clone(&alive));
            thread::spawn(move || {
                pool.spawn(
                    Lane::Flush,
                    Box::new(move || {
                        let _alive = &alive;
                        Step::Done
                    }),
                );
            })
        };
        pool.stop();
        assert_eq!(running.load(Ordering::SeqCst), 0, "a job runs after the stop");
        late.join().unwrap();
        assert_eq!(Arc::strong_count(&alive), 1, "a job was kept after the stop");
    });
}

#[test]
fn flushes_go_on_while_a_compaction_holds_the_other_thread() {
    explore(500, || {
        let pool = pool();
        let flushed = Arc::new(AtomicUsize::new(0));
        let (seen, notify) = (Arc::clone(&flushed), Arc::clone(&pool));
        pool.spawn(
            Lane::Compaction,
            Box::new(move || {
                // A compaction that would wait for ever if the flush below needed its thread.
                notify.wait(&|| seen.load(Ordering::SeqCst) == 1);
                Step::Done
            }),
        );
        let (count, notify) = (Arc::clone(&flushed), Arc::clone(&pool));
        pool.spawn(
            Lane::Flush,
            Box::new(move || {
                count.store(1, Ordering::SeqCst);
                notify.notify();
                Step::Done
            }),
        );
        pool.wait(&|| flushed.load(Ordering::SeqCst) == 1);
        pool.stop();
    });
}
