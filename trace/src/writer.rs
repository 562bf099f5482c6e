//! Makes the bytes of a trace.

use crate::format::{self, Before};
use crate::{Facts, Header, Record};

/// A block is ended when its payload is this long.
const PAYLOAD_BYTES: usize = 64 << 10;

/// Makes the bytes of a trace, for whoever stores them.
///
/// [`TraceWriter::take_ready`] gives what is whole so far, to be appended to the file; [`TraceWriter::finish`] gives the rest. What was not taken is lost with
/// the process, and what was taken and stored is a trace that can be read.
///
/// Cost: some 25 bytes a record, copied once, without allocation but for the buffer's growth.
#[derive(Debug)]
pub struct TraceWriter {
    ready: Vec<u8>,
    records: Vec<u8>,
    count: u64,
    dropped: u64,
    number: u32,
    before: Before,
}

impl TraceWriter {
    /// Begins a trace.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        TraceWriter {
            ready: format::encode_header(header).to_vec(),
            records: Vec::new(),
            count: 0,
            dropped: 0,
            number: 0,
            before: Before::default(),
        }
    }

    /// Adds an operation.
    pub fn add(&mut self, record: &Record) {
        format::encode_record(&mut self.records, &mut self.before, record);
        self.count += 1;
        if self.records.len() >= PAYLOAD_BYTES {
            self.end_block();
        }
    }

    /// Says that so many operations that should have been here are not.
    pub fn add_dropped(&mut self, operations: u64) {
        self.dropped += operations;
    }

    /// Ends the block under way, so that all that was added is ready.
    pub fn end_block(&mut self) {
        if self.count == 0 && self.dropped == 0 {
            return;
        }
        let mut payload = vec![format::KIND_RECORDS];
        format::put_varint(&mut payload, self.dropped);
        format::put_varint(&mut payload, self.count);
        payload.append(&mut self.records);
        (self.count, self.dropped, self.before) = (0, 0, Before::default());
        self.put_block(&payload);
    }

    fn put_block(&mut self, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("a payload is little longer than when it is ended");
        let mut head = [0; format::BLOCK_HEADER_BYTES];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[4..8].copy_from_slice(&self.number.to_le_bytes());
        head[8..12].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        let sum = crc32c::crc32c(&head[..12]);
        head[12..].copy_from_slice(&sum.to_le_bytes());
        self.ready.extend_from_slice(&head);
        self.ready.extend_from_slice(payload);
        self.number = self.number.wrapping_add(1);
    }

    /// The bytes that are whole and were not taken yet.
    #[must_use]
    pub fn take_ready(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// Ends the trace in good order; the bytes that were not taken yet.
    #[must_use]
    pub fn finish(mut self, facts: Facts) -> Vec<u8> {
        self.end_block();
        let mut payload = vec![format::KIND_END];
        format::encode_facts(&mut payload, facts);
        self.put_block(&payload);
        self.ready
    }
}
