//! A picture of a shape: a row for each run, the newest on top, and in it a box for each table over the key range that it covers.
//!
//! A key stands where its first eight bytes past what all keys begin with put it, so keys that are spread evenly are drawn evenly. Boxes too narrow
//! to be seen are drawn as one. The picture is plain SVG 1.1 without script or style sheet; keys are escaped, so it can not be made to
//! say something else by what is stored in the tree.

use core::fmt::Write as _;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::shape::{Bytes, Run, Shape, TableId, TableMeta};

/// What the colour of a table tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableColour {
    /// When it was written: the youngest light, the oldest dark.
    #[default]
    Age,
    /// How many of its versions are tombstones: none light, all dark.
    Tombstones,
}

/// A picture of a shape.
///
/// ```
/// use terrace_compaction::{Drawing, Shape, TableMeta};
///
/// let shape = Shape::from_levels(vec![vec![vec![TableMeta::sized(1, "<a>", "z", 64 << 20)]]]);
/// let svg = Drawing::new(&shape).to_svg();
/// assert!(svg.starts_with("<svg ") && svg.contains("&lt;a&gt;") && !svg.contains("<a>"));
/// ```
#[derive(Clone, Debug)]
pub struct Drawing<'a> {
    shape: &'a Shape,
    title: String,
    busy: BTreeSet<TableId>,
    colour: TableColour,
}

const LABEL_WIDTH: f64 = 190.0;
const KEYS_WIDTH: f64 = 760.0;
const MARGIN: f64 = 10.0;
const ROW_HEIGHT: f64 = 16.0;
const ROW_STEP: f64 = 20.0;
const LEVEL_GAP: f64 = 8.0;
/// Narrower boxes are drawn together with their neighbours.
const BOX_WIDTH_MIN: f64 = 1.5;
/// Bytes of a key that are shown.
const KEY_SHOWN_MAX: usize = 24;
/// Light and dark end of each scale, as red, green and blue.
const AGE_SCALE: [[f64; 3]; 2] = [[214.0, 229.0, 244.0], [37.0, 82.0, 138.0]];
const TOMBSTONE_SCALE: [[f64; 3]; 2] = [[226.0, 226.0, 226.0], [165.0, 32.0, 32.0]];

impl<'a> Drawing<'a> {
    /// A picture of `shape`, coloured by age.
    #[must_use]
    pub fn new(shape: &'a Shape) -> Self {
        Drawing { shape, title: String::new(), busy: BTreeSet::new(), colour: TableColour::default() }
    }

    /// With words above it.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// With these tables hatched: running tasks read them.
    #[must_use]
    pub fn busy(mut self, busy: &BTreeSet<TableId>) -> Self {
        self.busy = busy.clone();
        self
    }

    /// Coloured so.
    #[must_use]
    pub fn colour(mut self, colour: TableColour) -> Self {
        self.colour = colour;
        self
    }

    /// The picture as an SVG file.
    #[must_use]
    pub fn to_svg(&self) -> String {
        Drawing::page(std::slice::from_ref(self))
    }

