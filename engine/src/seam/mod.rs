//! The seams for time and threads. The third, files, is the crate `terrace-vfs`.

pub(crate) mod clock;
pub(crate) mod executor;
