//! The inner operation of products, by form: a left entity's choice of a tree added for 128 right entities.

use super::cross::{CHOICES, Choice, Set, UNIT_ROWS};

/// Sums of a left entity with a unit of right ones. Aligned, so that no vector store crosses cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct UnitSums(pub(super) [f64; UNIT_ROWS]);

/// Sums of a left entity with 128 right ones: those that a form keeps in registers. Others stay in memory.
pub(super) trait Sums {
    /// Takes them from memory.
    fn load(memory: &UnitSums) -> Self;

    /// Puts them back.
    fn store(self, memory: &mut UnitSums);

    /// Brings sets nearer that will be needed soon.
    #[inline(always)]
    fn prefetch(_: &[Set]) {}

    /// Adds a tree: to each sum the value of the one leaf whose set has the right entity.
    ///
    /// # Safety
    /// `count` is 1, 4, 8, 16 or a higher multiple of 8; the first `count / 8` of `choices`, and at least one, exist; and
    /// the sets that their first `count` leaves name are in `sets`.
    unsafe fn add(&mut self, memory: &mut UnitSums, count: usize, choices: &[Choice], sets: &[Set]);
}

/// The four bits of every entity: the number of a leaf times `0x1111_1111_1111_1111`.
const EACH: u64 = 0x1111_1111_1111_1111;

/// Nothing but plain Rust.
pub(super) struct Plain;

impl Sums for Plain {
    #[inline(always)]
    fn load(_: &UnitSums) -> Self {
        Self
    }

    #[inline(always)]
    fn store(self, _: &mut UnitSums) {}

    /// # Safety
    /// None is needed: everything is checked.
    #[inline(always)]
    unsafe fn add(&mut self, memory: &mut UnitSums, count: usize, choices: &[Choice], sets: &[Set]) {
        if count == 1 {
            add_one(memory, &choices[0]);
            return;
        }
        for pair in choices[..count.div_ceil(CHOICES)].chunks(2) {
            let mut values = [0.0; 2 * CHOICES];
            let (mut number, mut member) = ([0; 8], [0; 8]);
            for (half, choice) in pair.iter().enumerate() {
                values[half * CHOICES..][..CHOICES].copy_from_slice(&choice.values);
                for (place, &set) in choice.sets.iter().take(count).enumerate() {
                    let set = &sets[usize::from(set) / 8].0;
                    for word in 0..8 {
                        number[word] |= set[word] & (EACH * (half * CHOICES + place) as u64);
                        member[word] |= set[word];
                    }
                }
            }
            if count <= 2 * CHOICES {
                add_values::<false>(memory, &values, number, member);
            } else {
                add_values::<true>(memory, &values, number, member);
            }
        }
    }
}

/// The same value for all.
#[inline(always)]
fn add_one(memory: &mut UnitSums, choice: &Choice) {
    memory.0.iter_mut().for_each(|sum| *sum += choice.values[0]);
}

