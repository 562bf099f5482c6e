//! The matrix: combinations of parts under the same work, memory and durability, and which of them nothing else beats.
//!
//! Each run is a process of its own ([`crate::runs`]). Medians are shown, with 95 % confidence intervals where there are several repetitions, and
//! for each workload the Pareto front over throughput, p99.9, the three amplifications and peak memory: whoever wants something else than
//! what is on the front gives something up and gets nothing for it, on this work and machine.

mod page;
mod pareto;
mod table;

use crate::cli::options::Options;
use crate::cli::work::Work;
use crate::given::Given;
use crate::meter::Machine;
use crate::report;
use crate::runs::results::{Results, Spread};
use crate::runs::{self, Contender, Stage};
use crate::store::{Parts, StoreFactory};
use pareto::{Better, Standing};
use serde_json::{Map, Value, json};

/// What a combination is judged by.
struct Figure {
    /// Its field in a row.
    name: &'static str,
    heading: &'static str,
    title: &'static str,
    decimals: usize,
    better: Better,
}

/// The dimensions of the front.
const FIGURES: [Figure; 6] = [
    Figure {
        name: "krecords_per_second",
        heading: "krec/s",
        title: "Thousand records a second",
        decimals: 0,
        better: Better::Higher,
    },
    Figure { name: "p999_us", heading: "p99.9", title: "p99.9, us", decimals: 1, better: Better::Lower },
    Figure { name: "write_amp", heading: "w-amp", title: "Write amp.", decimals: 2, better: Better::Lower },
    Figure { name: "read_amp", heading: "r-amp", title: "Read amp.", decimals: 2, better: Better::Lower },
    Figure {
        name: "disk_per_live_byte",
        heading: "disk/live",
        title: "Space amp.",
        decimals: 2,
        better: Better::Lower,
    },
    Figure { name: "peak_mib", heading: "peak MiB", title: "Peak MiB", decimals: 0, better: Better::Lower },
];

/// Runs the matrix and prints it.
///
/// # Errors
///
/// A sentence: an unknown name, or what a child said.
pub(crate) fn execute(options: &Options, factories: &[Box<dyn StoreFactory>]) -> Result<(), String> {
    let all: Vec<Parts> = factories.iter().map(|factory| factory.parts()).collect();
    let chosen: Vec<Parts> = options.selection.choose(&all)?.into_iter().map(|index| all[index]).collect();
    let contenders = contenders(&chosen);
    if options.list {
        contenders.iter().for_each(|contender| report::print(&format!("{}\n", contender.name)));
        return Ok(());
    }
    // Before anything runs, so that a file with a fault in it costs no time.
    let given = options.work.given().map_err(|error| error.to_string())?;
    let (stages, work) = options.work.stages()?;
    let results = runs::run_all(options, options.repetitions(), &work, Results::new(contenders, stages))?;
    let standings: Vec<Vec<Standing>> =
        results.stages.iter().map(|stage| standings(&results, stage)).collect();
    runs::append_lines(options, &summaries(options, &results, &standings))?;
    let heading = heading(options, given.as_deref());
    if let Some(html) = &options.html {
        runs::write(html, &page::render(&results, &standings, &heading, options.repetitions()))?;
    }
    if !options.prints_json() {
        report::print(&format!("{heading}\n\n{}", table::render(&results, &standings, options)));
    }
    Ok(())
}

/// Named by their parts alone where there is one engine.
fn contenders(parts: &[Parts]) -> Vec<Contender> {
    let mut contenders = Contender::named(parts);
    for contender in &mut contenders {
        let short = contender.name.strip_prefix(contender.parts.engine).unwrap_or_default().trim_start();
        let engines_differ = parts.iter().any(|other| other.engine != contender.parts.engine);
        if !engines_differ && !short.is_empty() {
            contender.name = short.to_owned();
        }
    }
    contenders
}

/// How each contender stands in a stage, by medians.
fn standings(results: &Results, stage: &Stage) -> Vec<Standing> {
    let point = |contender| {
        let figure =
            |figure: &Figure| results.figure(contender, stage, figure.name).map(|spread| spread.median);
        FIGURES.iter().map(figure).collect()
    };
    let points: Vec<Vec<Option<f64>>> = (0..results.contenders.len()).map(point).collect();
    pareto::standings(&points, &FIGURES.map(|figure| figure.better))
}

