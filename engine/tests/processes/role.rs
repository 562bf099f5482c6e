//! This test program started again as a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};

const ROLE: &str = "TERRACE_ROLE";

/// In a process that was started for a role: plays it. In an ordinary run of the tests: nothing.
pub(crate) fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words = role.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (name, argument, folder) = (word(), word(), word());
    // The test runner has begun a line.
    println!();
    match name.as_str() {
        "crew" => crate::crew::work(Path::new(&folder), argument.parse().unwrap()),
        "fill" => crate::full::fill(Path::new(&folder), &argument),
        other => panic!("no role is called {other}"),
    }
}

/// The command that plays a role, with its output in a pipe. Behind a shell line if there is one, which must end in `exec "$@"`.
pub(crate) fn command(shell: Option<&str>, name: &str, argument: &str, folder: &Path) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(program),
        Some(line) => {
            let mut command = Command::new("sh");
            command.args(["-c", line, "sh"]).arg(program);
            command
        }
    };
    command.args(["--exact", "role", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{name} {argument} {}", folder.display()));
    command.stdout(Stdio::piped());
    command
}
