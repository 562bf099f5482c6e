//! Runs commands, and says which one failed.

use crate::workspace::Workspace;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The cargo that runs this program, in the folder `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command with its output shown.
///
/// # Errors
///
/// The command line, when it can not be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let line = line(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| format!("`{line}` does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// Builds and runs a program of the workspace, `which` being what tells cargo which one, and hands it all arguments that are left.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn run_program(which: &[&str], mut arguments: lexopt::Parser) -> Result<(), String> {
    let arguments: Vec<_> = arguments.raw_args().map_err(|error| error.to_string())?.collect();
    let workspace = Workspace::load()?;
    let mut command = cargo(&workspace.root);
    command.args(["run", "--quiet", "--release"]).args(which).arg("--").args(arguments);
    // Relative paths in the arguments are those of the caller.
    command.current_dir(std::env::current_dir().unwrap_or(workspace.root));
    run(&mut command)
}

/// Runs a command and returns its standard output.
///
/// # Errors
///
/// The command line and its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let line = line(command);
    let output = command
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("`{line}` does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{line}` failed ({})\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{line}` printed something that is not UTF-8"))
}

/// The flags for rustc that treat each warning as an error, beside those of the environment.
pub(crate) fn deny_warnings(variable: &str) -> String {
    let given = std::env::var(variable).unwrap_or_default();
    format!("{given} -D warnings").trim().to_owned()
}

fn line(command: &Command) -> String {
    let arguments = command.get_args().map(OsStr::to_string_lossy);
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}
