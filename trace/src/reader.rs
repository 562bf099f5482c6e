//! Reads a trace as a stream.

use crate::format::{self, Before};
use crate::{Error, Facts, Header, Record};
use std::io::Read;

/// What a reader has met so far; all there is to know once it has come to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records given out.
    pub records: u64,
    /// Sampled operations that were left out when the trace was taken.
    pub dropped: u64,
    /// Bytes of a torn tail, which holds no whole block.
    pub torn_bytes: u64,
    /// What the database held when the trace ended; `None` when it was not ended in good order: some records may be missing.
    pub ended: Option<Facts>,
}

/// Reads a trace: an iterator over its records, in the order in which they were written.
///
/// A torn tail is the end, and [`TraceReader::report`] tells its length. Damage is an error, and the last item. It takes memory for one block, at most 1 MiB,
/// whatever the file says.
#[derive(Debug)]
pub struct TraceReader<R> {
    source: R,
    header: Header,
    /// Where the next block begins.
    offset: u64,
    next_number: u32,
    block_offset: u64,
    payload: Vec<u8>,
    /// Where in the payload the next record begins, and how many there are.
    at: usize,
    left: u64,
    before: Before,
    report: Report,
    done: bool,
}

impl<R: Read> TraceReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`Error::NotATrace`], [`Error::Unsupported`], [`Error::Damaged`] or [`Error::Io`].
    pub fn new(mut source: R) -> Result<Self, Error> {
        let mut bytes = [0; format::HEADER_BYTES];
        let read = fill(&mut source, &mut bytes, 0)?;
        if read < bytes.len() {
            return Err(Error::NotATrace);
        }
        Ok(TraceReader {
            source,
            header: format::decode_header(&bytes)?,
            offset: bytes.len() as u64,
            next_number: 0,
            block_offset: 0,
            payload: Vec::new(),
            at: 0,
            left: 0,
            before: Before::default(),
            report: Report::default(),
            done: false,
        })
    }

    /// What stands at the head of the trace.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was met so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report
    }

    fn next_record(&mut self) -> Result<Option<Record>, Error> {
        while self.left == 0 {
            if !self.next_block()? {
                return Ok(None);
            }
        }
        let damaged = |what| Error::Damaged { offset: self.block_offset, what };
        let mut rest = &self.payload[self.at..];
        let record = format::decode_record(&mut rest, &mut self.before);
        let record = record.ok_or_else(|| damaged("a record that is none"))?;
        self.at = self.payload.len() - rest.len();
        self.left -= 1;
        if self.left == 0 && !rest.is_empty() {
            return Err(damaged("bytes behind the last record of a block"));
        }
        self.report.records += 1;
        Ok(Some(record))
    }

    /// Reads a block; false at the end of the trace.
    fn next_block(&mut self) -> Result<bool, Error> {
        let mut head = [0; format::BLOCK_HEADER_BYTES];
        let read = fill(&mut self.source, &mut head, self.offset)?;
        if read > 0 && self.report.ended.is_some() {
            return Err(Error::Damaged { offset: self.offset, what: "bytes behind the end" });
        }
        if read < head.len() {
            self.report.torn_bytes = read as u64;
            return Ok(false);
        }
        let offset = self.offset;
        let damaged = |what| Error::Damaged { offset, what };
        if head == [0; format::BLOCK_HEADER_BYTES] {
            return match self.zeros_to_the_end()? {
                Some(zeros) => {
                    self.report.torn_bytes = head.len() as u64 + zeros;
                    Ok(false)
                }
                None => Err(damaged("a block without a header")),
            };
        }
        if crc32c::crc32c(&head[..12]) != format::word32(&head, 12) {
            return Err(damaged("the checksum of a block's header does not fit"));
        }
        let len = format::word32(&head, 0) as usize;
        if format::word32(&head, 4) != self.next_number {
            return Err(damaged("a block is missing, or in another's place"));
        }
        if len > format::PAYLOAD_BYTES_MAX {
            return Err(damaged("a block that is too long"));
        }
        self.payload.resize(len, 0);
        let read = fill(&mut self.source, &mut self.payload, self.offset + head.len() as u64)?;
        if read < len {
            self.report.torn_bytes = (head.len() + read) as u64;
            return Ok(false);
        }
        if crc32c::crc32c(&self.payload) != format::word32(&head, 8) {
            return Err(damaged("the checksum of a block does not fit"));
        }
        self.block_offset = self.offset;
        self.offset += (head.len() + len) as u64;
        self.next_number = self.next_number.wrapping_add(1);
        self.begin_payload()?;
        Ok(true)
    }

    fn begin_payload(&mut self) -> Result<(), Error> {
        let damaged = |what| Error::Damaged { offset: self.block_offset, what };
        let Some((&kind, mut rest)) = self.payload.split_first() else {
            return Err(damaged("an empty block"));
        };
        match kind {
            format::KIND_RECORDS => {
                let mut counts = || Some((format::take_varint(&mut rest)?, format::take_varint(&mut rest)?));
                let (dropped, count) = counts().ok_or_else(|| damaged("a block without counts"))?;
                if count == 0 && !rest.is_empty() {
                    return Err(damaged("bytes behind the last record of a block"));
                }
                self.report.dropped = self.report.dropped.saturating_add(dropped);
                (self.left, self.before) = (count, Before::default());
                self.at = self.payload.len() - rest.len();
                Ok(())
            }
            format::KIND_END => {
                let facts = format::decode_facts(rest);
                self.report.ended = Some(facts.ok_or_else(|| damaged("an end that is none"))?);
                Ok(())
            }
            _ => Err(damaged("a block of an unknown kind")),
        }
    }

    /// How many bytes are left, if all of them are zero.
    fn zeros_to_the_end(&mut self) -> Result<Option<u64>, Error> {
        let (mut zeros, mut chunk) = (0, [0; 4096]);
        loop {
            let read = fill(&mut self.source, &mut chunk, self.offset + zeros)?;
            if chunk[..read].iter().any(|&byte| byte != 0) {
                return Ok(None);
            }
            zeros += read as u64;
            if read < chunk.len() {
                return Ok(Some(zeros));
            }
        }
    }
}

impl<R: Read> Iterator for TraceReader<R> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_record().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Fills the buffer as far as the source goes.
fn fill(source: &mut impl Read, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { offset: offset + filled as u64, source }),
        }
    }
    Ok(filled)
}
