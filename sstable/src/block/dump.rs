//! Prints a table file, region by region, for people and for tests that hold the format still.

use core::fmt::Write;
use terrace_entry::InternalKey;
use terrace_vfs::ReadFile;

use super::data::{self, DataBlock, Layout, Position};
use super::fault::Fault;
use super::footer::Footer;
use super::index::{Handle, Index};
use super::{describe, reader, stored};
use crate::{Properties, Result};

/// Entries printed of each block.
const ENTRIES_SHOWN: usize = 4;
/// Bytes printed of each key and value.
const BYTES_SHOWN: usize = 24;

/// An annotated dump of a table file of the block format: every region with where it is, what it means and what its fields hold, and the
/// first entries of each block.
///
/// A block that is damaged is shown with its error and the rest goes on. Memory: the index and one block.
///
/// # Errors
///
/// Those of [`crate::TableReader::open`], except that the filter's kind need not be known.
pub fn dump(file: &dyn ReadFile) -> Result<String> {
    let footer = reader::read_footer(file)?;
    let payload = reader::read_block(file, footer.index)?;
    let index = Index::decode(payload, footer.index.offset)
        .map_err(|fault| fault.of(file.path(), footer.index.offset))?;
    let payload = reader::read_block(file, footer.properties)?;
    let properties =
        describe::decode(&payload).map_err(|fault| fault.of(file.path(), footer.properties.offset))?;

    let mut out = Text(String::new());
    out.line(0, format_args!("table, format version {}, {} bytes", footer.version, footer.file_bytes));
    for number in 0..index.len() {
        out.block(file, &index, number)?;
    }
    out.index(file, &index, footer.index)?;
    if let Some(filter) = footer.filter {
        out.filter(file, filter)?;
    }
    out.region(file, "properties", footer.properties)?;
    out.properties(&properties);
    out.footer(&footer);
    Ok(out.0)
}

struct Text(String);

impl Text {
    fn line(&mut self, indent: usize, line: core::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{:indent$}{line}", "");
    }

    /// The line that begins a region, with the fields of its tail.
    fn region(&mut self, file: &dyn ReadFile, name: &str, handle: Handle) -> Result<()> {
        let mut tail = [0; stored::TAIL_BYTES];
        let payload = handle.len.saturating_sub(tail.len());
        file.read_exact_at(&mut tail, handle.offset + payload as u64)?;
        let [r0, r1, r2, r3, tag, c0, c1, c2, c3] = tail;
        self.line(
            0,
            format_args!(
                "{:>8} +{:<6} {name}: payload {payload}, raw {}, compression {tag} ({}), crc32c {:08x}",
                handle.offset,
                handle.len,
                u32::from_le_bytes([r0, r1, r2, r3]),
                stored::tag_name(tag),
                u32::from_le_bytes([c0, c1, c2, c3]),
            ),
        );
        Ok(())
    }

    fn block(&mut self, file: &dyn ReadFile, index: &Index, number: usize) -> Result<()> {
        let handle = index.handle(number);
        self.region(file, &format!("data block {number}"), handle)?;
        match reader::read_block(file, handle) {
            Ok(block) => {
                if let Err(fault) = self.entries(&block) {
                    self.line(4, format_args!("{}", fault.of(file.path(), handle.offset)));
                }
            }
            Err(error) => self.line(4, format_args!("{error}")),
        }
        Ok(())
    }

    fn entries(&mut self, block: &[u8]) -> Result<(), Fault> {
        let layout = Layout::of(block)?;
        let data = DataBlock::with_layout(block, layout);
        self.line(4, format_args!("values +{}, entries @{}", layout.values_end, layout.values_end));
        let (mut at, mut count, mut key) = (Position::default(), 0, Vec::new());
        while at.entry < data.entries.len() {
            let entry = data.decode(at)?;
            if entry.shared > key.len() {
                return Err(Fault::Damage("entry shares more than the key before it has"));
            }
            key.truncate(entry.shared);
            key.extend_from_slice(data.bytes(entry.suffix));
            let (seqno, kind) = data::split_trailer(entry.trailer)?;
            if count < ENTRIES_SHOWN {
                self.line(
                    4,
                    format_args!(
                        "@{:<5} shared {} unshared {} value @{} +{} | {:?} = {}",
                        layout.values_end + entry.at,
                        entry.shared,
                        entry.suffix.1 - entry.suffix.0,
                        entry.value.0,
                        entry.value.1 - entry.value.0,
                        InternalKey::new(&key[..key.len().min(BYTES_SHOWN)], seqno, kind),
                        quoted(&block[entry.value.0..entry.value.1]),
                    ),
                );
            }
            count += 1;
            at = entry.next();
        }
        if count > ENTRIES_SHOWN {
            self.line(4, format_args!("... {count} entries in all"));
        }
        self.restarts(data, layout);
        Ok(())
    }

