//! The rows of all runs, and their medians.

use super::Contender;
use crate::workload::Workload;
use serde_json::Value;

/// A figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    /// Of these figures; nothing of none.
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (low, high) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[half] } else { (figures[half - 1] + figures[half]) / 2.0 };
        Some(Spread { median, low, high })
    }
}

/// All that was measured.
pub(super) struct Results {
    pub(super) contenders: Vec<Contender>,
    pub(super) workloads: Vec<Workload>,
    /// With the contender's index.
    rows: Vec<(usize, Value)>,
}

impl Results {
    pub(super) fn new(contenders: Vec<Contender>, workloads: Vec<Workload>) -> Self {
        Results { contenders, workloads, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, contender: usize, rows: Vec<Value>) {
        self.rows.extend(rows.into_iter().map(|row| (contender, row)));
    }

    /// A figure of one contender in one workload, over its runs.
    pub(super) fn figure(&self, contender: usize, workload: Workload, name: &str) -> Option<Spread> {
        let own = self
            .rows
            .iter()
            .filter(|(index, row)| *index == contender && row["workload"].as_str() == Some(workload.name()));
        Spread::of(own.filter_map(|(_, row)| row[name].as_f64()).collect())
    }

    /// Records a second, in thousands: the figure that ratios are made of.
    pub(super) fn rate(&self, contender: usize, workload: Workload) -> Option<Spread> {
        self.figure(contender, workload, "krecords_per_second")
    }

    /// The contender that the others are measured by: terrace, and if there are several, the first.
    pub(super) fn home(&self) -> usize {
        self.contenders.iter().position(Contender::is_home).unwrap_or(0)
    }

    /// How many times the home contender's rate is that of another.
    pub(super) fn ratio(&self, home: usize, other: usize, workload: Workload) -> Option<f64> {
        let other = self.rate(other, workload)?.median;
        (other > 0.0).then_some(self.rate(home, workload)?.median / other)
    }

    /// The fastest log-structured engine that is not terrace.
    pub(super) fn fastest_lsm(&self, workload: Workload) -> Option<usize> {
        let peers = (0..self.contenders.len())
            .filter(|index| self.contenders[*index].is_lsm() && !self.contenders[*index].is_home());
        let rated = peers.filter_map(|index| Some((index, self.rate(index, workload)?.median)));
        rated.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::Parts;
    use serde_json::json;

    pub(in crate::versus) fn contender(engine: &'static str, table: &'static str) -> Contender {
        let parts = Parts {
            engine,
            version: "1",
            memtable: "-",
            picker: "-",
            log: "-",
            filter: "-",
            cache: "-",
            compression: "-",
            table,
            log_keeps: true,
        };
        Contender { name: engine.to_owned(), parts }
    }

    /// Three runs each of terrace, a slow and a fast log-structured peer, and a B-tree.
    pub(in crate::versus) fn sample() -> Results {
        let contenders = vec![
            contender("terrace", "t"),
            contender("slow", "t"),
            contender("quick", "t"),
            contender("tree", "-"),
        ];
        let mut results = Results::new(contenders, vec![Workload::ReadRandom, Workload::Seek]);
        for (index, rates) in
            [[300.0, 310.0, 200.0], [50.0, 60.0, 70.0], [100.0, 90.0, 110.0], [900.0; 3]].iter().enumerate()
        {
            for rate in rates {
                let row = json!({"workload": "read-random", "krecords_per_second": rate, "p50_us": 1.5, "p90_us": 2.0,
                    "p99_us": 3.0, "p999_us": 9.0, "max_us": 100.0, "write_amp": null, "disk_per_live_byte": 0.7, "peak_mib": 10});
                results.add(index, vec![row]);
            }
        }
        results
    }

    #[test]
    fn medians_are_those_of_the_runs() {
        let results = sample();
        let rate = results.rate(0, Workload::ReadRandom).expect("three runs");
        assert_eq!(rate, Spread { median: 300.0, low: 200.0, high: 310.0 });
        assert_eq!(results.rate(0, Workload::Seek), None);
        assert_eq!(results.figure(0, Workload::ReadRandom, "write_amp"), None);
        assert_eq!(Spread::of(vec![4.0, 1.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn ratios_are_to_the_fastest_log_structured_peer() {
        let results = sample();
        assert_eq!(results.fastest_lsm(Workload::ReadRandom), Some(2));
        assert_eq!(results.ratio(results.home(), 2, Workload::ReadRandom), Some(3.0));
        assert_eq!(results.fastest_lsm(Workload::Seek), None);
    }
}
