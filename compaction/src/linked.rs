//! Tables that are linked by overlap.

use std::sync::Arc;

use crate::shape::TableMeta;

/// A table with the number of its run, newest first.
pub(crate) type Placed<'a> = (usize, &'a Arc<TableMeta>);

/// Splits tables into groups so that tables which overlap, directly or through others, are in one; groups ascend: O(n log n).
pub(crate) fn linked_groups(mut tables: Vec<Placed<'_>>) -> Vec<Vec<Placed<'_>>> {
    tables.sort_by(|a, b| a.1.smallest_key.cmp(&b.1.smallest_key).then(a.0.cmp(&b.0)));
    let mut groups: Vec<Vec<Placed<'_>>> = Vec::new();
    let mut reach: Option<&[u8]> = None;
    for placed in tables {
        let linked = reach.is_some_and(|reach| placed.1.smallest_key.as_slice() <= reach);
        let largest = placed.1.largest_key.as_slice();
        reach = Some(if linked { reach.map_or(largest, |reach| reach.max(largest)) } else { largest });
        match groups.last_mut() {
            Some(group) if linked => group.push(placed),
            _ => groups.push(vec![placed]),
        }
    }
    groups
}
