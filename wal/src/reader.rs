//! [`LogReader`]: the records of one log file in order, and an account of what is not there.
//!
//! Algorithm: read record after record; where none stands whole, let `judge.rs` and a survey of the rest of the file
//! (`survey.rs`) decide between end, torn tail and damage, and let [`RecoveryMode`] decide what follows from that.
//! Costs: O(file), through a window of 1 MiB that grows only for a longer record and never beyond the file's length;
//! a record's payload is given out as a slice of that window. A reader never writes.
//!
//! Invariants:
//! * *lengths are bounded before use*: no length from the file is used beyond the file's own length and the caller's limit;
//! * *a header is trusted*: under a right checksum its length is right, so a record with a damaged payload is skipped
//!   whole, which bounds salvage to O(file);
//! * *an error stays*: after corruption every later `next` gives the same error.

use crate::checksum::crc32c;
use crate::judge::{Place, Problem, Rot, examine_header, rot_in_header, rot_in_payload};
use crate::record::{FORMAT_VERSION, FileHeader, HEADER_BYTES, Header, RecordKind};
use crate::survey::{Survey, next_header, survey};
use crate::window::Window;
use crate::{Error, RECORD_BYTES_MAX, RecordEncoder, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::Vfs;

/// What a reader does where records are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Ends the log before a torn tail, and refuses other damage with [`Error::Corruption`].
    #[default]
    DropTornTail,
    /// Refuses a torn tail too.
    RefuseAny,
    /// Goes on behind every damage with the next whole record. What it gives may have holes.
    Salvage,
}

/// How a log is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLogOptions {
    /// What to do where records are missing.
    pub mode: RecoveryMode,
    /// How many bytes of the log are known from elsewhere to be durable; for a closed log, its final length. Damage
    /// before it is damage, and so is a file that ends before it.
    pub durable_bytes: Option<u64>,
    /// The longest record to accept, at most (and if not said) [`RECORD_BYTES_MAX`]. A longer one is damage.
    pub record_bytes_max: usize,
}

impl Default for ReadLogOptions {
    fn default() -> Self {
        ReadLogOptions {
            mode: RecoveryMode::default(),
            durable_bytes: None,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where in the file it begins; what [`crate::LogWriter::append`] returned.
    pub offset: u64,
    /// What was appended.
    pub payload: &'a [u8],
}

/// A stretch of the file that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedBytes {
    /// The log.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// Its length. It may reach beyond the file's end, when the file is shorter than it is known to have been.
    pub bytes: u64,
    /// What is wrong at its beginning.
    pub what: String,
}

/// What was read and what was not. Complete once [`LogReader::next`] has returned `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The log.
    pub path: PathBuf,
    /// Records given out.
    pub records: u64,
    /// Where the last whole record (file header and trailer are records too) ends.
    pub valid_bytes: u64,
    /// What was left out, in the order of the file.
    pub dropped: Vec<DroppedBytes>,
    /// Whether the log ends with the trailer that closing writes.
    pub clean_close: bool,
    /// Whether the file was recycled, so that an earlier log's bytes may follow this one's. These are not *dropped*.
    pub recycled: bool,
}

/// Reads one log file.
#[derive(Debug)]
pub struct LogReader {
    window: Window,
    number: u64,
    options: ReadLogOptions,
    /// Where the next record should begin.
    at: u64,
    state: State,
    report: RecoveryReport,
}

#[derive(Clone, Debug)]
enum State {
    Reading,
    Ended,
    Corrupt { offset: u64, what: String },
    Unsupported { version: u32 },
}

impl LogReader {
    /// Opens the log of this number at `path`. Reads nothing yet but the file's length.
    ///
    /// # Errors
    ///
    /// Those of opening a file.
    pub fn open(vfs: &Arc<dyn Vfs>, path: &Path, number: u64, options: ReadLogOptions) -> Result<Self> {
        let window = Window::new(vfs.open(path)?)?;
        let report = RecoveryReport {
            path: path.to_owned(),
            records: 0,
            valid_bytes: 0,
            dropped: Vec::new(),
            clean_close: false,
            recycled: false,
        };
        Ok(LogReader { window, number, options, at: 0, state: State::Reading, report })
    }