#[inline(always)]
fn add_values<const MASKED: bool>(
    memory: &mut UnitSums,
    values: &[f64; 2 * CHOICES],
    number: [u64; 8],
    member: [u64; 8],
) {
    for (index, sums) in memory.0.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let shift = index % 8 * 8 + index / 8 * 4;
        for (lane, sum) in sums.iter_mut().enumerate() {
            let added = *sum + values[(number[lane] >> shift) as usize % (2 * CHOICES)];
            *sum = if !MASKED || member[lane] >> shift & 1 == 1 { added } else { *sum };
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use vectors::{InMemory, InRegisters};

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::*;

    use super::super::cross::{CHOICES, Choice, Set};
    use super::{EACH, Sums, UnitSums, add_one};

    /// With 256-bit vectors. Its functions are only inlined into functions compiled for AVX2, which
    /// `Tile::score` calls after asking the machine for it.
    pub(in super::super) struct InMemory;

    /// With AVX-512. Its functions are only inlined into functions compiled for `f`, `dq` and `ifma`, which
    /// `Tile::score` calls after asking the machine for them.
    pub(in super::super) struct InRegisters([__m512d; 16]);

    impl Sums for InMemory {
        #[inline(always)]
        fn load(_: &UnitSums) -> Self {
            Self
        }

        #[inline(always)]
        fn store(self, _: &mut UnitSums) {}

        #[inline(always)]
        fn prefetch(sets: &[Set]) {
            prefetch(sets);
        }

        /// # Safety
        /// As of [`Sums::add`].
        #[inline(always)]
        unsafe fn add(&mut self, memory: &mut UnitSums, count: usize, choices: &[Choice], sets: &[Set]) {
            // SAFETY: the machine has the instructions (see `InMemory`). The caller promises one choice for each eight leaves,
            // and no index is beyond these; and that the sets they name are in `sets`, as `add_choices` wants.
            unsafe {
                let choice = |index: usize| choices.get_unchecked(index);
                match count {
                    1 => add_one(memory, choice(0)),
                    4 => add_choices::<4, 1, false>(memory, [choice(0)], sets),
                    8 => add_choices::<8, 1, false>(memory, [choice(0)], sets),
                    16 => add_choices::<8, 2, false>(memory, [choice(0), choice(1)], sets),
                    24 => add_choices::<8, 3, false>(memory, [choice(0), choice(1), choice(2)], sets),
                    32 => add_choices::<8, 4, false>(memory, [choice(0), choice(1), choice(2), choice(3)], sets),
                    _ => {
                        for index in 0..count / CHOICES {
                            add_choices::<8, 1, true>(memory, [choice(index)], sets);
                        }
                    }
                }
            }
        }
    }

    /// Adds values of the first `COUNT` leaves of `N` choices; if masked, only to entities in the set of one of them.
    ///
    /// Numbers are of a leaf within its choice, and doubled: a value's halves are looked up by number and number + 1.
    ///
    /// # Safety
    /// The machine has AVX2, and the sets that the first `COUNT` leaves of each choice name are in `sets`.
    #[inline(always)]
    unsafe fn add_choices<const COUNT: usize, const N: usize, const MASKED: bool>(
        memory: &mut UnitSums,
        choices: [&Choice; N],
        sets: &[Set],
    ) {
        // SAFETY: the caller promises the instructions and the sets. A set is eight words aligned to 64 bytes, so its halves,
        // four words from 0 or 4 on, are aligned vectors. `first` is 0, 4, 32 or 36, as `add_part` wants.
        unsafe {
            for half in 0..2 {
                let mut numbers = _mm256_setzero_si256();
                let mut members = [_mm256_setzero_si256(); N];
                for (index, choice) in choices.iter().enumerate() {
                    for (place, &set) in choice.sets.iter().take(COUNT).enumerate() {
                        let set = _mm256_load_si256(words(sets, set).add(4 * half).cast());
                        let bits = _mm256_set1_epi64x((EACH * 2 * place as u64) as i64);
                        numbers = _mm256_or_si256(numbers, _mm256_and_si256(set, bits));
                        members[index] = _mm256_or_si256(members[index], set);
                    }
                }
                add_part::<0xa0, COUNT, N, MASKED>(memory, choices, numbers, members, 4 * half);
                add_part::<0xf5, COUNT, N, MASKED>(memory, choices, numbers, members, 4 * half + 32);
            }
        }
    }

    /// Adds to eight times four sums from `first` on, whose nibbles are in those 32-bit lanes that `LANES` doubles.
    ///
    /// # Safety
    /// The machine has AVX2, and `first` is a multiple of 4 of at most 36.
    #[inline(always)]
    unsafe fn add_part<const LANES: i32, const COUNT: usize, const N: usize, const MASKED: bool>(
        memory: &mut UnitSums,
        choices: [&Choice; N],
        numbers: __m256i,
        members: [__m256i; N],
        first: usize,
    ) {
        // SAFETY: the caller promises the instructions. `nibble` is at most 7, so `at` is at most 36 + 24 + 64 = 124 sums
        // from the start of 128 that are aligned to 64 bytes; as a multiple of 4 it is an aligned vector of four. A choice's
        // eight values are two vectors of eight halves.
        unsafe {
            let odd = _mm256_set1_epi64x((EACH << 32) as i64);
            let numbers = _mm256_or_si256(_mm256_shuffle_epi32::<LANES>(numbers), odd);
            for nibble in 0..8 {
                let number = _mm256_srlv_epi32(numbers, _mm256_set1_epi32(4 * nibble));
                let to_sign = _mm256_set1_epi32(28 - 4 * nibble);
                let is_high = _mm256_castsi256_ps(_mm256_sllv_epi32(numbers, to_sign));
                let mut value = _mm256_setzero_ps();
                let mut is_member = _mm256_setzero_ps();
                for (index, choice) in choices.iter().enumerate() {
                    let mut own = _mm256_permutevar8x32_ps(_mm256_loadu_ps(choice.values.as_ptr().cast()), number);
                    if COUNT > 4 {
                        let high = _mm256_loadu_ps(choice.values.as_ptr().add(4).cast());
                        own = _mm256_blendv_ps(own, _mm256_permutevar8x32_ps(high, number), is_high);
                    }
                    if N > 1 || MASKED {
                        let member = _mm256_shuffle_epi32::<LANES>(members[index]);
                        is_member = _mm256_castsi256_ps(_mm256_sllv_epi32(member, to_sign));
                    }
                    value = if index == 0 { own } else { _mm256_blendv_ps(value, own, is_member) };
                }
                let at = memory.0.as_mut_ptr().add(first + nibble as usize / 2 * 8 + nibble as usize % 2 * 64);
                let sum = _mm256_load_pd(at);
                let mut added = _mm256_add_pd(sum, _mm256_castps_pd(value));
                if MASKED {
                    added = _mm256_blendv_pd(sum, added, _mm256_castps_pd(is_member));
                }
                _mm256_store_pd(at, added);
            }
        }
    }

    /// Returns where a set's eight words begin; it is aligned to 64 bytes.
    ///
    /// # Safety
    /// `first` is the first word of one of `sets`: a multiple of 8 below `8 * sets.len()`.
    #[inline(always)]
    unsafe fn words(sets: &[Set], first: u16) -> *const u64 {
        // SAFETY: a `Set` is eight words, and the caller promises that the word is one of theirs.
        unsafe { sets.as_ptr().cast::<u64>().add(usize::from(first)) }
    }

    #[inline(always)]
    fn prefetch(sets: &[Set]) {
        for set in sets {
            // SAFETY: the address is that of a reference, prefetching never faults, and every x86-64 processor can do it.
            unsafe { _mm_prefetch::<_MM_HINT_T1>((&raw const *set).cast()) };
        }
    }

    impl Sums for InRegisters {
        #[inline(always)]
        fn load(memory: &UnitSums) -> Self {
            // SAFETY: the machine has the instructions (see `InRegisters`). `nibble` is at most 15, so the eight sums end at most
            // 56 + 64 + 8 = 128 from the start; each eight are aligned, as `UnitSums` is.
            unsafe {
                let mut sums = [_mm512_setzero_pd(); 16];
                for (nibble, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_load_pd(memory.0.as_ptr().add(nibble / 2 * 8 + nibble % 2 * 64));
                }
                Self(sums)
            }
        }

        #[inline(always)]
        fn store(self, memory: &mut UnitSums) {
            // SAFETY: as in `load`, whose places these are.
            unsafe {
                for (nibble, &sum) in self.0.iter().enumerate() {
                    _mm512_store_pd(memory.0.as_mut_ptr().add(nibble / 2 * 8 + nibble % 2 * 64), sum);
                }
            }
        }

        #[inline(always)]
        fn prefetch(sets: &[Set]) {
            prefetch(sets);
        }

        /// # Safety
        /// As of [`Sums::add`].
        #[inline(always)]
        unsafe fn add(&mut self, _: &mut UnitSums, count: usize, choices: &[Choice], sets: &[Set]) {
            // SAFETY: the caller promises one choice for each eight leaves, and no index is beyond these; and that the sets they
            // name are in `sets`, as the functions called want.
            unsafe {
                let choice = |index: usize| choices.get_unchecked(index);
                // Comparisons, not a jump by table, which is harder to foresee.
                if count <= 1 {
                    self.add_one(choice(0));
                } else if count <= 4 {
                    self.add_eight::<4>(choice(0), sets);
                } else if count <= 8 {
                    self.add_eight::<8>(choice(0), sets);
                } else if count <= 16 {
                    self.add_sixteen(choice(0), choice(1), sets);
                } else {
                    self.add_masked(choice(0), Some(choice(1)), sets);
                    for index in (2..count / CHOICES).step_by(2) {
                        let second = (index + 1 < count / CHOICES).then(|| choice(index + 1));
                        self.add_masked(choice(index), second, sets);
                    }
                }
            }
        }
    }

    impl InRegisters {
        #[inline(always)]
        fn add_one(&mut self, choice: &Choice) {
            // SAFETY: the machine has the instructions (see `InRegisters`); nothing is read by address.
            unsafe {
                let value = _mm512_set1_pd(choice.values[0]);
                for sum in &mut self.0 {
                    *sum = _mm512_add_pd(*sum, value);
                }
            }
        }

        /// Adds one choice of `COUNT` leaves.
        ///
        /// # Safety
        /// The sets that the choice's first `COUNT` leaves name are in `sets`.
        #[inline(always)]
        unsafe fn add_eight<const COUNT: usize>(&mut self, choice: &Choice, sets: &[Set]) {
            // SAFETY: the machine has the instructions (see `InRegisters`); `values` are eight numbers, one vector. The caller
            // promises that the choices' sets are in `sets`.
            unsafe {
                let values = _mm512_loadu_pd(choice.values.as_ptr());
                let numbers = number(choice, 0, COUNT, sets, _mm512_setzero_si512());
                for (quarter, sums) in self.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    for (sum, number) in sums.iter_mut().zip(nibbles(numbers, quarter)) {
                        *sum = _mm512_add_pd(*sum, _mm512_permutexvar_pd(number, values));
                    }
                }
            }
        }

        /// Adds two choices of eight leaves each.
        ///
        /// # Safety
        /// The sets that the choices name are in `sets`.
        #[inline(always)]
        unsafe fn add_sixteen(&mut self, first: &Choice, second: &Choice, sets: &[Set]) {
            // SAFETY: the machine has the instructions (see `InRegisters`); `values` are eight numbers, one vector. The caller
            // promises that the choices' sets are in `sets`.
            unsafe {
                let low = _mm512_loadu_pd(first.values.as_ptr());
                let high = _mm512_loadu_pd(second.values.as_ptr());
                let mut numbers = number(first, 0, CHOICES, sets, _mm512_setzero_si512());
                numbers = number(second, CHOICES, CHOICES, sets, numbers);
                for (quarter, sums) in self.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    for (sum, number) in sums.iter_mut().zip(nibbles(numbers, quarter)) {
                        *sum = _mm512_add_pd(*sum, _mm512_permutex2var_pd(low, number, high));
                    }
                }
            }
        }

        /// Adds one or two choices, to the sums of entities in their sets alone.
        ///
        /// # Safety
        /// The sets that the choices name are in `sets`.
        #[inline(always)]
        unsafe fn add_masked(&mut self, first: &Choice, second: Option<&Choice>, sets: &[Set]) {
            // SAFETY: the machine has the instructions (see `InRegisters`); `values` are eight numbers, one vector. The caller
            // promises that the choices' sets are in `sets`.
            unsafe {
                let low = _mm512_loadu_pd(first.values.as_ptr());
                let mut numbers = number(first, 0, CHOICES, sets, _mm512_setzero_si512());
                let mut members = members(first, sets, _mm512_setzero_si512());
                let mut high = low;
                if let Some(second) = second {
                    high = _mm512_loadu_pd(second.values.as_ptr());
                    numbers = number(second, CHOICES, CHOICES, sets, numbers);
                    members = self::members(second, sets, members);
                }
                for (quarter, sums) in self.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let members = _mm512_srlv_epi64(members, _mm512_set1_epi64(16 * quarter as i64));
                    for ((nibble, sum), number) in sums.iter_mut().enumerate().zip(nibbles(numbers, quarter)) {
                        let is_member = _mm512_test_epi64_mask(members, _mm512_set1_epi64(1 << (4 * nibble)));
                        *sum = _mm512_mask_add_pd(*sum, is_member, *sum, _mm512_permutex2var_pd(low, number, high));
                    }
                }
            }
        }
    }

    /// Shifts each word to four of its nibbles; look-ups ignore the bits above a nibble.
    ///
    /// Where shifts and look-ups share their ports (Zen 4) they would be the bottleneck: three of four shifts are the
    /// high half of a product instead. It takes the low 52 bits, and these nibbles are among the low 16.
    ///
    /// # Safety
    /// The machine has AVX-512F and AVX-512IFMA.
    #[inline(always)]
    unsafe fn nibbles(numbers: __m512i, quarter: usize) -> [__m512i; 4] {
        // SAFETY: the caller promises the instructions; nothing is read from memory.
        unsafe {
            let zero = _mm512_setzero_si512();
            let first = _mm512_srlv_epi64(numbers, _mm512_set1_epi64(16 * quarter as i64));
            let second = _mm512_madd52hi_epu64(zero, first, _mm512_set1_epi64(1 << 48));
            let third = _mm512_madd52hi_epu64(zero, first, _mm512_set1_epi64(1 << 44));
            let fourth = _mm512_madd52hi_epu64(zero, first, _mm512_set1_epi64(1 << 40));
            [first, second, third, fourth]
        }
    }

    /// Joins to `numbers` those of the entities in the first `count` sets of a choice, from `first` on.
    ///
    /// # Safety
    /// The machine has AVX-512F, and the first `count` sets of the choice are in `sets`.
    #[inline(always)]
    unsafe fn number(choice: &Choice, first: usize, count: usize, sets: &[Set], mut numbers: __m512i) -> __m512i {
        for (place, &set) in (first..).zip(choice.sets.iter().take(count)) {
            // SAFETY: the caller promises the instructions and that the set is in `sets`; the load is of a whole set, aligned.
            unsafe {
                let bits = _mm512_set1_epi64((EACH * place as u64) as i64);
                numbers = _mm512_ternarylogic_epi64::<0xf8>(numbers, _mm512_load_si512(words(sets, set).cast()), bits);
            }
        }
        numbers
    }

    /// Joins to `members` the entities in the sets of a choice.
    ///
    /// # Safety
    /// The machine has AVX-512F, and the sets of the choice are in `sets`.
    #[inline(always)]
    unsafe fn members(choice: &Choice, sets: &[Set], mut members: __m512i) -> __m512i {
        for &set in &choice.sets {
            // SAFETY: the caller promises the instructions and that the set is in `sets`; the load is of a whole set, aligned.
            unsafe { members = _mm512_or_si512(members, _mm512_load_si512(words(sets, set).cast())) };
        }
        members
    }
}
