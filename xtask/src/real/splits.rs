//! Which rows train, exactly as in the reference: `numpy.random.default_rng(0).random(rows) < fraction`.

/// How rows are split in two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    /// Each row trains with this probability.
    Random(f64),
    /// This fraction, the first rows, trains.
    InOrder(f64),
}

impl Split {
    /// For each row, whether it trains.
    pub(crate) fn trains(self, rows: usize) -> Vec<bool> {
        match self {
            Self::Random(fraction) => {
                let mut generator = NumpyDefault::seed_0();
                (0..rows).map(|_row| generator.uniform() < fraction).collect()
            }
            Self::InOrder(fraction) => {
                let first = (rows as f64 * fraction) as usize;
                (0..rows).map(|row| row < first).collect()
            }
        }
    }
}

/// NumPy's default generator: PCG64 (O'Neill 2014, PCG XSL RR 128/64).
struct NumpyDefault {
    state: u128,
    increment: u128,
}

impl NumpyDefault {
    /// The state of `numpy.random.PCG64(0)`, as its attribute `state` shows it.
    fn seed_0() -> Self {
        Self {
            state: 35_399_562_948_360_463_058_890_781_895_381_311_971,
            increment: 87_136_372_517_582_989_555_478_159_403_783_844_777,
        }
    }

    /// The next number of `Generator.random`: uniform over [0, 1), 53 bits.
    fn uniform(&mut self) -> f64 {
        const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        let bits = folded.rotate_right((self.state >> 122) as u32);
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.default_rng(0).random(4).tolist()`, NumPy 2.4.
    #[test]
    fn numbers_are_those_of_numpy() {
        let mut generator = NumpyDefault::seed_0();
        let numbers = [(); 4].map(|()| generator.uniform());
        assert_eq!(
            numbers,
            [0.636_961_687_321_454_3, 0.269_786_713_763_870_3, 0.040_973_523_936_194_69, 0.016_527_635_528_529_094]
        );
    }

    #[test]
    fn splits_have_the_sizes_of_the_reference() {
        let rows = [
            (Split::Random(0.7), 41_188, 28_795),
            (Split::InOrder(0.7), 41_188, 28_831),
            (Split::Random(0.8), 100_836, 80_841),
        ];
        for (split, count, expected) in rows {
            let trains = split.trains(count);
            assert_eq!((trains.len(), trains.iter().filter(|trains| **trains).count()), (count, expected), "{split:?}");
        }
        assert_eq!(Split::InOrder(0.5).trains(5), [true, true, false, false, false]);
    }
}
