//! Tests of the arena.

use super::*;
use terrace_entry::{Kind, SeqNo};

#[test]
fn allocations_of_many_threads_do_not_overlap() {
    let arena = &Arena::<8>::new(0);
    let mut spans: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let take = |seed: usize| {
            scope.spawn(move || {
                let size = |number: usize| 1 + (number * 7919 + seed) % 400;
                (0..3000).map(|number| (arena.allocate(size(number)).addr().get(), size(number))).collect()
            })
        };
        let handles: Vec<_> = (0..4).map(take).collect();
        handles.into_iter().flat_map(|handle| -> Vec<_> { handle.join().expect("no panic") }).collect()
    });
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "two allocations overlap");
    assert!(spans.iter().all(|span| span.0 % 8 == 0), "an allocation is not aligned");
    let taken: usize = spans.iter().map(|span| span.1).sum();
    assert!(arena.memory_bytes() >= taken, "memory_bytes covers what was handed out");
}

#[test]
fn a_large_allocation_has_a_chunk_of_its_own_and_wastes_nothing() {
    let arena = Arena::<8>::new(64 << 20);
    arena.allocate(8);
    let before = arena.memory_bytes();
    arena.allocate(100 << 20);
    assert_eq!(arena.memory_bytes() - before, (100 << 20) + size_of::<Chunk>());
    arena.allocate(8);
    assert_eq!(
        arena.memory_bytes() - before,
        (100 << 20) + size_of::<Chunk>() + 8,
        "the shared chunk goes on"
    );
}

#[test]
fn an_arena_takes_nothing_before_it_is_used() {
    assert_eq!(Arena::<64>::new(64 << 20).memory_bytes(), 0);
}

#[test]
fn chunks_start_small_and_grow_to_their_limit() {
    let sizes = |bytes_hint: usize| {
        let plan = ChunkPlan { bytes_hint };
        let mut last = 0;
        core::array::from_fn::<usize, 7, _>(|_| {
            last = plan.next_bytes(last, 100);
            last >> 10
        })
    };
    assert_eq!(sizes(0), [4, 8, 16, 32, 64, 128, 256]);
    assert_eq!(sizes(1 << 20), [64, 128, 256, 512, 1024, 1024, 1024]);
    assert_eq!(sizes(64 << 20), [64, 2048, 2048, 2048, 2048, 2048, 2048]);
}

#[test]
fn a_chunk_always_has_room_for_the_request_that_asked_for_it() {
    for bytes_hint in [0, 64 << 20] {
        for request in [8, 4096, 65_536, SHARED_BYTES_MAX] {
            let bytes = ChunkPlan { bytes_hint }.next_bytes(0, request);
            assert!(bytes >= request + size_of::<Chunk>(), "{request} bytes in a chunk of {bytes}");
        }
    }
}

#[test]
fn a_record_gives_back_what_it_was_made_of() {
    let arena = Arena::<8>::new(0);
    let key = InternalKey::new(b"a key", SeqNo::new(77), Kind::Delete);
    let (start, pointer) = arena.add_record(24, key, b"its value");
    assert_eq!(pointer.as_ptr().addr() - start.addr().get(), 24);
    let record = borrow_for_test(&arena, pointer);
    assert_eq!((record.key(), record.value()), (key, &b"its value"[..]));
}

#[test]
fn huge_chunks_begin_at_a_huge_page_and_are_wholly_there() {
    let arena: Arena<8> = Arena::new(64 << 20);
    // Some that share chunks, and some with a chunk of their own, whose size is no multiple of any page.
    let sizes = [200 << 10, 8, (2 << 20) + 8, 100 << 10, 5_000_001, 250 << 10];
    let key = InternalKey::new(b"a key", SeqNo::new(77), Kind::Put);
    let value = |round: usize| vec![round as u8; sizes[round % sizes.len()]];
    let records: Vec<_> = (0..40).map(|round| arena.add_record(0, key, &value(round)).1).collect();
    for (round, pointer) in records.into_iter().enumerate() {
        assert!(borrow_for_test(&arena, pointer).value() == value(round), "{round}");
    }
    let huge = huge_chunks_for_test(&arena);
    assert!(huge.len() > 10 && huge.iter().all(|address| address % HUGE_PAGE_BYTES == 0), "{huge:?}");
}
