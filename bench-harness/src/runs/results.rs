//! The rows of all runs, and figures over them.

use super::{Contender, Stage};
use serde_json::Value;

/// A figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of these figures, from the lowest to the highest; nothing of none.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (low, high) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[half] } else { (figures[half - 1] + figures[half]) / 2.0 };
        Some(Spread { median, low, high })
    }

    /// Of these figures, from end to end of the 95 % confidence interval of what they scatter about.
    ///
    /// The interval is Student's t over the logarithms, that is, of the geometric mean: times and rates are above zero and differ by factors
    /// from run to run. It needs no table of many runs, as a bootstrap does, and with three runs an interval of the median by their order
    /// alone would cover 75 % at most. Of one figure, or where one is not above zero, there is no interval: low and high are the median.
    pub(crate) fn with_interval(figures: Vec<f64>) -> Option<Self> {
        let count = figures.len();
        let logarithms: Vec<f64> = figures.iter().map(|figure| figure.ln()).collect();
        let Spread { median, .. } = Spread::of(figures)?;
        if count < 2 || !logarithms.iter().all(|logarithm| logarithm.is_finite()) {
            return Some(Spread { median, low: median, high: median });
        }
        let n = count as f64;
        let mean = logarithms.iter().sum::<f64>() / n;
        let variance = logarithms.iter().map(|logarithm| (logarithm - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = student_t(count - 1) * (variance / n).sqrt();
        Some(Spread { median, low: (mean - half).exp(), high: (mean + half).exp() })
    }
}

/// The 97.5 % quantile of Student's t.
fn student_t(degrees: usize) -> f64 {
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
        2.045, 2.042,
    ];
    // Beyond the table to three digits: the first terms of its expansion about the normal distribution's quantile.
    T.get(degrees - 1).copied().unwrap_or(1.960 + 2.5 / degrees as f64)
}

/// All that was measured.
pub(crate) struct Results {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) stages: Vec<Stage>,
    /// With the contender's index.
    rows: Vec<(usize, Value)>,
}

impl Results {
    pub(crate) fn new(contenders: Vec<Contender>, stages: Vec<Stage>) -> Self {
        Results { contenders, stages, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, contender: usize, rows: Vec<Value>) {
        self.rows.extend(rows.into_iter().map(|row| (contender, row)));
    }

    /// A figure of one contender in one stage, over its runs.
    pub(crate) fn figure(&self, contender: usize, stage: &Stage, name: &str) -> Option<Spread> {
        Spread::of(self.figures(contender, stage, name))
    }

    /// The same with its confidence interval.
    pub(crate) fn interval(&self, contender: usize, stage: &Stage, name: &str) -> Option<Spread> {
        Spread::with_interval(self.figures(contender, stage, name))
    }

    fn figures(&self, contender: usize, stage: &Stage, name: &str) -> Vec<f64> {
        let own = self
            .rows
            .iter()
            .filter(|(index, row)| *index == contender && row["workload"].as_str() == Some(stage.name));
        own.filter_map(|(_, row)| row[name].as_f64()).collect()
    }

    /// Records a second, in thousands: the figure that ratios are made of.
    pub(crate) fn rate(&self, contender: usize, stage: &Stage) -> Option<Spread> {
        self.figure(contender, stage, "krecords_per_second")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_what_the_figures_scatter_about() {
        // Of three figures whose logarithms are -1, 0 and 1 the half width is 4.303 / sqrt(3).
        let e = 1f64.exp();
        let spread = Spread::with_interval(vec![e, 1.0, 1.0 / e]).expect("three figures");
        let half = 4.303 / 3f64.sqrt();
        assert!((spread.median - 1.0).abs() < 1e-9);
        assert!(
            (spread.low.ln() + half).abs() < 1e-9 && (spread.high.ln() - half).abs() < 1e-9,
            "{spread:?}"
        );
    }

    #[test]
    fn the_interval_covers_the_truth_in_95_of_100_experiments() {
        let mut rng = crate::random::Rng::new(7, 0);
        for runs in [2, 3, 5, 40] {
            let mut held = 0;
            for _ in 0..4000 {
                // About normal: twelve uniform draws, less their mean, have a variance of one.
                let mut normal = || (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0;
                let figures = (0..runs).map(|_| (5.0 + 0.1 * normal()).exp()).collect();
                let spread = Spread::with_interval(figures).expect("several figures");
                held += u32::from((spread.low..spread.high).contains(&5f64.exp()));
            }
            let share = f64::from(held) / 4000.0;
            assert!((0.94..0.96).contains(&share), "{runs} runs: {share}");
        }
    }

    #[test]
    fn without_scatter_or_with_zeros_there_is_no_interval() {
        for figures in [vec![4.0], vec![0.0, 4.0, 9.0], vec![4.0, 4.0, 4.0]] {
            let spread = Spread::with_interval(figures).expect("a figure");
            assert!((spread.low - 4.0).abs() < 1e-9 && (spread.high - 4.0).abs() < 1e-9, "{spread:?}");
        }
        assert_eq!(Spread::with_interval(Vec::new()), None);
    }
}
