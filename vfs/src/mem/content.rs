//! The bytes of one file: sparse pages that copies share.
//!
//! A page is made when it is first written to, and is shared between the copies of a content until one of them writes
//! to it. So preallocating costs nothing, and a copy of a whole file system costs one counter per page.
//!
//! Invariant *zero tail*: bytes of a page beyond `len` are zero, so that growth reads as zeros.

use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;
type Page = [u8; PAGE_BYTES];

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Arc<Page>>,
    len: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf` from `offset`; false when the content ends before.
    #[must_use]
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> bool {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        for (page, within, part) in parts(offset, buf.len()) {
            let to = &mut buf[part];
            match self.pages.get(&page) {
                Some(bytes) => to.copy_from_slice(&bytes[within..within + to.len()]),
                None => to.fill(0),
            }
        }
        true
    }

    /// Puts `bytes` at `offset`; a gap before it reads as zeros. The caller keeps `offset + bytes.len()` in a u64.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        for (page, within, part) in parts(offset, bytes.len()) {
            let from = &bytes[part];
            let to = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(to)[within..within + from.len()].copy_from_slice(from);
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    /// Cuts, or extends with zeros.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (last, within) = split(len);
            drop(self.pages.split_off(&if within == 0 { last } else { last + 1 }));
            if let Some(page) = self.pages.get_mut(&last) {
                Arc::make_mut(page)[within..].fill(0);
            }
        }
        self.len = len;
    }

    /// All of it in one piece.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let len = usize::try_from(self.len).expect("a file that is asked for whole fits into memory");
        let mut bytes = vec![0; len];
        assert!(self.read(&mut bytes, 0), "a content reads to its length");
        bytes
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        let mut content = Content::default();
        content.write(bytes, 0);
        content
    }
}

fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize)
}

/// Cuts `len` bytes from `offset` at page borders: page, offset within it, range of the caller's slice.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (page, within) = split(offset + done as u64);
        let start = done;
        done += (PAGE_BYTES - within).min(len - done);
        Some((page, within, start..done))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_after_a_cut_reads_as_zeros() {
        for cut in [0, 1, 4095, 4096, 4097, 8191, 8192] {
            let mut content = Content::from(&[7; 9000][..]);
            content.set_len(cut);
            content.set_len(9000);
            let bytes = content.to_vec();
            let (kept, grown) = bytes.split_at(cut as usize);
            assert!(kept.iter().all(|b| *b == 7) && grown.iter().all(|b| *b == 0), "cut at {cut}");
        }
    }

    #[test]
    fn writes_across_pages_read_back_and_gaps_are_zeros() {
        let mut content = Content::default();
        content.write(&[1; 5000], 4000);
        content.write(&[2; 10], 4090);
        let mut model = vec![0; 9000];
        model[4000..].fill(1);
        model[4090..4100].fill(2);
        assert_eq!(content.to_vec(), model);
        let mut part = [9; 20];
        assert!(content.read(&mut part, 4085));
        assert_eq!(part, model[4085..4105]);
        assert!(!content.read(&mut part, 8981), "one byte beyond the end");
        assert!(!content.read(&mut part, u64::MAX));
    }

    #[test]
    fn a_copy_does_not_see_later_writes() {
        let mut content = Content::from(&b"old"[..]);
        let copy = content.clone();
        content.write(b"new", 0);
        assert_eq!((copy.to_vec(), content.to_vec()), (b"old".to_vec(), b"new".to_vec()));
    }

    #[test]
    fn a_huge_length_costs_nothing() {
        let mut content = Content::default();
        content.set_len(u64::MAX);
        let mut end = [9; 3];
        assert!(content.read(&mut end, u64::MAX - 3));
        assert_eq!(end, [0; 3]);
    }
}
