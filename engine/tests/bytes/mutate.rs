//! Random damage: what disks, half-written programs and hostile writers do to bytes.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Inputs do not grow beyond this.
const BYTES_MAX: usize = 64 << 10;

/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    (1 << 56) - 1,
    1 << 56,
    1 << 63,
    u64::MAX,
];

pub(crate) struct Mutator {
    random: StdRng,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Mutator { random: StdRng::seed_from_u64(seed) }
    }

    /// One of the seeds, changed in one to five ways.
    pub(crate) fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.random.random_range(1..=5) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound.max(1))
    }

    /// A stretch inside, mostly short.
    fn stretch(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        let most = if self.random.random_bool(0.7) { 16 } else { len };
        start..(start + self.below(most + 1)).min(len)
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let len = bytes.len();
        let at = self.below(len);
        match self.below(10) {
            0 | 1 if len > 0 => bytes[at] ^= 1 << self.below(8),
            2 if len > 0 => bytes[at] = self.random.next_u32() as u8,
            3 | 4 => self.edge(bytes, at),
            5 => bytes.truncate(at),
            6 => drop(bytes.drain(self.stretch(len))),
            7 => {
                let copied = bytes[self.stretch(len)].to_vec();
                bytes.splice(at..at, copied);
            }
            8 => {
                let other = &seeds[self.below(seeds.len())];
                let from = other[self.stretch(other.len())].to_vec();
                let over = at..(at + from.len() * self.below(2)).min(len);
                bytes.splice(over, from);
            }
            _ => {
                let copied = bytes[self.stretch(len)].to_vec();
                let over = at..(at + copied.len()).min(len);
                let copied = &copied[..over.len()];
                bytes[over].copy_from_slice(copied);
            }
        }
    }

    /// An edge over what is there, as a little- or big-endian number of some width, or as a varint put in.
    fn edge(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let edge = EDGES[self.below(EDGES.len())];
        let width = [1, 2, 4, 8][self.below(4)];
        let written = match self.below(3) {
            0 => edge.to_le_bytes()[..width].to_vec(),
            1 => edge.to_be_bytes()[8 - width..].to_vec(),
            _ => {
                let (mut varint, mut rest) = (Vec::new(), edge);
                while rest >= 0x80 {
                    varint.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                varint.push(rest as u8);
                let over = at..(at + self.below(3)).min(bytes.len());
                bytes.splice(over, varint);
                return;
            }
        };
        let over = at..(at + written.len()).min(bytes.len());
        bytes.splice(over, written);
    }
}
