//! The laboratory on the command line: `terrace-sim --help`.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a tool beside the database: it writes reports")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod arguments;

use arguments::{Arguments, parse};
use std::process::ExitCode;
use terrace_simulator::stock::{Make, Sizes};
use terrace_simulator::{
    Controls, LEGEND, Report, Study, bytes_text, course, heading, json_lines, page, stalls, summary,
};

fn main() -> ExitCode {
    let arguments = match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n`--help` tells the options.");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut reports = Vec::new();
    for workload in &arguments.workloads {
        for (name, make) in &arguments.pickers {
            for ((_, throttle), limiter) in product(&arguments.throttles, &arguments.limiters) {
                let mut study = arguments.study.clone();
                study.experiment.workload = *workload;
                let sizes = arguments.sizes(&study.experiment);
                let throttle = throttle();
                let limiter = limiter.map(|limiter| limiter.make(arguments.quiet_hours));
                let controls = Controls { throttle: throttle.as_ref(), limiter: limiter.as_deref() };
                let report = one((name, *make), controls, study, sizes)?;
                if arguments.json.as_deref() == Some("-") {
                    print!("{}", json_lines(&report));
                }
                reports.push(report);
            }
        }
    }
    match arguments.json.as_deref() {
        Some("-") => {}
        other => {
            show(&reports);
            if let Some(path) = other {
                let lines: String = reports.iter().map(json_lines).collect();
                std::fs::write(path, lines).map_err(|error| format!("{path}: {error}"))?;
            }
        }
    }
    if let Some(path) = &arguments.html {
        std::fs::write(path, page(&reports)).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// Each of the one with each of the other.
fn product<'a, A, B>(ones: &'a [A], others: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    ones.iter().flat_map(move |one| others.iter().map(move |other| (one, other)))
}

fn one(
    (name, make): (&str, Make),
    controls: Controls<'_>,
    study: Study,
    sizes: Sizes,
) -> Result<Report, String> {
    if controls.limiter.is_some() && study.levels_left_out() > 0 {
        return Err("a limiter is simulated in whole trees: smaller data, or more by `--flushes-max`".into());
    }
    let workload = study.experiment.workload.name();
    eprintln!("{name} under {workload}, {} ...", bytes_text(study.experiment.data_bytes as f64));
    let findings = study
        .run_with(|scale| make(&sizes.times(scale)), controls)
        .map_err(|error| format!("{name}: {error}"))?;
    Ok(Report { study, findings })
}

/// One study with its course; several in a line each.
fn show(reports: &[Report]) {
    if let [report] = reports {
        println!("{}", course(report));
    } else {
        for report in reports {
            println!("{}", heading(report));
        }
        println!();
    }
    println!("{}\n{LEGEND}", summary(reports));
    print!("{}", stalls(reports));
}
