//! The inner operation of products, by form: a left entity's choice of a tree added for 128 right entities.

use super::cross::{CHOICES, Choice, Set, UNIT_ROWS};

/// Sums of a left entity with 128 right ones.
pub(super) trait Sums {
    /// Takes them from memory.
    fn load(values: &[f64; UNIT_ROWS]) -> Self;

    /// Puts them back.
    fn store(&self, values: &mut [f64; UNIT_ROWS]);

    /// Adds a tree: to each sum the value of that leaf of `choices` in whose set the right entity is; one and no more.
    fn add(&mut self, choices: &[Choice], sets: &[Set]);
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
    fn add(&mut self, choices: &[Choice], sets: &[Set]) {
        let several = choices.len() > 1;
        for choice in choices {
            let count = usize::from(choice.count).min(CHOICES);
            if !several && count == 1 {
                self.0.iter_mut().for_each(|sum| *sum += choice.values[0]);
                return;
            }
            let (mut number, mut member) = ([0; 8], [0; 8]);
            for (place, &set) in (0..).zip(&choice.sets[..count]) {
                let set = &sets[usize::from(set)].0;
                for word in 0..8 {
                    number[word] |= set[word] & EACH * place;
                    member[word] |= set[word];
                }
            }
            for (half, sums) in self.0.as_chunks_mut::<64>().0.iter_mut().enumerate() {
                for (nibble, sums) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        let word = 4 * half + lane;
                        if !several || member[word] >> (4 * nibble) & 1 == 1 {
                            *sum += choice.values[(number[word] >> (4 * nibble)) as usize % CHOICES];
                        }
                    }
                }
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
        fn add(&mut self, choices: &[Choice], sets: &[Set]) {
            if let [choice] = choices {
                match choice.count {
                    0 | 1 => self.0.iter_mut().for_each(|sum| *sum += choice.values[0]),
                    2..=4 => self.add_choice::<false, false>(choice, sets),
                    _ => self.add_choice::<true, false>(choice, sets),
                }
            } else {
                for choice in choices {
                    self.add_choice::<true, true>(choice, sets);
                }
            }
        }
    }

    impl InMemory {
        /// Numbers are doubled, so that a value's two halves are looked up by number and number + 1.
        #[inline(always)]
        fn add_choice<const EIGHT: bool, const MASKED: bool>(&mut self, choice: &Choice, sets: &[Set]) {
            let count = usize::from(choice.count).min(CHOICES);
            // SAFETY: the instructions are there (see `InMemory`); loads and stores are inside the arrays they are of.
            unsafe {
                let low = _mm256_loadu_ps(choice.values.as_ptr().cast());
                let high = _mm256_loadu_ps(choice.values.as_ptr().add(4).cast());
                let odd = _mm256_set1_epi64x((EACH << 32) as i64);
                for half in 0..2 {
                    let (mut number, mut member) = (_mm256_setzero_si256(), _mm256_setzero_si256());
                    for (place, &set) in choice.sets[..count].iter().enumerate() {
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
                            let at = self.0.as_mut_ptr().add(64 * half + 32 * part + 4 * nibble);
                            let mut value = _mm256_permutevar8x32_ps(low, number);
                            if EIGHT {
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
                    let low = _mm256_loadu_pd(values.as_ptr().add(4 * nibble));
                    let high = _mm256_loadu_pd(values.as_ptr().add(64 + 4 * nibble));
                    *sum = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low), high);
                }
                Self(sums)
            }
        }

        #[inline(always)]
        fn store(&self, values: &mut [f64; UNIT_ROWS]) {
            // SAFETY: the instructions are there (see `InRegisters`); all stores are inside `values`.
            unsafe {
                for (nibble, &sum) in self.0.iter().enumerate() {
                    _mm256_storeu_pd(values.as_mut_ptr().add(4 * nibble), _mm512_castpd512_pd256(sum));
                    _mm256_storeu_pd(values.as_mut_ptr().add(64 + 4 * nibble), _mm512_extractf64x4_pd::<1>(sum));
                }
            }
        }

        #[inline(always)]
        fn add(&mut self, choices: &[Choice], sets: &[Set]) {
            match choices {
                [choice] if choice.count == 1 => self.add_one(choice),
                [choice] => self.add_eight(choice, sets),
                [first, second] => self.add_pair::<false>(first, second, sets),
                _ => {
                    for pair in choices.chunks(2) {
                        let none = Choice { values: [0.0; CHOICES], sets: [0; CHOICES], count: 0 };
                        self.add_pair::<true>(&pair[0], pair.get(1).unwrap_or(&none), sets);
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
        fn add_eight(&mut self, choice: &Choice, sets: &[Set]) {
            // SAFETY: the instructions are there (see `InRegisters`); the loads are of whole arrays.
            unsafe {
                let values = _mm512_loadu_pd(choice.values.as_ptr());
                let mut number = _mm512_setzero_si512();
                for (place, &set) in choice.sets[..usize::from(choice.count).min(CHOICES)].iter().enumerate().skip(1) {
                    let set = _mm512_load_si512(sets[usize::from(set)].0.as_ptr().cast());
                    number = or_and(number, set, EACH * place as u64);
                }
                for sum in &mut self.0 {
                    *sum = _mm512_add_pd(*sum, _mm512_permutexvar_pd(number, values));
                    number = _mm512_srli_epi64::<4>(number);
                }
            }
        }

        /// Sixteen leaves. If masked, only sums of entities in a set of theirs change.
        #[inline(always)]
        fn add_pair<const MASKED: bool>(&mut self, first: &Choice, second: &Choice, sets: &[Set]) {
            // SAFETY: the instructions are there (see `InRegisters`); the loads are of whole arrays.
            unsafe {
                let low = _mm512_loadu_pd(first.values.as_ptr());
                let high = _mm512_loadu_pd(second.values.as_ptr());
                let (mut number, mut member) = (_mm512_setzero_si512(), _mm512_setzero_si512());
                for (choice, first_place) in [(first, 0), (second, CHOICES)] {
                    for (place, &set) in choice.sets[..usize::from(choice.count).min(CHOICES)].iter().enumerate() {
                        let set = _mm512_load_si512(sets[usize::from(set)].0.as_ptr().cast());
                        number = or_and(number, set, EACH * (first_place + place) as u64);
                        if MASKED {
                            member = _mm512_or_si512(member, set);
                        }
                    }
                }
                for sum in &mut self.0 {
                    let value = _mm512_permutex2var_pd(low, number, high);
                    if MASKED {
                        let is_member = _mm512_test_epi64_mask(member, _mm512_set1_epi64(1));
                        *sum = _mm512_mask_add_pd(*sum, is_member, *sum, value);
                        member = _mm512_srli_epi64::<4>(member);
                    } else {
                        *sum = _mm512_add_pd(*sum, value);
                    }
                    number = _mm512_srli_epi64::<4>(number);
                }
            }
        }
    }

    /// `number | set & bits`.
    #[inline(always)]
    unsafe fn or_and(number: __m512i, set: __m512i, bits: u64) -> __m512i {
        // SAFETY: as the caller's.
        unsafe { _mm512_ternarylogic_epi64::<0xf8>(number, set, _mm512_set1_epi64(bits as i64)) }
    }
}
