//! Any bytes as parts of a table: what must hold of the decoders whatever they are given. The bodies of fuzz targets.
//!
//! Each function panics, naming the property, when one does not hold; refusing the bytes is always right.

use bytes::Bytes;
use terrace_entry::{InternalKey, OwnedVersion, SeqNo};

use super::build::DataBlockBuilder;
use super::data::{DataBlock, Position};
use super::fault::Fault;
use super::footer::{FOOTER_BYTES, Footer, MARK_BYTES, Mark};
use super::index::Index;
use super::walk::BlockWalk;
use super::{describe, key, varint};

/// More entries than this are not walked quadratically.
const LOOKED_UP_MAX: usize = 200;

/// Reads `input` as a data block: forward, backward, and by look-ups. Where the block is sound (both walks meet the same versions, in
/// ascending order), every look-up answers as a walk does, and a block built from the versions reads back the same.
pub fn check_data_block_bytes(input: &[u8]) {
    let block = Bytes::copy_from_slice(input);
    let (Ok(forward), Ok(mut backward)) = (walk_forward(&block), walk_backward(&block)) else {
        look_up_anything(input);
        return;
    };
    backward.reverse();
    let ascending = forward.windows(2).all(|pair| key_of(&pair[0]) < key_of(&pair[1]));
    if forward != backward || !ascending || !restarts_are_right(input, &forward) {
        look_up_anything(input);
        return;
    }
    let data = DataBlock::new(input).expect("it was walked");
    for (number, version) in forward.iter().enumerate().take(LOOKED_UP_MAX) {
        let found = data.find(key_of(version)).expect("a sound block is searched without a fault");
        let found = found.expect("a version of the block is found");
        assert_eq!((found.seqno, found.kind), (version.1, version.2));
        assert_eq!(&input[found.value], version.3.as_slice());
        // The newest version at or below a number that is below all of them.
        if forward.get(number + 1).is_none_or(|next| next.0 != version.0)
            && let Some(below) = version.1.get().checked_sub(1)
        {
            let target = InternalKey::seek_to(&version.0, SeqNo::new(below));
            assert_eq!(data.find(target), Ok(None), "a version from nowhere");
        }
    }
    let rebuilt = Bytes::from(build(&forward));
    assert_eq!(walk_forward(&rebuilt).expect("what we build reads"), forward);
}

fn key_of(version: &OwnedVersion) -> InternalKey<'_> {
    InternalKey::new(&version.0, version.1, version.2)
}

/// Restarts stand where entries do, all of them, under the heads of their keys, below the prefix that all keys have.
fn restarts_are_right(block: &[u8], keys: &[OwnedVersion]) -> bool {
    let (Ok(data), Some(first), Some(last)) = (DataBlock::new(block), keys.first(), keys.last()) else {
        return false;
    };
    let mut restarts = (0..data.restarts()).peekable();
    let mut at = Position::default();
    for (user_key, ..) in keys {
        let Ok(entry) = data.decode(at) else { return false };
        if let Some(restart) = restarts.next_if(|&restart| data.position(restart) == at)
            && (entry.shared != 0 || data.head(restart) != key::head(user_key, data.prefix_bytes))
        {
            return false;
        }
        at = entry.next();
    }
    restarts.next().is_none() && data.prefix_bytes == key::common_prefix(&first.0, &last.0)
}

fn walk_forward(block: &Bytes) -> Result<Vec<OwnedVersion>, Fault> {
    let mut walk = BlockWalk::new();
    walk.load(block.clone())?;
    let (mut versions, mut more) = (Vec::new(), walk.first()?);
    while more {
        versions.push(current(&walk));
        more = walk.next()?;
    }
    Ok(versions)
}

fn walk_backward(block: &Bytes) -> Result<Vec<OwnedVersion>, Fault> {
    let mut walk = BlockWalk::new();
    walk.load(block.clone())?;
    let (mut versions, mut more) = (Vec::new(), walk.last()?);
    while more {
        versions.push(current(&walk));
        // Overlapping intervals of a damaged block could repeat entries; a walk must end all the same.
        assert!(versions.len() <= block.len(), "a walk gives more versions than the block has bytes");
        more = walk.prev()?;
    }
    Ok(versions)
}

fn current(walk: &BlockWalk) -> OwnedVersion {
    let entry = walk.current().expect("it stands on an entry");
    assert_eq!(walk.value_bytes(), entry.value);
    (entry.key.user_key.to_vec(), entry.key.seqno, entry.key.kind, entry.value.to_vec())
}

