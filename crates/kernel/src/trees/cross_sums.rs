//! The inner operation of products, by form: a left entity's choice of a tree added for 128 right entities.

use super::cross::{CHOICES, Choice, Set, UNIT_ROWS};

/// Sums of a left entity with 128 right ones.
pub(super) trait Sums {
    /// Takes them from memory.
    fn load(values: &[f64; UNIT_ROWS]) -> Self;

    /// Puts them back.
    fn store(&self, values: &mut [f64; UNIT_ROWS]);

    /// Brings sets nearer that will be needed soon.
    #[inline(always)]
    fn prefetch(_: &[Set]) {}

    /// Adds a tree: to each sum the value of that leaf in whose set the right entity is; one and no more.
    ///
    /// `count` is 1, 4, 8, 16 or a higher multiple of 8, and so many leaves are in the first of `choices`.
    fn add(&mut self, count: usize, choices: &[Choice], sets: &[Set]);
}

/// The four bits of every entity: the number of a leaf times `0x1111_1111_1111_1111`.
const EACH: u64 = 0x1111_1111_1111_1111;

/// Nothing but plain Rust.
pub(super) struct Plain([f64; UNIT_ROWS]);

impl Sums for Plain {
    #[inline(always)]
    fn load(values: &[f64; UNIT_ROWS]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn store(&self, values: &mut [f64; UNIT_ROWS]) {
        *values = self.0;
    }

    #[inline(always)]
    fn add(&mut self, count: usize, choices: &[Choice], sets: &[Set]) {
        if count == 1 {
            self.0.iter_mut().for_each(|sum| *sum += choices[0].values[0]);
            return;
        }
        for pair in choices[..count.div_ceil(CHOICES)].chunks(2) {
            let mut values = [0.0; 2 * CHOICES];
            let (mut number, mut member) = ([0; 8], [0; 8]);
            for (half, choice) in pair.iter().enumerate() {
                values[half * CHOICES..][..CHOICES].copy_from_slice(&choice.values);
                for (place, &set) in choice.sets.iter().take(count).enumerate() {
                    let set = &sets[usize::from(set)].0;
                    for word in 0..8 {
                        number[word] |= set[word] & (EACH * (half * CHOICES + place) as u64);
                        member[word] |= set[word];
                    }
                }
            }
            if count <= 2 * CHOICES {
                self.add_values::<false>(&values, number, member);
            } else {
                self.add_values::<true>(&values, number, member);
            }
        }
    }
}

impl Plain {
    #[inline(always)]
    fn add_values<const MASKED: bool>(&mut self, values: &[f64; 2 * CHOICES], number: [u64; 8], member: [u64; 8]) {
        for (index, sums) in self.0.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let shift = index % 8 * 8 + index / 8 * 4;
            for (lane, sum) in sums.iter_mut().enumerate() {
                let added = *sum + values[(number[lane] >> shift) as usize % (2 * CHOICES)];
                *sum = if !MASKED || member[lane] >> shift & 1 == 1 { added } else { *sum };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use vectors::{InMemory, InRegisters};

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::*;

    use super::super::cross::{CHOICES, Choice, Set, UNIT_ROWS};
    use super::{EACH, Sums};

    /// With 256-bit vectors. Only instantiated inside functions compiled for, and run on, machines with AVX2.
    pub(in super::super) struct InMemory([f64; UNIT_ROWS]);

    /// With AVX-512. Only instantiated inside functions compiled for, and run on, machines with its foundation and `dq`.
    pub(in super::super) struct InRegisters([__m512d; 16]);

    impl Sums for InMemory {
        #[inline(always)]
        fn load(values: &[f64; UNIT_ROWS]) -> Self {
            Self(*values)
        }

        #[inline(always)]
        fn store(&self, values: &mut [f64; UNIT_ROWS]) {
            *values = self.0;
        }

        #[inline(always)]
        fn prefetch(sets: &[Set]) {
            for set in sets {
                // SAFETY: the address is valid, and every x86-64 processor has the instruction.
                unsafe { _mm_prefetch::<_MM_HINT_T1>((&raw const *set).cast()) };
            }
        }

        #[inline(always)]
        fn add(&mut self, count: usize, choices: &[Choice], sets: &[Set]) {
            match count {
                1 => self.0.iter_mut().for_each(|sum| *sum += choices[0].values[0]),
                4 => self.add_choice::<4, false>(&choices[0], sets),
                8 => self.add_choice::<8, false>(&choices[0], sets),
                _ => {
                    for choice in &choices[..count / CHOICES] {
                        self.add_choice::<8, true>(choice, sets);
                    }
                }
            }
        }
    }

    impl InMemory {
        /// Numbers are doubled, so that a value's two halves are looked up by number and number + 1.
        #[inline(always)]
        fn add_choice<const COUNT: usize, const MASKED: bool>(&mut self, choice: &Choice, sets: &[Set]) {
            // SAFETY: the instructions are there (see `InMemory`); loads and stores are inside the arrays they are of.
            unsafe {
                let low = _mm256_loadu_ps(choice.values.as_ptr().cast());
                let high = _mm256_loadu_ps(choice.values.as_ptr().add(4).cast());
                let odd = _mm256_set1_epi64x((EACH << 32) as i64);
                for half in 0..2 {
                    let (mut number, mut member) = (_mm256_setzero_si256(), _mm256_setzero_si256());
                    for (place, &set) in choice.sets.iter().take(COUNT).enumerate() {
                        let set = _mm256_load_si256(sets[usize::from(set)].0.as_ptr().add(4 * half).cast());
                        let bits = _mm256_set1_epi64x((EACH * 2 * place as u64) as i64);
                        number = _mm256_or_si256(number, _mm256_and_si256(set, bits));
                        member = _mm256_or_si256(member, set);
                    }
                    let numbers = [_mm256_shuffle_epi32::<0xa0>(number), _mm256_shuffle_epi32::<0xf5>(number)];
                    let members = [_mm256_shuffle_epi32::<0xa0>(member), _mm256_shuffle_epi32::<0xf5>(member)];
                    for part in 0..2 {
                        let mut number = _mm256_or_si256(numbers[part], odd);
                        let mut member = members[part];
                        for nibble in 0..8 {
                            let at = self.0.as_mut_ptr().add(4 * half + 32 * part + nibble / 2 * 8 + nibble % 2 * 64);
                            let mut value = _mm256_permutevar8x32_ps(low, number);
                            if COUNT > 4 {
                                let other = _mm256_permutevar8x32_ps(high, number);
                                let is_high = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(number));
                                value = _mm256_blendv_ps(value, other, is_high);
                            }
                            let sum = _mm256_loadu_pd(at);
                            let mut added = _mm256_add_pd(sum, _mm256_castps_pd(value));
                            if MASKED {
                                let is_member = _mm256_castsi256_pd(_mm256_slli_epi32::<28>(member));
                                added = _mm256_blendv_pd(sum, added, is_member);
                                member = _mm256_srli_epi32::<4>(member);
                            }
                            _mm256_storeu_pd(at, added);
                            number = _mm256_srli_epi32::<4>(number);
                        }
                    }
                }
            }
        }
    }

    impl Sums for InRegisters {
        #[inline(always)]
        fn load(values: &[f64; UNIT_ROWS]) -> Self {
            // SAFETY: the instructions are there (see `InRegisters`); all loads are inside `values`.
            unsafe {
                let mut sums = [_mm512_setzero_pd(); 16];
                for (nibble, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_loadu_pd(values.as_ptr().add(nibble / 2 * 8 + nibble % 2 * 64));
                }
                Self(sums)
            }
        }

        #[inline(always)]
        fn store(&self, values: &mut [f64; UNIT_ROWS]) {
            // SAFETY: the instructions are there (see `InRegisters`); all stores are inside `values`.
            unsafe {
                for (nibble, &sum) in self.0.iter().enumerate() {
                    _mm512_storeu_pd(values.as_mut_ptr().add(nibble / 2 * 8 + nibble % 2 * 64), sum);
                }
            }
        }

        #[inline(always)]
        fn prefetch(sets: &[Set]) {
            for set in sets {
                // SAFETY: the address is valid, and every x86-64 processor has the instruction.
                unsafe { _mm_prefetch::<_MM_HINT_T1>((&raw const *set).cast()) };
            }
        }

        #[inline(always)]
        fn add(&mut self, count: usize, choices: &[Choice], sets: &[Set]) {
            match count {
                1 => self.add_one(&choices[0]),
                4 => self.add_eight::<4>(&choices[0], sets),
                8 => self.add_eight::<8>(&choices[0], sets),
                16 => self.add_sixteen(&choices[0], &choices[1], sets),
                24 => self.add_more([&choices[0], &choices[1], &choices[2], &choices[2]], sets),
                32 => self.add_more([&choices[0], &choices[1], &choices[2], &choices[3]], sets),
                _ => {
                    for choice in &choices[..count / CHOICES] {
                        self.add_masked(choice, sets);
                    }
                }
            }
        }
    }

    impl InRegisters {
        #[inline(always)]
        fn add_one(&mut self, choice: &Choice) {
            // SAFETY: the instructions are there (see `InRegisters`).
            unsafe {
                let value = _mm512_set1_pd(choice.values[0]);
                for sum in &mut self.0 {
                    *sum = _mm512_add_pd(*sum, value);
                }
            }
        }

        #[inline(always)]
        fn add_eight<const COUNT: usize>(&mut self, choice: &Choice, sets: &[Set]) {
            // SAFETY: the instructions are there (see `InRegisters`); the loads are of whole arrays.
            unsafe {
                let values = _mm512_loadu_pd(choice.values.as_ptr());
                let mut number = number(choice, 0, COUNT, sets, _mm512_setzero_si512());
                for sum in &mut self.0 {
                    *sum = _mm512_add_pd(*sum, _mm512_permutexvar_pd(number, values));
                    number = _mm512_srli_epi64::<4>(number);
                }
            }
        }

        #[inline(always)]
        fn add_sixteen(&mut self, first: &Choice, second: &Choice, sets: &[Set]) {
            // SAFETY: the instructions are there (see `InRegisters`); the loads are of whole arrays.
            unsafe {
                let low = _mm512_loadu_pd(first.values.as_ptr());
                let high = _mm512_loadu_pd(second.values.as_ptr());
                let mut numbers = number(first, 0, CHOICES, sets, _mm512_setzero_si512());
                numbers = number(second, CHOICES, CHOICES, sets, numbers);
                for sum in &mut self.0 {
                    *sum = _mm512_add_pd(*sum, _mm512_permutex2var_pd(low, numbers, high));
                    numbers = _mm512_srli_epi64::<4>(numbers);
                }
            }
        }

        /// Leaves of the last two choices have the numbers of those of the first two.
        #[inline(always)]
        fn add_more(&mut self, choices: [&Choice; 4], sets: &[Set]) {
            // SAFETY: the instructions are there (see `InRegisters`); the loads are of whole arrays.
            unsafe {
                let mut values = [_mm512_setzero_pd(); 4];
                let mut numbers = _mm512_setzero_si512();
                for (index, choice) in choices.iter().enumerate() {
                    values[index] = _mm512_loadu_pd(choice.values.as_ptr());
                    numbers = number(choice, index % 2 * CHOICES, CHOICES, sets, numbers);
                }
                let upper = members(choices[3], sets, members(choices[2], sets, _mm512_setzero_si512()));
                for (nibble, sum) in self.0.iter_mut().enumerate() {
                    let low = _mm512_permutex2var_pd(values[0], numbers, values[1]);
                    let high = _mm512_permutex2var_pd(values[2], numbers, values[3]);
                    let is_high = _mm512_test_epi64_mask(upper, _mm512_set1_epi64(1 << (4 * nibble)));
                    *sum = _mm512_add_pd(*sum, _mm512_mask_blend_pd(is_high, low, high));
                    numbers = _mm512_srli_epi64::<4>(numbers);
                }
            }
        }

        /// Changes only sums of entities in a set of the choice.
        #[inline(always)]
        fn add_masked(&mut self, choice: &Choice, sets: &[Set]) {
            // SAFETY: the instructions are there (see `InRegisters`); the loads are of whole arrays.
            unsafe {
                let values = _mm512_loadu_pd(choice.values.as_ptr());
                let mut number = number(choice, 0, CHOICES, sets, _mm512_setzero_si512());
                let members = members(choice, sets, _mm512_setzero_si512());
                for (nibble, sum) in self.0.iter_mut().enumerate() {
                    let is_member = _mm512_test_epi64_mask(members, _mm512_set1_epi64(1 << (4 * nibble)));
                    *sum = _mm512_mask_add_pd(*sum, is_member, *sum, _mm512_permutexvar_pd(number, values));
                    number = _mm512_srli_epi64::<4>(number);
                }
            }
        }
    }

    /// Joins to `numbers` those of the entities in the first `count` sets of a choice, from `first` on.
    #[inline(always)]
    unsafe fn number(choice: &Choice, first: usize, count: usize, sets: &[Set], mut numbers: __m512i) -> __m512i {
        for (place, &set) in (first..).zip(choice.sets.iter().take(count)) {
            let set = &sets[usize::from(set)].0;
            // SAFETY: as the caller's; the load is of the whole array.
            unsafe {
                let bits = _mm512_set1_epi64((EACH * place as u64) as i64);
                numbers = _mm512_ternarylogic_epi64::<0xf8>(numbers, _mm512_load_si512(set.as_ptr().cast()), bits);
            }
        }
        numbers
    }

    /// Joins to `members` the entities in the sets of a choice.
    #[inline(always)]
    unsafe fn members(choice: &Choice, sets: &[Set], mut members: __m512i) -> __m512i {
        for &set in &choice.sets {
            let set = &sets[usize::from(set)].0;
            // SAFETY: as the caller's; the load is of the whole array.
            unsafe { members = _mm512_or_si512(members, _mm512_load_si512(set.as_ptr().cast())) };
        }
        members
    }
}
