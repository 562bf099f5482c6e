//! The first step of every log that keeps a file: where its bytes come from.

use crate::{CreateLog, Result};
use std::path::Path;
use terrace_vfs::{CreateOptions, Existing, Vfs};

/// Brings a file to recycle to `path`, if there is one, and says how the file at `path` is to be opened.
pub(crate) fn prepare_file(vfs: &dyn Vfs, path: &Path, options: &CreateLog) -> Result<CreateOptions> {
    let existing = match &options.recycle {
        Some(old) => {
            vfs.rename(old, path)?;
            Existing::Reuse
        }
        // A file that is there under a number that must be new holds somebody's records.
        None => Existing::Refuse,
    };
    Ok(CreateOptions { preallocate_bytes: options.preallocate_bytes, existing })
}
