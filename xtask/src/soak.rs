//! Real processes for as long as you like: killed under load, and out of disk space.

use crate::Verb;
use crate::process;
use crate::workspace::Workspace;
use lexopt::prelude::*;

pub(crate) const VERB: Verb = Verb {
    name: "soak",
    what: "kills writing processes and fills small disks, again and again",
    help: "\
Usage: cargo xtask soak [--kills N | --minutes N] [--disks N]

  --kills N     how often a process of several writers is killed with SIGKILL (default 300)
  --minutes N   for how long it is killed, in place of a number
  --disks N     how often a file system of 4 MiB is filled (default 40); it is a tmpfs in a mount namespace of its own,
                and where the system does not allow one, the output says so

After each, the database is opened and everything that was acknowledged is looked for. Ends with the counts.
",
    run,
};

struct Options {
    kills: Option<u64>,
    minutes: Option<u64>,
    disks: u64,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { kills: None, minutes: None, disks: 40 };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("kills") => options.kills = Some(parser.value()?.parse()?),
            Long("minutes") => options.minutes = Some(parser.value()?.parse()?),
            Long("disks") => options.disks = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn run(parser: lexopt::Parser) -> Result<(), String> {
    let options = parse(parser).map_err(|error| error.to_string())?;
    let workspace = Workspace::load()?;
    let mut command = process::cargo(&workspace.root);
    command.args(["test", "--release", "--quiet", "-p", "terrace", "--test", "processes", "--"]);
    command.args(["--nocapture", "--test-threads=1"]);
    if let Some(minutes) = options.minutes {
        command.env("TERRACE_KILL_MINUTES", minutes.to_string());
    }
    if let Some(kills) = options.kills.or(options.minutes.is_none().then_some(300)) {
        command.env("TERRACE_KILLS", kills.to_string());
    }
    command.env("TERRACE_FULL_DISKS", options.disks.to_string());
    let told = process::output(&mut command)?;
    let counts: Vec<&str> = told.lines().filter(|line| counts(line)).collect();
    println!("{}", counts.join("\n"));
    Ok(())
}

/// Whether a line of the tests' output is one of counts.
fn counts(line: &str) -> bool {
    ["kills", "full disks", "limits of"].iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options =
            parse(lexopt::Parser::from_args(["--minutes", "3", "--disks", "5"])).expect("valid options");
        assert_eq!((options.kills, options.minutes, options.disks), (None, Some(3), 5));
        assert!(parse(lexopt::Parser::from_args(["--seeds", "3"])).is_err());
    }

    #[test]
    fn lines_of_counts_are_told_from_the_rest() {
        assert!(counts("30 kills (14 before the first write), 8228 batches"));
        assert!(!counts("running 5 tests"));
    }
}