    fn restarts(&mut self, data: DataBlock<'_>, layout: Layout) {
        for restart in 0..data.restarts() {
            let at = data.position(restart);
            self.line(
                4,
                format_args!(
                    "@{:<5} restart {restart}: head {:016x}, entry @{}, value @{}",
                    layout.entries_end + restart * data::RESTART_BYTES,
                    data.head(restart),
                    layout.values_end + at.entry,
                    at.value
                ),
            );
        }
        self.line(
            4,
            format_args!(
                "@{:<5} value bytes {}, entries {}, common prefix {}, restarts {}",
                layout.entries_end + layout.restarts * data::RESTART_BYTES,
                layout.values_end,
                layout.count,
                layout.prefix_bytes,
                layout.restarts
            ),
        );
    }

    fn index(&mut self, file: &dyn ReadFile, index: &Index, handle: Handle) -> Result<()> {
        self.region(file, "index", handle)?;
        for number in 0..index.len() {
            let at = index.handle(number);
            self.line(
                4,
                format_args!(
                    "block {number} at {} +{} up to {} trailer {:#x}",
                    at.offset,
                    at.len,
                    quoted(index.separator(number)),
                    index.separator_trailer(number)
                ),
            );
        }
        Ok(())
    }

    fn filter(&mut self, file: &dyn ReadFile, handle: Handle) -> Result<()> {
        self.region(file, "filter", handle)?;
        let payload = reader::read_block(file, handle)?;
        if let Some((kind, filter)) = payload.split_last() {
            self.line(4, format_args!("kind {kind}, {} bytes", filter.len()));
        }
        Ok(())
    }

    fn properties(&mut self, p: &Properties) {
        self.line(
            4,
            format_args!("entries {}, tombstones {}, user keys {}", p.entries, p.tombstones, p.user_keys),
        );
        self.line(4, format_args!("keys {} to {}", quoted(&p.smallest_key), quoted(&p.largest_key)));
        self.line(4, format_args!("seqnos {} to {}", p.seqno_min, p.seqno_max));
        self.line(4, format_args!("key bytes {}, value bytes {}", p.key_bytes, p.value_bytes));
        self.line(
            4,
            format_args!(
                "data blocks {}, raw {}, stored {}",
                p.data_blocks, p.data_bytes_raw, p.data_bytes_stored
            ),
        );
        self.line(4, format_args!("file bytes {}, created at {}", p.file_bytes, p.created_at_unix_seconds));
        if !p.note.is_empty() {
            self.line(4, format_args!("note \"{}\"", p.note.escape_ascii()));
        }
    }

    fn footer(&mut self, footer: &Footer) {
        let at = footer.file_bytes - super::footer::FOOTER_BYTES as u64;
        self.line(0, format_args!("{at:>8} +{:<6} footer", super::footer::FOOTER_BYTES));
        let mut region = |name: &str, handle: Option<Handle>| match handle {
            Some(handle) => self.line(4, format_args!("{name} at {} +{}", handle.offset, handle.len)),
            None => self.line(4, format_args!("{name}: none")),
        };
        region("index", Some(footer.index));
        region("filter", footer.filter);
        region("properties", Some(footer.properties));
    }
}

/// The first bytes, printable.
fn quoted(bytes: &[u8]) -> String {
    match bytes.get(..BYTES_SHOWN) {
        Some(shown) if bytes.len() > BYTES_SHOWN => {
            format!("\"{}\"... ({} bytes)", shown.escape_ascii(), bytes.len())
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}
