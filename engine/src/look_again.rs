//! What time alone makes due: a picker that says when is asked again then, though nobody writes.

use std::sync::Arc;
use std::time::Duration;

use crate::Parts;
use crate::seam::executor::{Lane, Step};
use crate::shared::Shared;
use crate::tree::{Tree, Work};

/// Somebody may set the wall clock meanwhile; so nobody waits longer without asking what it says now.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// So that a picker that names a moment of the past does not keep a thread busy.
const WAIT_MIN: Duration = Duration::from_secs(1);

impl<P: Parts> Shared<P> {
    /// Sees to it that the picker is asked again at this time of the wall clock, if it is not asked before.
    pub(crate) fn look_again_at(self: &Arc<Self>, tree: &Arc<Tree<P>>, work: &mut Work, unix_seconds: u64) {
        let wait = Duration::from_secs(unix_seconds.saturating_sub(self.clock.unix_seconds()));
        let wait = wait.clamp(WAIT_MIN, WAIT_MAX);
        let at = self.clock.now() + wait;
        if work.look_again_at.is_some_and(|before| before <= at) {
            return;
        }
        work.look_again_at = Some(at);
        // A job that waits for an hour must not keep a closed database, or the files of a removed keyspace.
        let (shared, tree) = (Arc::downgrade(self), Arc::downgrade(tree));
        let look = move || {
            if let (Some(shared), Some(tree)) = (shared.upgrade(), tree.upgrade()) {
                shared.look_again(&tree, at);
            }
            Step::Done
        };
        self.executor.spawn_after(wait, Lane::Maintenance, Box::new(look));
    }

    fn look_again(self: &Arc<Self>, tree: &Arc<Tree<P>>, at: Duration) {
        let mut work = tree.work();
        if work.look_again_at == Some(at) {
            work.look_again_at = None;
        }
        drop(work);
        self.want_compaction(tree);
    }
}
