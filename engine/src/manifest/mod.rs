//! The manifest: a log of edits to the durable state, and the file `CURRENT` that names the manifest in force.
//!
//! The order of syncs is what crash safety rests on, so it stands in one place ([`Manifest::roll`]): the new manifest is synced, then the
//! folder, then the pointer's bytes, then the pointer is renamed into place and the folder synced again, and only then is the old
//! manifest removed. At every moment `CURRENT` names a manifest that is durable and whole.

pub(crate) mod edit;
pub(crate) mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use terrace_vfs::{CreateOptions, Existing, Vfs};
use terrace_wal::{BufferedLog, CreateLog, LogReader, LogWriter, ReadLogOptions, RecoveryMode};

use crate::names::FileName;
use crate::{Error, Result};
use edit::{Edit, FORMAT_VERSION};
use state::State;

/// The manifest in force. One owner.
#[derive(Debug)]
pub(crate) struct Manifest {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    log: Option<BufferedLog>,
    number: u64,
    state: State,
    snapshot_bytes: u64,
    buffer: Vec<u8>,
}

impl Manifest {
    /// Writes `state` as a new manifest of the given number, which must be unused, and points `CURRENT` at it.
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, dir: &Path, number: u64, state: State) -> Result<Self> {
        let mut manifest = Manifest {
            vfs: Arc::clone(vfs),
            dir: dir.to_owned(),
            log: None,
            number,
            state,
            snapshot_bytes: 0,
            buffer: Vec::new(),
        };
        manifest.roll(number)?;
        Ok(manifest)
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is longer than `bytes_max` and [`Manifest::roll`] would make it much shorter: it is begun anew when it is four times as long as
    /// its first record.
    pub(crate) fn wants_roll(&self, bytes_max: u64) -> bool {
        let length = self.log.as_ref().map_or(0, LogWriter::len_bytes);
        length > bytes_max.max(4 * self.snapshot_bytes)
    }

    /// Appends edits as one record, durable when this returns. After an error the manifest takes nothing more.
    pub(crate) fn append(&mut self, edits: &[Edit]) -> Result<()> {
        let mut next = self.state.clone();
        for edit in edits {
            next.apply(edit).map_err(|what| self.broken(what))?;
        }
        let mut log = self.log.take().ok_or(Error::Closed)?;
        write_record(&mut log, edits, &mut self.buffer)?;
        self.log = Some(log);
        self.state = next;
        Ok(())
    }

    fn broken(&self, what: String) -> Error {
        let file = FileName::Manifest(self.number).in_dir(&self.dir);
        Error::Corruption { file, offset: self.log.as_ref().map_or(0, LogWriter::len_bytes), what }
    }

    /// Writes the state as a new manifest and makes it the one in force.
    pub(crate) fn roll(&mut self, number: u64) -> Result<()> {
        self.state.next_file = self.state.next_file.max(number + 1);
        let path = FileName::Manifest(number).in_dir(&self.dir);
        let create = CreateLog { number, preallocate_bytes: 0, recycle: None };
        let mut log = BufferedLog::create(&self.vfs, &path, create)?;
        write_record(&mut log, &self.state.snapshot(), &mut self.buffer)?;
        self.snapshot_bytes = log.len_bytes();
        self.vfs.sync_dir(&self.dir)?;
        self.point_at(number)?;
        let old = std::mem::replace(&mut self.number, number);
        self.log = Some(log);
        if old != number {
            // Not needed any more; what can not be removed now goes at the next open.
            let _ = self.vfs.remove(&FileName::Manifest(old).in_dir(&self.dir));
        }
        Ok(())
    }

    fn point_at(&self, number: u64) -> Result<()> {
        let temp = FileName::CurrentTemp.in_dir(&self.dir);
        let options = CreateOptions { preallocate_bytes: 0, existing: Existing::Truncate };
        let mut file = self.vfs.create(&temp, options)?;
        file.append(pointer_text(number).as_bytes())?;
        file.sync()?;
        drop(file);
        self.vfs.rename(&temp, &FileName::Current.in_dir(&self.dir))?;
        self.vfs.sync_dir(&self.dir)?;
        Ok(())
    }

    /// Ends the manifest with a trailer.
    pub(crate) fn close(&mut self) -> Result<()> {
        if let Some(log) = self.log.take() {
            log.close()?;
        }
        Ok(())
    }
}

