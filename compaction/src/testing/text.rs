//! Trees as text, so that a test reads as a transcript: define a tree, pick, see the pick.
//!
//! ```text
//! L0: a-f#10 c-k#9=8M
//! L1: a-c d-h! [a-z*50]
//! ```
//!
//! A line for each level. A table is `least-greatest`, then in any order `#id`, `=bytes` (with K, M, G or T; 64M when not said), `*percent` of
//! tombstones, `@created` in Unix seconds and `!` for busy. In level 0 each table is a run of its own, the newest first; in deeper levels the
//! tables of a line are one run. Brackets make a run in any level. Keys are letters and digits.

use core::fmt::Write as _;
use std::collections::BTreeSet;

use crate::shape::{Bytes, Shape, TableId, TableMeta};
use crate::task::{Output, Plan};
use crate::{CompactionPicker, PickContext};

/// What a text defines.
#[derive(Clone, Debug, Default)]
pub struct Fixture {
    /// The tree.
    pub shape: Shape,
    /// Tables marked busy.
    pub busy: BTreeSet<TableId>,
}

/// Size of a table that says none.
const TABLE_BYTES: u64 = 64 << 20;

/// The tree of a text in the module's language, which [`fixture`] explains.
///
/// # Panics
///
/// When the text is not in the language, or the tree breaks an invariant.
#[must_use]
pub fn shape(text: &str) -> Shape {
    fixture(text).shape
}

/// The tree and the busy tables of a text:
///
/// ```
/// let fixture = terrace_compaction::testing::fixture(
///     "L0: a-f#10 c-k#9=8M
///      L1: a-c d-h!",
/// );
/// assert_eq!(fixture.shape.read_amplification_max(), 3);
/// assert_eq!(fixture.busy.len(), 1);
/// ```
///
/// A line for each level. A table is `least-greatest`, then in any order `#id`, `=bytes` (with K, M, G or T; 64M when not said), `*percent`
/// of tombstones, `@created` in Unix seconds and `!` for busy. In level 0 each table is a run, the newest first; in deeper levels the
/// tables of a line are one run. Brackets make a run in any level: `L1: [a-c d-f] [a-z]`.
///
/// # Panics
///
/// When the text is not in the language, or the tree breaks an invariant.
#[must_use]
pub fn fixture(text: &str) -> Fixture {
    let mut levels: Vec<Vec<Vec<TableMeta>>> = Vec::new();
    let mut busy_places = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, tables) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
        let level: usize =
            name.trim_start_matches('L').parse().unwrap_or_else(|_| panic!("no level in {name:?}"));
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        let (mut bracket, mut joins) = (false, false);
        for token in tables.replace('[', " [ ").replace(']', " ] ").split_whitespace() {
            match token {
                "[" => (bracket, joins) = (true, false),
                "]" => (bracket, joins) = (false, false),
                _ => {
                    let (table, busy) = parse_table(token);
                    if !joins {
                        levels[level].push(Vec::new());
                    }
                    joins = bracket || level > 0;
                    let run = levels[level].len() - 1;
                    if busy {
                        busy_places.push((level, run, levels[level][run].len()));
                    }
                    levels[level][run].push(table);
                }
            }
        }
    }
    let greatest = levels.iter().flatten().flatten().map(|table| table.id.0).max().unwrap_or(0);
    let nameless = levels.iter_mut().flatten().flatten().filter(|table| table.id.0 == 0);
    nameless.zip(greatest + 1..).for_each(|(table, id)| table.id = TableId(id));
    let busy = busy_places.into_iter().map(|(level, run, table)| levels[level][run][table].id).collect();
    let shape = Shape::from_levels(levels);
    shape.check_invariants().unwrap_or_else(|error| panic!("{error} in\n{text}"));
    Fixture { shape, busy }
}

fn parse_table(token: &str) -> (TableMeta, bool) {
    let keys_end = token.find(['#', '=', '*', '@', '!']).unwrap_or(token.len());
    let (smallest, largest) =
        token[..keys_end].split_once('-').unwrap_or_else(|| panic!("no key range in {token:?}"));
    let mut table = TableMeta::sized(0, smallest, largest, TABLE_BYTES);
    let (mut busy, mut tombstone_percent) = (false, 0);
    let mut rest = &token[keys_end..];
    while let Some(mark) = rest.chars().next() {
        let end = rest[1..].find(['#', '=', '*', '@', '!']).map_or(rest.len(), |end| end + 1);
        let value = &rest[1..end];
        let number =
            || value.parse::<u64>().unwrap_or_else(|_| panic!("no number after {mark:?} in {token:?}"));
        match mark {
            '#' => table.id = TableId(number()),
            '=' => {
                table =
                    TableMeta { id: table.id, ..TableMeta::sized(0, smallest, largest, parse_bytes(value)) }
            }
            '*' => tombstone_percent = number(),
            '@' => table.created_at_unix_seconds = number(),
            _ => busy = true,
        }
        rest = &rest[end..];
    }
    table.tombstones = table.entries * tombstone_percent / 100;
    (table, busy)
}

