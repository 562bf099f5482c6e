//! How many times as fast one contender is as another.

use super::HOME;
use crate::runs::Contender;
use crate::runs::Stage;
use crate::runs::results::Results;

impl Contender {
    pub(super) fn is_home(&self) -> bool {
        self.parts.engine == HOME
    }

    /// A column's heading: the engine, or the memtable of a further combination of terrace's parts.
    pub(super) fn heading(&self) -> &'static str {
        if self.is_home() { self.parts.memtable } else { self.parts.engine }
    }

    /// Whether it is a log-structured merge tree: what such a tree has and no other store does are tables.
    fn is_lsm(&self) -> bool {
        self.parts.table != "-"
    }
}

impl Results {
    /// The contender that the others are measured by: terrace, and if there are several, the first.
    pub(super) fn home(&self) -> usize {
        self.contenders.iter().position(Contender::is_home).unwrap_or(0)
    }

    /// How many times the home contender's rate is that of another.
    pub(super) fn ratio(&self, home: usize, other: usize, stage: &Stage) -> Option<f64> {
        let other = self.rate(other, stage)?.median;
        (other > 0.0).then_some(self.rate(home, stage)?.median / other)
    }

    /// The fastest log-structured engine that is not terrace.
    pub(super) fn fastest_lsm(&self, stage: &Stage) -> Option<usize> {
        let peers = (0..self.contenders.len())
            .filter(|index| self.contenders[*index].is_lsm() && !self.contenders[*index].is_home());
        let rated = peers.filter_map(|index| Some((index, self.rate(index, stage)?.median)));
        rated.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::runs::results::Spread;
    use crate::store::Parts;
    use crate::workload::Workload;
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
        let stages = vec![Workload::ReadRandom.into(), Workload::Seek.into()];
        let mut results = Results::new(contenders, stages);
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
        let [read, seek] = [Workload::ReadRandom, Workload::Seek].map(Stage::from);
        let rate = results.rate(0, &read).expect("three runs");
        assert_eq!(rate, Spread { median: 300.0, low: 200.0, high: 310.0 });
        assert_eq!(results.rate(0, &seek), None);
        assert_eq!(results.figure(0, &read, "write_amp"), None);
        assert_eq!(Spread::of(vec![4.0, 1.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn ratios_are_to_the_fastest_log_structured_peer() {
        let results = sample();
        let [read, seek] = [Workload::ReadRandom, Workload::Seek].map(Stage::from);
        assert_eq!(results.fastest_lsm(&read), Some(2));
        assert_eq!(results.ratio(results.home(), 2, &read), Some(3.0));
        assert_eq!(results.fastest_lsm(&seek), None);
    }
}
