//! Which combinations of parts run.

use crate::store::Parts;
use std::collections::BTreeSet;

/// Which combinations of parts: for each slot the names asked for (none of them: all), or `None` where nothing was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    chosen: [Option<Vec<String>>; SLOTS.len()],
    /// Whether a slot that is not named takes all of its parts.
    pub(crate) all: bool,
}

/// A slot of the matrix.
pub(crate) struct Slot {
    pub(crate) option: &'static str,
    pub(crate) name: fn(&Parts) -> &'static str,
}

pub(crate) const SLOTS: [Slot; 7] = [
    Slot { option: "engine", name: |p| p.engine },
    Slot { option: "memtable", name: |p| p.memtable },
    Slot { option: "picker", name: |p| p.picker },
    Slot { option: "log", name: |p| p.log },
    Slot { option: "filter", name: |p| p.filter },
    Slot { option: "cache", name: |p| p.cache },
    Slot { option: "compression", name: |p| p.compression },
];

/// The engine's slot: what is not terrace runs only when it is named.
const ENGINE: usize = 0;

impl Selection {
    /// Asks for parts of a slot by name; `all` for all.
    pub(crate) fn ask(&mut self, option: &str, names: Vec<String>) {
        let slot = SLOTS.iter().position(|slot| slot.option == option).expect("a slot of that name");
        self.chosen[slot] = Some(if names == ["all"] { Vec::new() } else { names });
    }

    /// The indices of the combinations that are chosen out of all that there are. Where a slot is named, the others take the part that is
    /// listed first, or all of theirs with [`Selection::all`]. Where none is named, those of [`pairs`].
    ///
    /// # Errors
    ///
    /// A sentence naming what is there, when a name is not, or when no combination is left.
    pub(crate) fn choose(&self, all: &[Parts]) -> Result<Vec<usize>, String> {
        let mut left = self.named(all, (0..all.len()).collect())?;
        if self.chosen[ENGINE].is_none() {
            let first = left.first().map(|index| all[*index].engine);
            left.retain(|index| Some(all[*index].engine) == first);
        }
        let none_is_named = self.chosen.iter().skip(ENGINE + 1).all(Option::is_none);
        match (self.all, none_is_named) {
            (true, _) => Ok(left),
            (false, false) => Ok(self.stock(all, left)),
            (false, true) => {
                let rows: Vec<Vec<&str>> = left
                    .iter()
                    .map(|index| SLOTS.iter().map(|slot| (slot.name)(&all[*index])).collect())
                    .collect();
                Ok(pairs(&rows).into_iter().map(|row| left[row]).collect())
            }
        }
    }

    /// Of an engine's combinations those asked for; where nothing was asked, the part that is listed first.
    ///
    /// # Errors
    ///
    /// As [`Selection::choose`].
    pub(crate) fn choose_stock(&self, all: &[Parts], engine: &str) -> Result<Vec<usize>, String> {
        let own = (0..all.len()).filter(|index| all[*index].engine == engine).collect();
        let left = self.named(all, own)?;
        Ok(if self.all { left } else { self.stock(all, left) })
    }

    /// The compression that was asked for, or the stock one.
    pub(crate) fn compression(&self) -> &str {
        let slot = SLOTS.iter().position(|slot| slot.option == "compression").expect("a slot of that name");
        let asked = self.chosen[slot].as_ref().and_then(|names| names.first());
        asked.map_or("lz4", String::as_str)
    }

    /// Of those left the ones with the parts that are named.
    fn named(&self, all: &[Parts], mut left: Vec<usize>) -> Result<Vec<usize>, String> {
        for (slot, names) in SLOTS.iter().zip(&self.chosen) {
            let Some(names) = names.as_ref().filter(|names| !names.is_empty()) else { continue };
            let name = |index: &usize| (slot.name)(&all[*index]);
            if let Some(unknown) = names.iter().find(|n| !left.iter().any(|index| name(index) == n.as_str()))
            {
                let mut known: Vec<_> = left.iter().map(name).collect();
                known.sort_unstable();
                known.dedup();
                let (option, known) = (slot.option, known.join(", "));
                return Err(format!("no {option} is called `{unknown}`; there are: {known}"));
            }
            left.retain(|index| names.iter().any(|n| n == name(index)));
        }
        Ok(left)
    }

    /// Of those left the ones that have in each slot that is not named the part that is listed first.
    fn stock(&self, all: &[Parts], mut left: Vec<usize>) -> Vec<usize> {
        for (slot, names) in SLOTS.iter().zip(&self.chosen) {
            if names.is_none() {
                let name = |index: &usize| (slot.name)(&all[*index]);
                let first = left.first().map(name);
                left.retain(|index| Some(name(index)) == first);
            }
        }
        left
    }
}