/// Look-ups in a block that is not sound: any answer, and no panic.
fn look_up_anything(block: &[u8]) {
    let Ok(data) = DataBlock::new(block) else { return };
    let mut walk = BlockWalk::new();
    walk.load(Bytes::copy_from_slice(block)).expect("its layout was read");
    for len in [0, 1, 2, 7, 8, 9, 30] {
        for start in [0, block.len() / 3, block.len() / 2] {
            let target = &block[start..(start + len).min(block.len())];
            let target = InternalKey::seek_to(target, SeqNo::new(block.len() as u64));
            let _ = data.find(target);
            let mut more = walk.seek(target).unwrap_or(false);
            for _ in 0..4 {
                more = more && walk.prev().unwrap_or(false);
            }
            for _ in 0..8 {
                more = more && walk.next().unwrap_or(false);
            }
        }
    }
}

fn build(versions: &[OwnedVersion]) -> Vec<u8> {
    let (mut out, mut builder) = (Vec::new(), DataBlockBuilder::new(3));
    builder.begin(&out);
    let mut last: &[u8] = &[];
    for version in versions {
        builder.add(&mut out, key_of(version), key::common_prefix(last, &version.0), &version.3);
        last = &version.0;
    }
    if !versions.is_empty() {
        builder.finish(&mut out, last);
    }
    out
}

/// Reads `input` as the payload of an index. What is accepted has blocks that lie back to back, and a search over it answers as a
/// walk over the separators does.
pub fn check_index_block_bytes(input: &[u8]) {
    let payload = Bytes::copy_from_slice(input);
    let data_end = blocks_end(input).unwrap_or(0);
    let Ok(index) = Index::decode(payload.clone(), data_end) else { return };
    assert!(Index::decode(payload, data_end + 1).is_err(), "blocks may end anywhere");
    let mut end = 0;
    for number in 0..index.len() {
        let handle = index.handle(number);
        assert_eq!(handle.offset, end, "block {number} does not begin where the one before it ends");
        end += handle.len as u64;
    }
    assert_eq!(end, data_end);
    assert!(index.memory_bytes() <= 200 + input.len() * 20, "{} for {}", index.memory_bytes(), input.len());
    for number in 0..index.len().min(LOOKED_UP_MAX) {
        let separator = index.separator(number);
        let longer = [separator, &[0]].concat();
        let shorter = &separator[..separator.len().saturating_sub(1)];
        for user_key in [separator, &longer, shorter, b""] {
            for seqno in [SeqNo::ZERO, SeqNo::new(index.separator_trailer(number) >> 8), SeqNo::MAX] {
                let target = InternalKey::seek_to(user_key, seqno);
                let by_walking = (0..index.len())
                    .find(|&number| {
                        let separator = (index.separator(number), !index.separator_trailer(number));
                        separator >= (user_key, !target.trailer())
                    })
                    .unwrap_or(index.len());
                let mut near = None;
                let located = index.locate(target, |stretch| near = Some(stretch));
                assert_eq!(located, by_walking, "search for {user_key:?} at {seqno}");
                match near {
                    Some(near) => {
                        assert!((near.start..=near.end).contains(&located), "{located} in {near:?}")
                    }
                    None => assert!(located == 0 || located == index.len(), "{located} and nothing was near"),
                }
            }
        }
    }
}

/// Where the blocks of an index end by its own account.
fn blocks_end(payload: &[u8]) -> Option<u64> {
    let (count, mut at) = varint::take(payload, 0)?;
    let mut end = 0_u64;
    for _ in 0..count.min(payload.len() as u64) {
        let (len, separator_at) = varint::take(payload, at)?;
        let (_, next) = varint::take(payload, separator_at.checked_add(usize::try_from(len).ok()?)?)?;
        let (block_bytes, next) = varint::take(payload, next)?;
        at = next;
        end = end.checked_add(block_bytes)?;
    }
    Some(end)
}

/// Reads `input` as the length of a file (eight bytes, little-endian) and the end of it, as it is and under a right checksum. An
/// accepted footer is encoded to something that reads the same, and its regions lie inside the file.
pub fn check_footer_bytes(input: &[u8]) {
    let Some((file_bytes, end)) = input.split_first_chunk::<8>() else { return };
    let file_bytes = u64::from_le_bytes(*file_bytes);
    let mut sealed = end.to_vec();
    reseal_footer(&mut sealed);
    for end in [end, &sealed] {
        let Some(mark) = end.last_chunk::<MARK_BYTES>() else { return };
        let Ok(mark) = Mark::decode(mark, file_bytes) else { continue };
        let Some(footer_at) = end.len().checked_sub(mark.footer_bytes) else { continue };
        let Ok(footer) = Footer::decode(&end[footer_at..], mark, file_bytes) else { continue };
        let mut encoded = Vec::new();
        footer.encode(&mut encoded);
        let mark = Mark::decode(encoded.last_chunk().expect("a mark"), file_bytes).expect("a mark");
        assert_eq!(Footer::decode(&encoded, mark, file_bytes), Ok(footer), "our own footer reads otherwise");
        for region in [Some(footer.index), footer.filter, Some(footer.properties)].into_iter().flatten() {
            assert!(region.offset + region.len as u64 <= file_bytes - FOOTER_BYTES as u64, "{footer:?}");
        }
    }
}