    /// Several pictures in one SVG file, one below the other.
    #[must_use]
    pub fn page(drawings: &[Drawing<'_>]) -> String {
        let (mut body, mut y) = (String::new(), MARGIN);
        for drawing in drawings {
            y = drawing.draw(&mut body, y) + MARGIN;
        }
        let width = MARGIN + LABEL_WIDTH + KEYS_WIDTH + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" viewBox=\"0 0 {width} {y}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <defs><pattern id=\"busy\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <path d=\"M0,6 L6,0\" stroke=\"#d97706\" stroke-width=\"2\"/></pattern></defs>\n\
             <rect width=\"{width}\" height=\"{y}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }

    /// Draws from `y` down; where it ends.
    fn draw(&self, svg: &mut String, mut y: f64) -> f64 {
        let keys = Keys::of(self.shape);
        if !self.title.is_empty() {
            text(svg, MARGIN, y + 12.0, "font-weight=\"bold\"", &self.title);
            y += ROW_STEP;
        }
        if self.shape.is_empty() {
            text(svg, MARGIN, y + 12.0, "", "no tables");
            return y + ROW_STEP;
        }
        let scale = Scale::of(self.shape, self.colour);
        for (number, level) in
            self.shape.levels.iter().enumerate().filter(|(_, level)| !level.runs.is_empty())
        {
            let words = format!("level {number}: {}", Bytes(level.file_bytes()));
            text(svg, MARGIN, y + 12.0, "", &words);
            for run in &level.runs {
                let words = format!("run {}, {}", run.id, Bytes(run.file_bytes()));
                let at = MARGIN + LABEL_WIDTH - 6.0;
                let attributes = "text-anchor=\"end\" font-size=\"9\" fill=\"#555555\"";
                text(svg, at, y + 12.0, attributes, &words);
                self.draw_run(svg, y, run, &keys, &scale);
                y += ROW_STEP;
            }
            y += LEVEL_GAP;
        }
        let from = MARGIN + LABEL_WIDTH;
        text(svg, from, y + 8.0, "fill=\"#555555\"", &shown(&keys.smallest));
        let attributes = "text-anchor=\"end\" fill=\"#555555\"";
        text(svg, from + KEYS_WIDTH, y + 8.0, attributes, &shown(&keys.largest));
        let legend = match self.colour {
            TableColour::Age => "the darker the older; hatched: being compacted",
            TableColour::Tombstones => "the darker the more tombstones; hatched: being compacted",
        };
        text(svg, MARGIN, y + 22.0, "fill=\"#555555\"", legend);
        y + 28.0
    }

    fn draw_run(&self, svg: &mut String, y: f64, run: &Run, keys: &Keys, scale: &Scale) {
        let place = |table: &TableMeta| {
            let from = keys.place(&table.smallest_key) * KEYS_WIDTH;
            (from, (keys.place(&table.largest_key) * KEYS_WIDTH).max(from))
        };
        let mut at = 0;
        while at < run.tables.len() {
            let (from, mut to) = place(&run.tables[at]);
            let mut end = at + 1;
            while to - from < BOX_WIDTH_MIN
                && let Some(next) = run.tables.get(end).map(|table| place(table))
                && next.0 < from + BOX_WIDTH_MIN
            {
                (to, end) = (to.max(next.1), end + 1);
            }
            self.draw_box(svg, (from, to.max(from + BOX_WIDTH_MIN)), y, &run.tables[at..end], scale);
            at = end;
        }
    }

    fn draw_box(
        &self,
        svg: &mut String,
        (from, to): (f64, f64),
        y: f64,
        tables: &[Arc<TableMeta>],
        scale: &Scale,
    ) {
        let from = MARGIN + LABEL_WIDTH + from.min(KEYS_WIDTH - BOX_WIDTH_MIN);
        let width = (to - (from - MARGIN - LABEL_WIDTH)).max(BOX_WIDTH_MIN);
        let busy = tables.iter().any(|table| self.busy.contains(&table.id));
        let (first, last) = (&tables[0], &tables[tables.len() - 1]);
        let name = match tables.len() {
            1 => format!("table {}", first.id),
            count => format!("{count} tables, {} to {}", first.id, last.id),
        };
        let sum = |of: fn(&TableMeta) -> u64| tables.iter().fold(0_u64, |sum, t| sum.saturating_add(of(t)));
        let words = format!(
            "{name}: {} .. {}, {}, {} versions, {} of them tombstones{}",
            shown(&first.smallest_key),
            shown(&last.largest_key),
            Bytes(sum(|table| table.file_bytes)),
            sum(|table| table.entries),
            sum(|table| table.tombstones),
            if busy { ", being compacted" } else { "" },
        );
        let mut rect = |fill: &str| {
            let _ = write!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{ROW_HEIGHT}\" fill=\"{fill}\" \
                 stroke=\"#444444\" stroke-width=\"0.5\">"
            );
            let _ = writeln!(svg, "<title>{}</title></rect>", escaped(&words));
        };
        rect(&scale.colour(tables));
        if busy {
            rect("url(#busy)");
        }
    }
}

/// Where keys stand.
struct Keys {
    smallest: Vec<u8>,
    largest: Vec<u8>,
    shared_bytes: usize,
    from: u64,
    to: u64,
}

impl Keys {
    fn of(shape: &Shape) -> Self {
        let tables = || shape.tables().map(|(_, table)| table);
        let smallest = tables().map(|table| &table.smallest_key).min().cloned().unwrap_or_default();
        let largest = tables().map(|table| &table.largest_key).max().cloned().unwrap_or_default();
        let shared_bytes = smallest.iter().zip(&largest).take_while(|(a, b)| a == b).count();
        let mut keys = Keys { smallest, largest, shared_bytes, from: 0, to: 0 };
        (keys.from, keys.to) = (keys.number(&keys.smallest), keys.number(&keys.largest));
        keys
    }

    /// Eight bytes of a key past what all keys share.
    fn number(&self, key: &[u8]) -> u64 {
        let tail = key.get(self.shared_bytes..).unwrap_or(&[]);
        (0..8).fold(0, |number, index| number << 8 | u64::from(tail.get(index).copied().unwrap_or(0)))
    }

    /// Its place, from 0 to 1.
    fn place(&self, key: &[u8]) -> f64 {
        let offset = self.number(key).saturating_sub(self.from);
        (offset as f64 / self.to.saturating_sub(self.from).max(1) as f64).min(1.0)
    }
}

/// What a colour stands for.
struct Scale {
    colour: TableColour,
    oldest: u64,
    youngest: u64,
}

impl Scale {
    fn of(shape: &Shape, colour: TableColour) -> Self {
        let written = || shape.tables().map(|(_, table)| table.created_at_unix_seconds);
        let (oldest, youngest) = (written().min().unwrap_or(0), written().max().unwrap_or(0));
        Scale { colour, oldest, youngest }
    }

    fn colour(&self, tables: &[Arc<TableMeta>]) -> String {
        let mean = |of: fn(&TableMeta) -> u64| {
            tables.iter().map(|table| of(table) as f64).sum::<f64>() / tables.len() as f64
        };
        let (scale, part) = match self.colour {
            TableColour::Age => {
                let span = self.youngest.saturating_sub(self.oldest).max(1) as f64;
                let age = self.youngest as f64 - mean(|table| table.created_at_unix_seconds);
                (AGE_SCALE, age / span)
            }
            TableColour::Tombstones => {
                let entries = mean(|table| table.entries).max(1.0);
                (TOMBSTONE_SCALE, mean(|table| table.tombstones) / entries)
            }
        };
        let part = part.clamp(0.0, 1.0);
        let mix = |index: usize| scale[0][index] + (scale[1][index] - scale[0][index]) * part;
        format!("#{:02x}{:02x}{:02x}", mix(0) as u8, mix(1) as u8, mix(2) as u8)
    }
}

/// The head of a key, in printable characters.
fn shown(key: &[u8]) -> String {
    let head = key.get(..KEY_SHOWN_MAX).unwrap_or(key).escape_ascii();
    if key.len() > KEY_SHOWN_MAX { format!("{head}...") } else { head.to_string() }
}

fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            // XML allows no other control characters, not even escaped.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => text.push('?'),
            c => text.push(c),
        }
    }
    text
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, words: &str) {
    let space = if attributes.is_empty() { "" } else { " " };
    let words = escaped(words);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{attributes}>{words}</text>");
}
