//! Real processes on a real file system: killed under load, out of disk space, over the size that a file may have, out of file handles.
//!
//! The processes are this test program itself, started again in a role. `TERRACE_KILLS=500` or `TERRACE_KILL_MINUTES=10` makes the kills more;
//! `cargo xtask soak` does that.
#![expect(clippy::print_stdout, reason = "tests say how much they tried")]
#![expect(clippy::disallowed_methods, reason = "the roles are whole programs, with threads of their own")]

mod crew;
mod full;
mod role;

#[test]
fn role() {
    role::play();
}
