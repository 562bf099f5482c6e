//! Golden curves: what each stock policy costs under each workload, over time. They say what is, not what should be: whoever changes a policy
//! sees in tests/snapshots what that does to all of them.

use terrace_simulator::stock::{all, sizes_of};
use terrace_simulator::{Experiment, Sample, Workload, bytes_text, seconds_text};

/// Data of two hundred memtables, in eight points.
fn experiment(workload: Workload, device_bytes_per_second: Option<f64>) -> Experiment {
    Experiment {
        workload,
        data_bytes: 200 * (64 << 20),
        samples: 8,
        device_bytes_per_second,
        ..Experiment::default()
    }
}

fn line(sample: &Sample) -> String {
    let cells = [
        bytes_text(sample.user_bytes),
        format!("{:.2}", sample.write_amplification),
        format!("{:.3}", sample.space_amplification),
        format!("{:.3}", sample.space_amplification_max),
        format!("{:.2}", sample.reads.runs),
        format!("{:.4}", sample.reads.absent_reads),
        format!("{:.4}", sample.reads.present_reads),
        bytes_text(sample.debt_bytes as f64),
        seconds_text(sample.stalled_seconds),
    ];
    cells.map(|cell| format!("{cell:>10}")).concat()
}

fn curves(name: &str) -> String {
    let (_, make) = all().iter().find(|(known, _)| *known == name).expect("a stock policy");
    let head = ["written", "write", "space", "peak", "runs", "absent", "present", "debt", "stalled"];
    let mut text = head.map(|cell| format!("{cell:>10}")).concat();
    let unlimited = Workload::ALL.map(|workload| (workload, None));
    for (workload, device) in unlimited.into_iter().chain([(Workload::Uniform, Some(0.4e9))]) {
        let experiment = experiment(workload, device);
        let outcome =
            experiment.run(make(&sizes_of(&experiment)).as_ref()).expect("stock policies keep the laws");
        let device = device.map_or(String::new(), |device| format!(", a device of {}/s", bytes_text(device)));
        text += &format!("\n{}{device}\n", workload.name());
        let lines: Vec<String> = outcome.samples.iter().map(line).collect();
        text += &lines.join("\n");
    }
    text
}

macro_rules! golden {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(curves(stringify!($name)));
            }
        )*

        #[test]
        fn every_stock_policy_has_its_curves() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(all().iter().map(|(name, _)| *name).collect::<Vec<_>>(), tested);
        }
    };
}

golden! { leveled tiered universal fluid hybrid guards windowed fifo }
