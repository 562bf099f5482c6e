//! A write that nobody else's goes with: from the lead to visible in one go.

use std::sync::Arc;
use terrace_entry::SeqNo;
use terrace_wal::LogWriter;

use super::record::append_alone;
use super::{Lead, Mems, Place};
use crate::batch::Ops;
use crate::options::Durability;
use crate::shared::Shared;
use crate::{Error, Parts, Result};

impl<P: Parts> Shared<P> {
    /// Commits a write. If it is small it is visible then; if not, the answer is where its writer is to insert it.
    pub(super) fn commit_alone(
        self: &Arc<Self>,
        lead: &mut Lead<P>,
        ops: Ops<'_>,
        durability: Durability,
    ) -> Result<Option<Place<P>>> {
        self.guarded(|| {
            self.check_leading(lead)?;
            let mems = self.room_alone(lead, &ops)?;
            let first = SeqNo::checked(lead.next_seqno).ok_or(Error::SeqNoExhausted)?;
            let next = first.get() + u64::from(ops.count());
            if next > SeqNo::MAX.get() {
                return Err(Error::SeqNoExhausted);
            }
            lead.next_seqno = next;
            let place = Place { first, mems };
            let logged = self.log_alone(lead, &place, ops, durability);
            self.after_log(lead, 1, logged)?;
            if !self.inserts_at_once(1, ops.bytes()) {
                return Ok(Some(place));
            }
            // Should it panic, the number is never shown: no group begins after that.
            self.insert_unguarded(&place, ops);
            self.show(lead);
            if let Mems::One(id, mem) = place.mems {
                lead.recent = Some((id, mem));
            }
            Ok(None)
        })
    }

    /// Makes room for a write, and says which memtables it goes into: that of the last write if it has room, as it mostly does.
    fn room_alone(self: &Arc<Self>, lead: &mut Lead<P>, ops: &Ops<'_>) -> Result<Mems<P>> {
        lead.unchecked_bytes += ops.bytes();
        if let Some((id, mem)) = lead.recent.take()
            && *ops.keyspaces() == [id]
            && !mem.is_full()
            && !self.must_check_limits(lead)
        {
            return Ok(Mems::One(id, mem));
        }
        self.seal_if_full(lead, ops)?;
        self.check_limits(lead)?;
        self.mems_of(ops)
    }

    fn log_alone(
        &self,
        lead: &mut Lead<P>,
        place: &Place<P>,
        ops: Ops<'_>,
        durability: Durability,
    ) -> Result<()> {
        let Some(log) = &mut lead.log else { return Ok(()) };
        let before = log.len_bytes();
        if durability != Durability::Off && ops.count() > 0 {
            append_alone::<P>(log, (lead.last_logged, lead.durable), place.first, ops)?;
            lead.last_logged = SeqNo::new(lead.next_seqno - 1);
            place.name_log(lead.active.number);
        }
        self.hand_over(lead, durability == Durability::Synced, before)
    }
}
