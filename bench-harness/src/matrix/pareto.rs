//! The Pareto front: what is beaten by nothing else in everything at once.

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// How a point stands to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No other point is at least as good in every dimension and better in one.
    Front,
    /// The point of this index, which is on the front, is.
    Behind(usize),
    /// Nothing is known of it.
    Unknown,
}

/// How each point stands. A dimension counts when every point has a figure in it that has any figure at all: a store that is not asked for
/// a figure is neither better nor worse for it.
pub(crate) fn standings(points: &[Vec<Option<f64>>], better: &[Better]) -> Vec<Standing> {
    let known: Vec<usize> =
        (0..points.len()).filter(|index| points[*index].iter().any(Option::is_some)).collect();
    let counts: Vec<usize> = (0..better.len())
        .filter(|dimension| known.iter().all(|index| points[*index][*dimension].is_some()))
        .collect();
    // Larger is better in every dimension of these.
    let directed = |index: usize| -> Vec<f64> {
        let figure = |dimension: &usize| points[index][*dimension].unwrap_or(f64::NAN);
        let sign = |dimension: &usize| if better[*dimension] == Better::Higher { 1.0 } else { -1.0 };
        counts.iter().map(|dimension| sign(dimension) * figure(dimension)).collect()
    };
    let of: Vec<(usize, Vec<f64>)> = known.iter().map(|index| (*index, directed(*index))).collect();
    let front: Vec<&(usize, Vec<f64>)> =
        of.iter().filter(|(_, own)| !of.iter().any(|(_, other)| beats(other, own))).collect();
    let mut standings = vec![Standing::Unknown; points.len()];
    for (index, own) in of.iter().filter(|_| !counts.is_empty()) {
        // What beats it is on the front or beaten by something there, which then beats it too.
        let beater = front.iter().find(|(_, other)| beats(other, own));
        standings[*index] = beater.map_or(Standing::Front, |(other, _)| Standing::Behind(*other));
    }
    standings
}

/// At least as good in everything, and better in something.
fn beats(one: &[f64], other: &[f64]) -> bool {
    one.iter().zip(other).all(|(a, b)| a >= b) && one.iter().zip(other).any(|(a, b)| a > b)
}

#[cfg(test)]
mod tests {
    use super::Better::{Higher, Lower};
    use super::Standing::{Behind, Front, Unknown};
    use super::*;
    use crate::random::Rng;

    fn stand(points: &[&[f64]], better: &[Better]) -> Vec<Standing> {
        let points: Vec<Vec<Option<f64>>> =
            points.iter().map(|point| point.iter().map(|figure| Some(*figure)).collect()).collect();
        standings(&points, better)
    }

    #[test]
    fn what_is_beaten_in_everything_is_behind() {
        // Throughput and write amplification.
        let standings = stand(&[&[10.0, 3.0], &[20.0, 5.0], &[9.0, 4.0], &[20.0, 6.0]], &[Higher, Lower]);
        assert_eq!(standings, [Front, Front, Behind(0), Behind(1)]);
    }

    #[test]
    fn equal_points_do_not_beat_each_other() {
        assert_eq!(stand(&[&[1.0, 1.0], &[1.0, 1.0]], &[Lower, Lower]), [Front, Front]);
    }

    #[test]
    fn who_beats_is_on_the_front() {
        // The last beats the second, which beats the first.
        assert_eq!(stand(&[&[3.0], &[2.0], &[1.0]], &[Lower]), [Behind(2), Behind(2), Front]);
    }

    #[test]
    fn a_dimension_that_one_lacks_counts_for_none() {
        let points = [vec![Some(2.0), Some(1.0)], vec![Some(1.0), None], vec![None, None]];
        assert_eq!(standings(&points, &[Higher, Lower]), [Front, Behind(0), Unknown]);
        assert_eq!(standings(&[vec![None]], &[Lower]), [Unknown]);
        assert_eq!(standings(&[vec![Some(1.0), None], vec![None, Some(1.0)]], &[Lower, Lower]), [Unknown; 2]);
        assert_eq!(standings(&[], &[Lower]), []);
    }

    #[test]
    fn the_front_of_random_points_is_that_of_the_definition() {
        let mut rng = Rng::new(3, 0);
        let better = [Higher, Lower, Lower];
        for _ in 0..200 {
            let points: Vec<[f64; 3]> = (0..20).map(|_| [(); 3].map(|()| rng.below(5) as f64)).collect();
            let slices: Vec<&[f64]> = points.iter().map(|point| point.as_slice()).collect();
            let wins = |a: &[f64; 3], b: &[f64; 3]| a[0] >= b[0] && a[1] <= b[1] && a[2] <= b[2] && a != b;
            for (index, standing) in stand(&slices, &better).into_iter().enumerate() {
                match standing {
                    Front => assert!(!points.iter().any(|other| wins(other, &points[index]))),
                    Behind(other) => {
                        assert!(wins(&points[other], &points[index]));
                        assert!(!points.iter().any(|third| wins(third, &points[other])));
                    }
                    Unknown => panic!("all is known"),
                }
            }
        }
    }
}
