//! Cuts a failing history down: delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).

use super::operation::Operation;

/// Runs at most: a history of some hundred operations is down to a handful long before.
const RUNS_MAX: usize = 600;

/// The operations that are left when none of the chunks tried can be taken out without `fails` becoming false. `fails` is called some
/// hundred times.
#[must_use]
pub fn minimise(operations: &[Operation], mut fails: impl FnMut(&[Operation]) -> bool) -> Vec<Operation> {
    let mut left = operations.to_vec();
    let mut runs = 0;
    let mut chunk = left.len().div_ceil(2);
    while chunk > 0 && runs < RUNS_MAX {
        let mut at = 0;
        let mut cut = false;
        while at < left.len() && runs < RUNS_MAX {
            let end = (at + chunk).min(left.len());
            let fewer: Vec<_> = left[..at].iter().chain(&left[end..]).cloned().collect();
            runs += 1;
            if fails(&fewer) {
                left = fewer;
                cut = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !cut {
            break;
        }
        chunk = if chunk == 1 { 1 } else { chunk.div_ceil(2) };
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_what_is_left() {
        let mut operations = vec![Operation::Scan; 300];
        operations[17] = Operation::Flush;
        operations[211] = Operation::Compact;
        let found = minimise(&operations, |some| {
            let at = |wanted: &Operation| some.iter().position(|operation| operation == wanted);
            at(&Operation::Flush).zip(at(&Operation::Compact)).is_some_and(|(flush, compact)| flush < compact)
        });
        assert_eq!(found, [Operation::Flush, Operation::Compact]);
    }
}