/// Puts the mark and the checksum right at the end of a table.
pub(crate) fn reseal_footer(end: &mut [u8]) {
    let Some(at) = end.len().checked_sub(FOOTER_BYTES) else { return };
    let crc = crc32c::crc32c(&end[at..end.len() - 12]);
    let mark_at = end.len() - 12;
    end[mark_at..mark_at + 4].copy_from_slice(&crc.to_le_bytes());
    end[mark_at + 4..].copy_from_slice(&super::footer::MAGIC);
}

/// Reads `input` as the payload of properties. What is accepted is encoded to something that reads the same.
pub fn check_properties_bytes(input: &[u8]) {
    let Ok(properties) = describe::decode(input) else { return };
    let mut encoded = Vec::new();
    describe::encode(&properties, &mut encoded);
    assert!(encoded.len() <= input.len(), "our form is the shortest");
    assert_eq!(describe::decode(&encoded), Ok(properties));
}

/// Puts all checksums of a table right, as far as footer and index lead to its blocks: what a hostile writer would do, and what lets
/// mutated bytes past the checksums.
pub fn reseal_table(file: &mut [u8]) {
    reseal_footer(file);
    let file_bytes = file.len() as u64;
    let Some(mark) = file.last_chunk::<MARK_BYTES>() else { return };
    let Ok(mark) = Mark::decode(mark, file_bytes) else { return };
    let Some(footer_at) = file.len().checked_sub(mark.footer_bytes) else { return };
    let Ok(footer) = Footer::decode(&file[footer_at..], mark, file_bytes) else { return };
    for region in [Some(footer.index), footer.filter, Some(footer.properties)].into_iter().flatten() {
        reseal_block(file, region.offset, region.len);
    }
    let index = &file[footer.index.offset as usize..footer.index.offset as usize + footer.index.len];
    let Ok(opened) = super::stored::open(index, footer.index.offset) else { return };
    let payload = match opened {
        super::stored::Opened::Plain(len) => Bytes::copy_from_slice(&index[..len]),
        super::stored::Opened::Unpacked(bytes) => Bytes::from(bytes),
    };
    let Ok(index) = Index::decode(payload, footer.index.offset) else { return };
    for number in 0..index.len() {
        let handle = index.handle(number);
        reseal_block(file, handle.offset, handle.len);
    }
}

fn reseal_block(file: &mut [u8], offset: u64, len: usize) {
    let Some(stored) = file.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..len)) else { return };
    let Some((covered, crc)) = stored.split_last_chunk_mut::<4>() else { return };
    *crc = super::stored::checksum(covered, offset).to_le_bytes();
}

/// Payloads to begin mutations from: data blocks, for [`check_data_block_bytes`].
#[must_use]
pub fn data_block_seeds() -> Vec<Vec<u8>> {
    let version = |key: &str, seqno, value: &[u8]| -> OwnedVersion {
        (key.into(), SeqNo::new(seqno), terrace_entry::Kind::Put, value.to_vec())
    };
    let many: Vec<_> = (0..20).map(|n| version(&format!("prefix{n:03}"), 1000 - n, &[7; 5])).collect();
    let one_key: Vec<_> = (0..9).map(|n| version("same", 50 - n, b"")).collect();
    let unlike =
        [version("", 1, b"empty"), version("a", 2, &[1; 200]), version(&"long".repeat(60), 1 << 50, b"v")];
    [many.as_slice(), &one_key, &unlike, &unlike[..1]].into_iter().map(build).collect()
}

/// Payloads to begin mutations from: the index, the properties (each alone) and the footer behind its file's length, out of a table.
///
/// # Panics
///
/// When the table is not whole.
#[must_use]
pub fn part_seeds(table: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let file_bytes = table.len() as u64;
    let footer = &table[table.len() - FOOTER_BYTES..];
    let mark = Mark::decode(table.last_chunk().expect("a mark"), file_bytes).expect("a mark");
    let regions = Footer::decode(footer, mark, file_bytes).expect("a footer");
    let payload = |offset: u64, len: usize| {
        let stored = &table[offset as usize..offset as usize + len];
        match super::stored::open(stored, offset).expect("a block") {
            super::stored::Opened::Plain(len) => stored[..len].to_vec(),
            super::stored::Opened::Unpacked(bytes) => bytes,
        }
    };
    (
        payload(regions.index.offset, regions.index.len),
        payload(regions.properties.offset, regions.properties.len),
        [&file_bytes.to_le_bytes(), footer].concat(),
    )
}
