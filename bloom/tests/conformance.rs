//! The conformance suite on this crate's filters, and their false positive rates against theory.

use terrace_bloom::testing::{blocked_rate, check_filter, measure_false_positive_rate, standard_rate};
use terrace_bloom::{BlockedBloom, Filter, StandardBloom};

const MILLION: usize = 1_000_000;

#[test]
fn standard_keeps_the_laws() {
    check_filter::<StandardBloom>(11);
}

#[test]
fn blocked_keeps_the_laws() {
    check_filter::<BlockedBloom>(11);
}

fn assert_near_theory<F: Filter>(bits_per_key: f64, theory: f64) {
    let measured = measure_false_positive_rate::<F>(MILLION, bits_per_key, MILLION, 5);
    let ratio = measured / theory;
    assert!(
        (0.9..1.1).contains(&ratio),
        "{} at {bits_per_key}: measured {measured}, theory {theory}",
        F::NAME
    );
}

#[test]
fn standard_rate_is_within_a_tenth_of_theory_over_a_million_keys() {
    assert_near_theory::<StandardBloom>(10.0, standard_rate(10.0, 7));
}

#[test]
fn blocked_rate_is_within_a_tenth_of_theory_over_a_million_keys() {
    assert_near_theory::<BlockedBloom>(10.0, blocked_rate(10.0, 512, 6));
}

/// Fifteen bits take eight probes, one more than a remixed word feeds.
#[test]
fn blocked_rate_is_within_a_tenth_of_theory_with_two_words_of_probes() {
    assert_near_theory::<BlockedBloom>(15.0, blocked_rate(15.0, 512, 8));
}

#[test]
fn theory_gives_the_published_rates() {
    assert!((standard_rate(10.0, 7) - 0.00819).abs() < 0.00001);
    // One line of all bits is a standard filter, but for the spread of its load.
    let huge_line = blocked_rate(10.0, 1 << 20, 7);
    assert!((huge_line / standard_rate(10.0, 7) - 1.0).abs() < 0.001, "{huge_line}");
    assert!((blocked_rate(10.0, 512, 6) - 0.009576).abs() < 0.000001);
}
