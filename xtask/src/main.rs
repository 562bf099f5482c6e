//! The habits of this workspace, one file for each verb: `cargo xtask help` lists them.
//!
//! What the checks of a change run is `cargo xtask ci`; each of its steps can be run alone with the same command. All of them work
//! offline once the dependencies are there.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a tool beside the database: it reads sources and runs cargo")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod advise;
mod agree;
mod bench;
mod builds;
mod ci;
mod concurrency;
mod deps;
mod dump;
mod features;
mod fuzz;
mod instructions;
mod package;
mod parts;
mod planted;
mod process;
mod repair;
mod replay;
mod sanitize;
mod sim;
mod simulate;
mod soak;
mod source;
mod test;
mod tidy;
mod verify;
mod workspace;

use std::process::ExitCode;

/// One verb.
struct Verb {
    name: &'static str,
    /// What it does, in a line.
    what: &'static str,
    /// The text of `--help` after the line above.
    help: &'static str,
    run: fn(lexopt::Parser) -> Result<(), String>,
}

const VERBS: &[Verb] = &[
    test::VERB,
    bench::VERB,
    builds::VERB,
    parts::VERB,
    instructions::VERB,
    simulate::VERB,
    sim::VERB,
    replay::VERB,
    advise::VERB,
    agree::VERB,
    planted::VERB,
    ci::VERB,
    concurrency::VERB,
    sanitize::VERB,
    tidy::VERB,
    features::VERB,
    deps::VERB,
    package::VERB,
    dump::VERB,
    verify::VERB,
    repair::VERB,
    fuzz::VERB,
    soak::VERB,
];

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let name = match arguments.is_empty() {
        true => String::from("help"),
        false => arguments.remove(0).to_string_lossy().into_owned(),
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        eprint!("there is no verb `{name}`\n\n{}", overview());
        return ExitCode::from(2);
    };
    // `bench` has a help of its own, behind which are the options of another program.
    let wants_help = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    if wants_help && !verb.help.is_empty() {
        print!("{}\n\n{}", verb.what, verb.help);
        return ExitCode::SUCCESS;
    }
    match (verb.run)(lexopt::Parser::from_args(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask VERB [OPTIONS]\n\n");
    for verb in VERBS {
        text += &format!("  {:<12} {}\n", verb.name, verb.what);
    }
    text + "\n`cargo xtask VERB --help` tells the options of a verb.\n"
}

/// For verbs without options: refuses any.
fn no_options(mut parser: lexopt::Parser) -> Result<(), String> {
    match parser.next().map_err(|error| error.to_string())? {
        None => Ok(()),
        Some(argument) => Err(argument.unexpected().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_listed_once() {
        let overview = overview();
        for verb in VERBS {
            let lines = overview.lines().filter(|line| line.split_whitespace().next() == Some(verb.name));
            assert_eq!(lines.count(), 1, "{}", verb.name);
        }
    }
}
