//! What the program does when nobody reads what it prints.

use std::process::Command;

#[test]
fn output_that_nobody_reads_ends_the_program_quietly() {
    for arguments in
        [&["--help"][..], &["--list", "--all"], &["--data-mb", "1", "--quiet", "--memtable", "btree"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_terrace-bench"));
        let output = command.args(arguments).stdout(writer).output().expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    }
}
