//! Which tables of a folder are live, when no manifest says so: what their notes say (`origin.rs`).
//!
//! Groups are judged from the latest to the earliest. A group of a merge is *whole* when all its tables are there, or when an input is not
//! (or is known to be obsolete): inputs go only after the group was recorded. The inputs of a whole group are obsolete. If some of its tables are
//! missing and all inputs are there and sound, the merge did not finish, or the inputs are as good: its tables are surplus.
//! Tables of a flush are live in any case; if some are missing, what they held is in the logs still, or they were merged since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrace_sstable::{Properties, TableReader};
use terrace_vfs::ReadFile;

use super::facts::Facts;
use super::salvage::properties_of;
use super::work::{Condition, Work};
use crate::batch::KeyspaceId;
use crate::origin::Origin;
use crate::parts::TableReaderOf;
use crate::{Parts, Result};

/// A table in the folder.
pub(super) struct Candidate<P: Parts> {
    pub(super) number: u64,
    pub(super) found: Found<P>,
    pub(super) properties: Option<Properties>,
    pub(super) origin: Option<Origin>,
}

pub(super) enum Found<P: Parts> {
    Sound(Arc<TableReaderOf<P>>),
    Damaged(Option<Arc<dyn ReadFile>>, String),
}

/// Reads every table.
pub(super) fn candidates<P: Parts>(
    work: &Work<'_, P>,
    numbers: impl Iterator<Item = u64>,
) -> Result<Vec<Candidate<P>>> {
    let mut candidates = Vec::new();
    for number in numbers {
        let (found, properties) = match work.inspect(number)? {
            Condition::Missing => continue,
            Condition::Sound(reader) => {
                let properties = reader.properties().clone();
                (Found::Sound(reader), Some(properties))
            }
            Condition::Damaged(file, what) => {
                let properties = file.as_ref().and_then(|file| properties_of::<P>(&**file));
                (Found::Damaged(file, what), properties)
            }
        };
        let origin = properties.as_ref().and_then(|properties| Origin::decode(&properties.note));
        candidates.push(Candidate { number, found, properties, origin });
    }
    Ok(candidates)
}

/// The numbers of the live ones. `facts` learns what the notes say.
pub(super) fn choose<P: Parts>(candidates: &[Candidate<P>], facts: &mut Facts) -> BTreeSet<u64> {
    let mut obsolete = facts.removed.clone();
    let mut groups: BTreeMap<u64, Vec<(u64, &Origin)>> = BTreeMap::new();
    for candidate in candidates {
        if let Some(origin) = &candidate.origin {
            obsolete.extend(&origin.gone);
            groups.entry(origin.group).or_default().push((candidate.number, origin));
        }
    }
    let sound: BTreeSet<u64> = candidates
        .iter()
        .filter(|candidate| matches!(candidate.found, Found::Sound(_)))
        .map(|candidate| candidate.number)
        .collect();
    for members in groups.values().rev() {
        let inputs = &members[0].1.inputs;
        let complete = is_complete(members);
        let replaced = inputs.iter().any(|input| !sound.contains(input) || obsolete.contains(input));
        if complete || replaced {
            obsolete.extend(inputs);
        } else if !inputs.is_empty() {
            obsolete.extend(members.iter().map(|member| member.0));
        }
        for (_, origin) in members {
            // A merge changes nothing about what was flushed.
            facts.learn_books(&origin.books, origin.keyspace, complete || !inputs.is_empty());
        }
    }
    learn_removed_keyspaces(candidates, facts);
    facts.removed.extend(&obsolete);
    let is_live = |candidate: &&Candidate<P>| {
        let is_empty = candidate.properties.as_ref().is_some_and(|properties| properties.entries == 0);
        let removed = candidate
            .origin
            .as_ref()
            .is_some_and(|origin| facts.removed_keyspaces.contains(&origin.keyspace));
        !is_empty && !removed && !obsolete.contains(&candidate.number)
    };
    candidates.iter().filter(is_live).map(|candidate| candidate.number).collect()
}

fn is_complete(members: &[(u64, &Origin)]) -> bool {
    let last = members.iter().find(|(_, origin)| origin.last).map(|(_, origin)| origin.index);
    let indexes: BTreeSet<u64> = members.iter().map(|(_, origin)| origin.index).collect();
    last.is_some_and(|last| (0..=last).all(|index| indexes.contains(&index)))
}

/// A keyspace that the latest books do not list, though it was made before they were written, was removed.
fn learn_removed_keyspaces<P: Parts>(candidates: &[Candidate<P>], facts: &mut Facts) {
    let books = candidates.iter().filter_map(|candidate| Some(&candidate.origin.as_ref()?.books));
    let Some(latest) = books.max_by_key(|books| books.stamp).filter(|books| books.lists_all) else { return };
    let listed: BTreeSet<KeyspaceId> = latest.keyspaces.iter().map(|(id, ..)| *id).collect();
    let known: Vec<KeyspaceId> = facts.names.keys().copied().collect();
    let gone = known.into_iter().filter(|id| u64::from(id.0) < latest.next_keyspace && !listed.contains(id));
    facts.removed_keyspaces.extend(gone);
}

/// The keyspace of a table: what its note says, or a manifest said, or the only one that there is.
pub(super) fn keyspace_of<P: Parts>(candidate: &Candidate<P>, facts: &Facts) -> Option<KeyspaceId> {
    let noted = candidate.origin.as_ref().map(|origin| origin.keyspace);
    let added = facts.added.get(&candidate.number).map(|(keyspace, _)| *keyspace);
    let only =
        (facts.names.len() <= 1).then(|| facts.names.keys().next().copied().unwrap_or(KeyspaceId::DEFAULT));
    noted.or(added).or(only)
}