fn parse_bytes(value: &str) -> u64 {
    let shift = match value.chars().last() {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        _ => 0,
    };
    let digits = value.trim_end_matches(['K', 'M', 'G', 'T']);
    digits.parse::<u64>().unwrap_or_else(|_| panic!("no size in {value:?}")) << shift
}

/// A tree as text; [`fixture`] reads it again, but for the names of runs.
#[must_use]
pub fn render(shape: &Shape) -> String {
    let mut text = String::new();
    for (number, level) in shape.levels.iter().enumerate().filter(|(_, level)| !level.runs.is_empty()) {
        let runs = level.runs.iter().map(|run| {
            let tables: Vec<String> = run.tables.iter().map(|table| render_table(table)).collect();
            let bare = (number == 0 && tables.len() == 1) || (number > 0 && level.runs.len() == 1);
            if bare { tables.join(" ") } else { format!("[{}]", tables.join(" ")) }
        });
        let _ = writeln!(text, "L{number}: {}", runs.collect::<Vec<_>>().join(" "));
    }
    text
}

fn render_table(table: &TableMeta) -> String {
    let (from, to) = (table.smallest_key.escape_ascii(), table.largest_key.escape_ascii());
    let mut text = format!("{from}-{to}#{}", table.id);
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K"), (0, "")];
    let unit =
        units.iter().find(|(shift, _)| table.file_bytes > 0 && table.file_bytes.is_multiple_of(1 << shift));
    let (shift, unit) = unit.unwrap_or(&(0, ""));
    if table.file_bytes != TABLE_BYTES {
        let _ = write!(text, "={}{unit}", table.file_bytes >> shift);
    }
    if table.tombstones > 0 {
        let _ = write!(text, "*{}", (table.tombstones * 100).div_ceil(table.entries.max(1)));
    }
    text
}

/// What a picker answers to the tree of a text, as text for a snapshot test. Every task must pass the guard.
///
/// # Panics
///
/// As [`fixture`], and when the guard refuses a task.
#[must_use]
pub fn transcript(picker: &dyn CompactionPicker, text: &str, tasks_max: usize) -> String {
    let Fixture { shape, mut busy } = fixture(text);
    let plan = picker.pick(&shape, &PickContext { busy: busy.clone(), tasks_max, ..PickContext::default() });
    let mut answer = format!("{}\n{}", render(&shape), render_plan(&plan, &shape));
    if !busy.is_empty() {
        let names: Vec<String> = busy.iter().map(TableId::to_string).collect();
        answer = answer.replacen("\n\n", &format!("\nbusy: {}\n\n", names.join(" ")), 1);
    }
    for task in &plan.tasks {
        shape.check(task, &busy).unwrap_or_else(|error| panic!("{error}: {task:?}"));
        busy.extend(task.inputs.iter().copied());
    }
    answer
}

fn render_plan(plan: &Plan, shape: &Shape) -> String {
    let mut text = String::new();
    for task in &plan.tasks {
        let inputs: Vec<String> = task.inputs.iter().map(TableId::to_string).collect();
        let output = match task.output {
            Output::IntoRun { level, run } => format!("run {run} of L{level}"),
            Output::NewRun { level, .. } => format!("a new run of L{level}"),
        };
        let bytes = task
            .inputs
            .iter()
            .filter_map(|id| shape.table(*id))
            .fold(0_u64, |sum, t| sum.saturating_add(t.file_bytes));
        let kind = format!("{:?}", task.kind).to_lowercase();
        let _ = writeln!(text, "{kind} {} -> {output} ({}): {}", inputs.join(" "), Bytes(bytes), task.reason);
    }
    let _ = writeln!(text, "pressure {:.3}, debt {}", plan.pressure, Bytes(plan.debt_bytes));
    for weighed in &plan.weighed {
        let _ = writeln!(text, "- {weighed}");
    }
    for remark in &plan.remarks {
        let _ = writeln!(text, "({remark})");
    }
    text
}