    /// The next record, or `None` at the end of the log.
    ///
    /// # Errors
    ///
    /// [`Error::Corruption`] as the mode says and [`Error::UnsupportedVersion`]; both are final. After a failed read of the
    /// file the same record is tried again.
    // Not an iterator: the record borrows the reader's window.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend out of its own buffer")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        let (offset, header) = loop {
            match self.step()? {
                Some((offset, header)) if header.kind == RecordKind::Data => break (offset, header),
                Some(_) => {}
                None => return Ok(None),
            }
        };
        self.report.records += 1;
        Ok(Some(Record { offset, payload: self.payload(offset, &header)? }))
    }

    /// What was read and dropped so far; complete once [`LogReader::next`] has returned `None`.
    #[must_use]
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The payload of a record that [`LogReader::step`] gave. It is in the window still.
    pub(crate) fn payload(&mut self, offset: u64, header: &Header) -> Result<&[u8]> {
        self.window.read(offset + HEADER_BYTES as u64, header.payload_bytes as usize)
    }

    /// The next whole record of any kind.
    pub(crate) fn step(&mut self) -> Result<Option<(u64, Header)>> {
        loop {
            match &self.state {
                State::Reading => {}
                State::Ended => return Ok(None),
                State::Corrupt { offset, what } => {
                    return Err(Error::Corruption {
                        path: self.report.path.clone(),
                        offset: *offset,
                        what: what.clone(),
                    });
                }
                State::Unsupported { version } => {
                    let path = self.report.path.clone();
                    return Err(Error::UnsupportedVersion {
                        path,
                        found: *version,
                        supported: FORMAT_VERSION,
                    });
                }
            }
            let offset = self.at;
            match self.examine(offset)? {
                Ok(header) => {
                    self.at = offset + header.record_bytes();
                    self.report.valid_bytes = self.at;
                    return Ok(Some((offset, header)));
                }
                Err(problem) if self.options.mode == RecoveryMode::Salvage => self.skip(problem)?,
                Err(problem) => self.end(problem)?,
            }
        }
    }

    /// Whether a whole record of this log stands at `offset`.
    fn examine(&mut self, offset: u64) -> Result<Result<Header, Problem>> {
        if self.report.clean_close {
            return Ok(Err(Problem::Closed));
        }
        let header = match examine_header(self.window.read(offset, HEADER_BYTES)?, offset, self.number) {
            Ok(header) => header,
            Err(problem) => {
                self.report.recycled |= matches!(problem, Problem::Stale { .. });
                return Ok(Err(problem));
            }
        };
        let limit = self.options.record_bytes_max.min(RECORD_BYTES_MAX) as u64;
        let payload_bytes = header.payload_bytes as usize;
        if u64::from(header.payload_bytes) > limit && header.kind == RecordKind::Data {
            return Ok(Err(Problem::TooLong(header, limit)));
        }
        if offset + header.record_bytes() > self.window.file_bytes() {
            return Ok(Err(Problem::PayloadCut(header)));
        }
        // In one request with the header, so that both are in the window.
        let record = self.window.read(offset, HEADER_BYTES + payload_bytes)?;
        let payload = &record[HEADER_BYTES..];
        if crc32c(payload) != header.payload_crc {
            self.report.recycled |= header.kind == RecordKind::RecycledFileHeader;
            if is_torn_file_header(payload, &header, self.number) {
                return Ok(Ok(header));
            }
            return Ok(Err(Problem::PayloadChecksum(header)));
        }
        if header.kind.is_file_header() {
            let Some(first) = FileHeader::decode(payload) else {
                return Ok(Err(Problem::Malformed("a file header without its magic")));
            };
            if first.version != FORMAT_VERSION {
                self.state = State::Unsupported { version: first.version };
                return Err(Error::UnsupportedVersion {
                    path: self.report.path.clone(),
                    found: first.version,
                    supported: FORMAT_VERSION,
                });
            }
            self.report.recycled |= header.kind == RecordKind::RecycledFileHeader;
            if first.number != self.number {
                return Ok(Err(Problem::Malformed(
                    "the file header names another log than its own checksum",
                )));
            }
        }
        self.report.clean_close = header.kind == RecordKind::Trailer;
        Ok(Ok(header))
    }

    /// Ends the log at `self.at`, or fails if what is there or behind proves damage.
    fn end(&mut self, problem: Problem) -> Result<()> {
        let offset = self.at;
        let rot = self.find_rot(&problem)?;
        let rest = self.survey_rest(&problem)?;
        let what = describe(&problem, rot);
        let durable = self.options.durable_bytes.unwrap_or(0);
        let proof = if offset < durable {
            let has = self.window.file_bytes();
            Some(format!("{durable} bytes are known to have been durable (the file has {has})"))
        } else if rest.synced_to > offset {
            Some(format!("a later record says that {} bytes were durable", rest.synced_to))
        } else if rot.is_some_and(|rot| rot.is_proof) {
            Some("no torn write leaves that".to_owned())
        } else if problem.is_damage_by_itself() {
            Some("no torn write leaves that under a right checksum".to_owned())
        } else {
            None
        };
        let dropped = self.dropped_bytes(&problem, rot, rest);
        if let Some(proof) = proof {
            self.state = State::Corrupt { offset, what: format!("{what}; {proof}") };
        } else if dropped > 0 && self.options.mode == RecoveryMode::RefuseAny {
            self.state = State::Corrupt { offset, what: format!("{what}; {dropped} bytes would be dropped") };
        } else {
            self.drop_bytes(offset, dropped, what);
            self.state = State::Ended;
        }
        Ok(())
    }

    /// Salvage: goes on at the next header of this log, or ends.
    fn skip(&mut self, problem: Problem) -> Result<()> {
        let offset = self.at;
        let rot = self.find_rot(&problem)?;
        let what = describe(&problem, rot);
        let file_bytes = self.window.file_bytes();
        let resume = self.resume_at(&problem);
        if problem != Problem::Closed
            && let Some((next, _)) = next_header(&mut self.window, resume, file_bytes, self.number)?
        {
            self.drop_bytes(offset, next - offset, what);
            self.at = next;
            return Ok(());
        }
        let rest = self.survey_rest(&problem)?;
        let missing = self.options.durable_bytes.unwrap_or(0).saturating_sub(offset);
        self.drop_bytes(offset, self.dropped_bytes(&problem, rot, rest).max(missing), what);
        self.state = State::Ended;
        Ok(())
    }

    /// Where a later record may begin at the earliest.
    fn resume_at(&self, problem: &Problem) -> u64 {
        match problem.trusted_bytes() {
            Some(bytes) => (self.at + bytes).min(self.window.file_bytes()),
            None => self.at + 1,
        }
    }

    fn survey_rest(&mut self, problem: &Problem) -> Result<Survey> {
        let resume = self.resume_at(problem);
        survey(&mut self.window, self.at, resume, self.number)
    }

    fn find_rot(&mut self, problem: &Problem) -> Result<Option<Rot>> {
        let place = Place {
            offset: self.at,
            file_bytes: self.window.file_bytes(),
            number: self.number,
            recycled: self.report.recycled,
        };
        match problem {
            Problem::HeaderChecksum => {
                let head = self.window.read(self.at, HEADER_BYTES)?;
                Ok(head.try_into().ok().and_then(|head| rot_in_header(head, place)))
            }
            Problem::PayloadChecksum(header) => {
                let payload =
                    self.window.read(self.at + HEADER_BYTES as u64, header.payload_bytes as usize)?;
                Ok(rot_in_payload(header, payload, place))
            }
            _ => Ok(None),
        }
    }

    /// How many bytes from `self.at` on are left out when the log ends here.
    fn dropped_bytes(&self, problem: &Problem, rot: Option<Rot>, rest: Survey) -> u64 {
        let mut end = rest.records_end;
        if let Some(bytes) = problem.trusted_bytes().or(rot.map(|rot| rot.record_bytes)) {
            end = end.max((self.at + bytes).min(self.window.file_bytes()));
        }
        // In a recycled file what follows is the earlier log's; a torn header among it cannot be told from it.
        if !self.report.recycled {
            end = end.max(rest.nonzero_end);
            if *problem == Problem::ShortHeader {
                end = self.window.file_bytes(); // a header's beginning may end with zeros
            }
        }
        end.saturating_sub(self.at)
    }

    fn drop_bytes(&mut self, offset: u64, bytes: u64, what: String) {
        if bytes > 0 {
            self.report.dropped.push(DroppedBytes { path: self.report.path.clone(), offset, bytes, what });
        }
    }
}

/// Whether a file header's payload is the one that its header's checksum stands for, with zeros from some byte on. A tear leaves that,
/// and so may one flipped bit; as nothing in it is unknown, no record behind it need be given up for it.
fn is_torn_file_header(payload: &[u8], header: &Header, number: u64) -> bool {
    let whole = RecordEncoder::new(number).file_header(false);
    let whole = &whole[HEADER_BYTES..];
    let written = payload.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    header.kind.is_file_header()
        && payload.len() == whole.len()
        && payload[..written] == whole[..written]
        && header.payload_crc == crc32c(whole)
}

fn describe(problem: &Problem, rot: Option<Rot>) -> String {
    match rot {
        Some(rot) => format!("{problem}; a change of the byte at {} alone explains it", rot.at),
        None => problem.to_string(),
    }
}