fn write_record(log: &mut BufferedLog, edits: &[Edit], buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    for edit in edits {
        edit.encode(buffer);
    }
    log.append(&[buffer])?;
    log.sync()?;
    Ok(())
}

pub(crate) fn pointer_text(number: u64) -> String {
    let name = format!("MANIFEST-{number:06}");
    let crc = crc32c::crc32c(name.as_bytes());
    format!("{name} {crc:08x}\n")
}

/// The number of the manifest that `CURRENT` names; `None` when there is no such file.
///
/// # Errors
///
/// [`Error::NotADatabase`] when it is plainly another program's, [`Error::Corruption`] when it is ours and damaged.
pub(crate) fn read_current(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Option<u64>> {
    const CURRENT_BYTES_MAX: u64 = 64;
    let path = FileName::Current.in_dir(dir);
    let file = match vfs.open(&path) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let damaged = |what: &str| Error::Corruption { file: path.clone(), offset: 0, what: what.to_owned() };
    let len = file.len()?;
    if len > CURRENT_BYTES_MAX {
        return Err(damaged("CURRENT is too long"));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let text = String::from_utf8(bytes).map_err(|_| damaged("CURRENT is not text"))?;
    let name = text.trim_end().split(' ').next().unwrap_or_default();
    let Some(FileName::Manifest(number)) = FileName::parse(name) else {
        return Err(damaged("CURRENT names no manifest"));
    };
    if text == pointer_text(number) {
        return Ok(Some(number));
    }
    if text == format!("{name}\n") {
        let what = "its CURRENT file is of the form that LevelDB and RocksDB write".to_owned();
        return Err(Error::NotADatabase { path: dir.to_owned(), what });
    }
    Err(damaged("the checksum of CURRENT does not match"))
}

/// Reads the state out of a manifest.
pub(crate) fn read_state(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    number: u64,
    table_format: &str,
) -> Result<(State, terrace_wal::RecoveryReport)> {
    let path = FileName::Manifest(number).in_dir(dir);
    let options = ReadLogOptions { mode: RecoveryMode::DropTornTail, ..ReadLogOptions::default() };
    let mut reader = LogReader::open(vfs, &path, number, options)?;
    let mut state = State::default();
    let mut first = true;
    while let Some(record) = reader.next()? {
        let damaged = |what: String| Error::Corruption { file: path.clone(), offset: record.offset, what };
        let edits = Edit::decode_all(record.payload).map_err(|what| match version_of(record.payload) {
            Some(found) if found > FORMAT_VERSION => {
                Error::UnsupportedVersion { file: path.clone(), found, supported: FORMAT_VERSION }
            }
            _ => damaged(what.to_owned()),
        })?;
        if first {
            check_identity(&path, edits.first(), table_format)?;
            first = false;
        }
        for edit in &edits {
            state.apply(edit).map_err(damaged)?;
        }
    }
    if first {
        let what = "the manifest holds no record".to_owned();
        return Err(Error::Corruption { file: path, offset: 0, what });
    }
    let report = reader.report().clone();
    let broken = |what| Error::Corruption { file: path.clone(), offset: report.valid_bytes, what };
    state.check().map_err(broken)?;
    Ok((state, report))
}

/// The format version at the head of a first record that this build may not be able to decode further.
fn version_of(payload: &[u8]) -> Option<u32> {
    let mut rest = payload.strip_prefix(&[1])?;
    u32::try_from(crate::batch::take_varint(&mut rest)?).ok()
}

fn check_identity(path: &Path, first: Option<&Edit>, opening: &str) -> Result<()> {
    match first {
        Some(Edit::Identity { format_version, .. }) if *format_version > FORMAT_VERSION => {
            Err(Error::UnsupportedVersion {
                file: path.to_owned(),
                found: *format_version,
                supported: FORMAT_VERSION,
            })
        }
        Some(Edit::Identity { table_format, .. }) if table_format != opening => Err(Error::PartsMismatch {
            written: format!("table format `{table_format}`"),
            opening: format!("table format `{opening}`"),
        }),
        Some(Edit::Identity { .. }) => Ok(()),
        _ => Err(Error::Corruption {
            file: path.to_owned(),
            offset: 0,
            what: "the manifest does not begin with an identity".to_owned(),
        }),
    }
}
