//! Randomness that is the same on every machine: a generator, a bijective shuffle, and YCSB's zipfian draw.
//!
//! Everything here is a pure function of its seed, so that a run can be repeated exactly from the seed in its report.
//!
//! Sources: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014). The shuffle is a Feistel network
//! with cycle walking (Black, Rogaway: Ciphers with arbitrary finite domains, CT-RSA 2002). The zipfian draw is that of YCSB (Cooper
//! et al., SoCC 2010), which took it from Gray et al., Quickly generating billion-record synthetic databases, SIGMOD 1994.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Stirs a word: a bijection in which each input bit moves about half of the output bits.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for each `(seed, stream)`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Rng(mix(seed ^ mix(stream.wrapping_add(GOLDEN))))
    }

    /// The next word.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in `0..bound` (bias below 2^-32 for the bounds used here); zero for a bound of zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A bijection of `0..len` onto itself that looks random: every number once, in an order that nothing has to store.
///
/// Drawing keys at random leaves about 37 % of them never drawn (1/e) and others drawn twice; a shuffle loads exactly the keys it
/// promises. O(1) each, some 10 to 30 ns.
#[derive(Clone, Debug)]
pub struct Shuffle {
    len: u64,
    half_bits: u32,
    round_keys: [u64; 4],
}

impl Shuffle {
    /// The shuffle of `0..len` that `seed` names.
    pub fn new(len: u64, seed: u64) -> Self {
        // The network works on an even number of bits; at most four times `len`, so walking takes under four rounds on average.
        let bits = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(2).next_multiple_of(2);
        let mut rng = Rng::new(seed, len);
        Shuffle { len, half_bits: bits / 2, round_keys: [(); 4].map(|()| rng.next_u64()) }
    }

    /// How many numbers it shuffles.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it shuffles none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `index` goes.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`Shuffle::len`].
    pub fn apply(&self, index: u64) -> u64 {
        assert!(index < self.len, "shuffle index {index} is outside 0..{}", self.len);
        let mut number = index;
        loop {
            number = self.network(number);
            if number < self.len {
                return number;
            }
        }
    }

    fn network(&self, number: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for key in self.round_keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half_bits) | right
    }
}

/// Zipfian numbers in `0..n`: zero the most frequent.
#[derive(Clone, Debug)]
pub struct Zipf {
    n: u64,
    theta: f64,
    alpha: f64,
    zeta_n: f64,
    eta: f64,
    /// Below this, a draw that is not zero is one.
    below_two: f64,
}

impl Zipf {
    /// YCSB's skew.
    pub const THETA: f64 = 0.99;

    /// Numbers in `0..n` with the skew `theta`, `0 < theta < 1`. Costs O(n) once.
    pub fn new(n: u64, theta: f64) -> Self {
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let zeta_n = zeta(n);
        let eta = (1.0 - (2.0 / n as f64).powf(1.0 - theta)) / (1.0 - zeta(2) / zeta_n);
        Zipf { n, theta, alpha: 1.0 / (1.0 - theta), zeta_n, eta, below_two: 1.0 + 0.5f64.powf(theta) }
    }

    /// Draws one.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        let unit = rng.unit();
        let scaled = unit * self.zeta_n;
        if scaled < 1.0 || self.n < 2 {
            return 0;
        }
        if scaled < self.below_two {
            return 1;
        }
        let drawn = self.n as f64 * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (drawn as u64).min(self.n - 1)
    }

    /// The share of draws that fall on `rank`, by the closed form.
    pub fn share(&self, rank: u64) -> f64 {
        ((rank + 1) as f64).powf(-self.theta) / self.zeta_n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffle_visits_every_number_once() {
        for len in [1u64, 2, 3, 4, 5, 7, 16, 17, 255, 1000, 4097] {
            for seed in 0..3 {
                let shuffle = Shuffle::new(len, seed);
                let mut seen = vec![false; len as usize];
                for index in 0..len {
                    let to = shuffle.apply(index) as usize;
                    assert!(!std::mem::replace(&mut seen[to], true), "{to} twice of {len}");
                }
            }
        }
    }

    #[test]
    fn shuffle_leaves_few_neighbours_together() {
        let shuffle = Shuffle::new(10_000, 1);
        let near = (1..10_000).filter(|&i| shuffle.apply(i).abs_diff(shuffle.apply(i - 1)) < 10).count();
        assert!(
            near < 60,
            "{near} of 10,000 neighbours stayed within ten of each other; chance gives some 19"
        );
    }

    #[test]
    fn another_seed_is_another_shuffle() {
        let (one, two) = (Shuffle::new(1000, 1), Shuffle::new(1000, 2));
        let same = (0..1000).filter(|&i| one.apply(i) == two.apply(i)).count();
        assert!(same < 20, "{same}");
    }

    #[test]
    fn zipf_shares_follow_the_closed_form() {
        let zipf = Zipf::new(1000, Zipf::THETA);
        let mut rng = Rng::new(7, 0);
        let draws = 400_000;
        let mut counts = [0u32; 1000];
        for _ in 0..draws {
            counts[zipf.draw(&mut rng) as usize] += 1;
        }
        // The draw is exact for the first two ranks and an approximation after them.
        for (rank, tolerance) in [(0, 0.03), (1, 0.04), (10, 0.25), (100, 0.25)] {
            let share = f64::from(counts[rank as usize]) / f64::from(draws);
            let theory = zipf.share(rank);
            assert!((share / theory - 1.0).abs() < tolerance, "rank {rank}: {share} against {theory}");
        }
    }

    #[test]
    fn below_is_uniform_and_bounded() {
        let mut rng = Rng::new(3, 4);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
    }

    #[test]
    fn streams_of_one_seed_differ() {
        assert_ne!(Rng::new(1, 0).next_u64(), Rng::new(1, 1).next_u64());
        assert_eq!(Rng::new(1, 1).next_u64(), Rng::new(1, 1).next_u64());
    }
}