/// Of the rows so few, the first among them, that whenever two values stand together in some row they do so in a chosen one.
///
/// Most faults of combinations show where two parts meet (Kuhn, Wallace, Gallo: Software fault interactions and implications for software
/// testing, TSE 2004), and n slots of k parts need some k^2 log n rows for that where all of them are k^n. Greedy: the next row is the one
/// with the most pairs that are new.
fn pairs(rows: &[Vec<&str>]) -> Vec<usize> {
    let of = |row: &Vec<&str>| {
        let columns = 0..row.len();
        let two = columns.flat_map(|a| (a + 1..row.len()).map(move |b| (a, b)));
        two.map(|(a, b)| (a, row[a].to_owned(), b, row[b].to_owned())).collect::<BTreeSet<_>>()
    };
    let sets: Vec<_> = rows.iter().map(of).collect();
    let mut missing: BTreeSet<_> = sets.iter().flatten().cloned().collect();
    let mut chosen = Vec::new();
    // A single column has no pairs, and still its first row is there.
    let mut next = (!rows.is_empty()).then_some(0);
    while let Some(row) = next {
        chosen.push(row);
        missing.retain(|pair| !sets[row].contains(pair));
        let gain = |row: &usize| sets[*row].intersection(&missing).count();
        // Of equals the first.
        next = (0..rows.len()).rev().max_by_key(gain).filter(|row| gain(row) > 0);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::tests::{parse, parts};
    use crate::store;

    #[test]
    fn named_slots_take_what_is_named_and_others_the_first() {
        let all = [parts("a", "p", "x"), parts("a", "p", "y"), parts("b", "p", "x"), parts("b", "q", "x")];
        let choose = |arguments: &[&str]| parse(arguments).expect("valid options").selection.choose(&all);
        assert_eq!(choose(&["--memtable", "b", "--picker", "q,p"]), Ok(vec![2, 3]));
        assert_eq!(choose(&["--compression", "x,y"]), Ok(vec![0, 1]));
        assert_eq!(choose(&["--memtable", "all"]), Ok(vec![0, 2]));
        assert_eq!(choose(&["--all"]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(choose(&["--all", "--compression", "x"]), Ok(vec![0, 2, 3]));
        assert_eq!(
            choose(&["--memtable", "c"]),
            Err("no memtable is called `c`; there are: a, b".to_owned())
        );
    }

    #[test]
    fn terrace_is_compared_with_its_stock_parts_unless_others_are_asked_for() {
        let all = [parts("a", "p", "x"), parts("a", "p", "y"), parts("b", "p", "x"), parts("b", "q", "x")];
        let choose =
            |arguments: &[&str]| parse(arguments).expect("valid options").selection.choose_stock(&all, "e");
        assert_eq!(choose(&[]), Ok(vec![0]));
        assert_eq!(choose(&["--memtable", "all"]), Ok(vec![0, 2]));
        assert_eq!(choose(&["--compression", "y"]), Ok(vec![1]));
    }

    #[test]
    fn without_a_name_each_two_parts_meet_in_few_combinations() {
        let all: Vec<Parts> = store::factories().iter().map(|factory| factory.parts()).collect();
        let chosen = parse(&[]).expect("valid options").selection.choose(&all).expect("there are parts");
        assert_eq!(chosen[0], 0, "the stock parts are there");
        let rows: Vec<&Parts> = chosen.iter().map(|index| &all[*index]).collect();
        for (number, one) in SLOTS.iter().enumerate() {
            for other in &SLOTS[number + 1..] {
                for parts in all.iter().filter(|parts| parts.engine == "terrace") {
                    let meet = |row: &&&Parts| {
                        (one.name)(row) == (one.name)(parts) && (other.name)(row) == (other.name)(parts)
                    };
                    assert!(
                        rows.iter().any(|row| meet(&row)),
                        "{} and {} of {parts:?}",
                        one.option,
                        other.option
                    );
                }
            }
        }
        assert!(rows.len() < 40 && rows.len() < all.len() / 8, "{} of {}", rows.len(), all.len());
        assert!(rows.iter().all(|parts| parts.engine == "terrace"));
    }

    #[test]
    fn of_nothing_nothing_is_chosen() {
        assert!(pairs(&[]).is_empty());
        assert_eq!(pairs(&[vec!["a"], vec!["b"]]), [0]);
    }
}