/// The lines for programs after those of the runs: of each contender and stage the medians with their intervals, and how it stands.
fn summaries(options: &Options, results: &Results, standings: &[Vec<Standing>]) -> Vec<Value> {
    let mut lines = Vec::new();
    for (stage, standings) in results.stages.iter().zip(standings) {
        for (index, (contender, standing)) in results.contenders.iter().zip(standings).enumerate() {
            let figures: Map<String, Value> = FIGURES
                .iter()
                .filter_map(|figure| {
                    let Spread { median, low, high } = results.interval(index, stage, figure.name)?;
                    Some((figure.name.to_owned(), json!({"median": median, "low": low, "high": high})))
                })
                .collect();
            let behind = match standing {
                Standing::Behind(other) => Some(results.contenders[*other].name.as_str()),
                _ => None,
            };
            lines.push(json!({
                "summary": true,
                "workload": stage.name,
                "contender": contender.name,
                "repetitions": options.repetitions(),
                "pareto_front": *standing == Standing::Front,
                "behind": behind,
                "figures": figures,
            }));
        }
    }
    lines
}

/// What all runs had in common: names and values.
fn heading(options: &Options, given: Option<&dyn Given>) -> Heading {
    let (config, settings, machine) = (&options.config, &options.settings, Machine::this());
    let mut lines = vec![
        ("machine", format!("{}, {} cores, {}", machine.processor, machine.cores, machine.os)),
        ("engine", format!("terrace {}", env!("CARGO_PKG_VERSION"))),
        (
            "durability",
            format!("{}: {}", config.durability.name(), report::durability_note(config.durability)),
        ),
        (
            "memory",
            format!(
                "memtable {} MiB, block cache {} MiB{}, filters of {} bits a key",
                settings.memtable_bytes >> 20,
                settings.cache_bytes >> 20,
                if config.warm { " (warm: all was read once before a workload that reads)" } else { "" },
                settings.filter_bits_per_key
            ),
        ),
        ("work", given.map_or_else(|| Work::in_words(config), Given::in_words)),
        (
            "runs",
            format!(
                "{} of each, interleaved, each in a process of its own; every value read was checked, every store gone through after writing",
                options.repetitions()
            ),
        ),
    ];
    lines.push((
        "command",
        format!("cargo xtask bench {}", std::env::args().skip(1).collect::<Vec<_>>().join(" ")),
    ));
    Heading(lines)
}

/// Names and values that stand above all figures.
struct Heading(Vec<(&'static str, String)>);

impl std::fmt::Display for Heading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|(name, value)| format!("{name:<10}  {value}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    pub(super) fn sample() -> (Results, Vec<Vec<Standing>>) {
        let parts = |memtable, picker| Parts {
            engine: "terrace",
            version: "1",
            memtable,
            picker,
            log: "buffered",
            filter: "blocked",
            cache: "quick",
            compression: "lz4",
            table: "block",
            log_keeps: true,
        };
        let all = [parts("skiplist", "leveled"), parts("btree", "leveled"), parts("btree", "tiered")];
        let stages = vec![Workload::FillRandom.into(), Workload::ReadRandom.into()];
        let mut results = Results::new(contenders(&all), stages);
        for run in 0..3 {
            for (index, (rate, write)) in [(100.0, 5.0), (200.0, 4.0), (210.0, 6.0)].iter().enumerate() {
                let row = |workload: &str| {
                    json!({"workload": workload, "krecords_per_second": rate + f64::from(run), "p50_us": 1.5, "p99_us": 3.0,
                        "p999_us": 9.0, "max_us": 100.0, "write_amp": write, "disk_per_live_byte": 0.7, "peak_mib": 10})
                };
                results.add(index, vec![row("fill-random")]);
            }
        }
        let standings = results.stages.iter().map(|stage| standings(&results, stage)).collect();
        (results, standings)
    }

    #[test]
    fn combinations_are_named_by_what_differs() {
        let (results, _) = sample();
        let names: Vec<_> = results.contenders.iter().map(|contender| contender.name.as_str()).collect();
        assert_eq!(names, ["skiplist leveled", "btree leveled", "btree tiered"]);
        assert_eq!(contenders(&[results.contenders[0].parts])[0].name, "terrace");
    }

    #[test]
    fn lines_for_programs_tell_medians_intervals_and_the_front() {
        let (results, standings) = sample();
        let options = crate::cli::options::tests::parse(&["--repeat", "3"]).expect("valid");
        let lines = summaries(&options, &results, &standings);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0]["pareto_front"], false);
        assert_eq!(lines[0]["behind"], "btree leveled");
        assert_eq!(lines[1]["pareto_front"], true);
        assert_eq!(lines[2]["pareto_front"], true);
        let rate = &lines[1]["figures"]["krecords_per_second"];
        assert_eq!(rate["median"], 201.0);
        assert!(rate["low"].as_f64() < Some(201.0) && rate["high"].as_f64() > Some(201.0), "{rate}");
        // Nothing was read yet.
        assert_eq!(lines[4]["pareto_front"], false);
    }
}
