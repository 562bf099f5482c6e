//! What people and programs get to see.

use serde_json::Value;
use terrace_simulator::stock::{all, sizes_of};
use terrace_simulator::{Experiment, Report, Study, Workload, course, heading, json_lines, page, summary};

fn report(name: &str, workload: Workload, flushes_max: u64) -> Report {
    let experiment = Experiment {
        workload,
        data_bytes: 300 * (64 << 20),
        device_bytes_per_second: Some(0.4e9),
        samples: 10,
        ..Experiment::default()
    };
    let study = Study { experiment, flushes_max, ..Study::default() };
    let (_, make) = all().iter().find(|(known, _)| *known == name).expect("a stock policy");
    let findings =
        study.run(|scale| make(&sizes_of(&study.experiment).times(scale))).expect("it keeps the laws");
    Report { study, findings }
}

#[test]
fn each_line_of_json_is_whole_and_the_last_is_the_summary() {
    let report = report("leveled", Workload::Uniform, 100);
    let lines: Vec<Value> =
        json_lines(&report).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), report.findings.simulated.samples.len() + 1);
    let (last, samples) = lines.split_last().expect("a summary");
    assert!(samples.iter().all(|line| line["kind"] == "sample" && line["picker"] == "leveled"));
    assert_eq!(
        (&last["kind"], &last["scale"], &last["levels_left_out"]),
        (&"summary".into(), &10.into(), &1.into())
    );
    let figure = |name: &str| last[name].as_f64().expect("a number");
    assert!(figure("write_amplification") > figure("simulated_write_amplification"));
    assert!(figure("stalled_seconds") > 0.0);
}

#[test]
fn what_is_scaled_is_said() {
    let scaled = heading(&report("leveled", Workload::Uniform, 100));
    assert!(scaled.contains("10 times as large") && scaled.contains("lacks 1 level"), "{scaled}");
    let whole = heading(&report("leveled", Workload::Uniform, 300));
    assert!(!whole.contains("scaled") && whole.contains("a device of 400.00 MB/s"), "{whole}");
}

#[test]
fn the_summary_has_a_line_for_each_study_and_the_course_a_dozen_at_most() {
    let reports = [report("leveled", Workload::Uniform, 300), report("tiered", Workload::Time, 300)];
    let text = summary(&reports);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().nth(2).is_some_and(|line| line.starts_with("tiered  time")), "{text}");
    let rows = course(&reports[0]).lines().filter(|line| line.contains("GB  ")).count();
    assert_eq!(rows, 10);
}

#[test]
fn the_page_has_six_plots_for_each_workload_with_a_curve_for_each_policy() {
    let reports = [
        report("leveled", Workload::Uniform, 300),
        report("fluid", Workload::Uniform, 300),
        report("fifo", Workload::Time, 300),
    ];
    let html = page(&reports);
    assert_eq!(html.matches("<svg ").count(), 12);
    assert_eq!(html.matches("<polyline ").count(), 18);
    assert!(!html.contains("NaN") && !html.contains("inf\""));
    assert_eq!(html.matches("<svg ").count(), html.matches("</svg>").count());
}
