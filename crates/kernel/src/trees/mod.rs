//! Bit-sliced decision trees: every predicate is a plane of one bit for each row, and rows are routed by AND and AND-NOT.
//!
//! A block has `64 * WORDS` rows; `WORDS` is [`BLOCK_WORDS`] for bulk, and less for the rest of a batch. A few rows, as in
//! online requests, are routed one by one instead: by [`Jump`] if the model and the machine allow it, otherwise by [`Walk`].
//! The cost of a tree depends on the number of its leaves, not on their depth.
//!
//! # Source
//! The idea of bit vectors is QuickScorer's (Lucchese et al., SIGIR 2015), transposed: here bits are rows, not leaves.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod bins;
#[cfg(target_arch = "x86_64")]
mod bins_avx512;
mod cross;
mod cross_score;
mod cross_sums;
mod forest;
mod jump;
#[cfg(target_arch = "x86_64")]
mod jump_avx512;
mod leaves;
mod planes;
mod walk;

pub use bins::{Bins, ZERO_THRESHOLD, lower_bound, row_codes};
pub use cross::{CrossForest, CrossLeft, CrossReach, CrossRight, Side, UNIT_ROWS};
pub use cross_score::CrossSums;
pub use forest::{Forest, Invalid, LEAVES_MAX, Reach, Slot, Split};
pub use jump::{AtMost, Jump, ROW_BYTES};
pub use planes::{Words, category_planes, threshold_planes};
pub use walk::Walk;

/// 64-row words of a full block. At 256 rows the planes of 500 trees x 63 leaves fit a core's L2 cache.
pub const BLOCK_WORDS: usize = 4;

/// A form of the kernels, by the instructions it needs. All forms give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Plain integer arithmetic on 64-bit words.
    Portable,
    /// The same with 256-bit vectors.
    Avx2,
    /// AVX-512 with VBMI, IFMA and GFNI (Ice Lake, Zen 4 and later).
    Avx512,
}

impl Form {
    /// All forms, slowest first.
    pub const ALL: [Form; 3] = [Form::Portable, Form::Avx2, Form::Avx512];

    /// Returns whether this machine can run it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("bmi1") && has!("bmi2");
            match self {
                Form::Portable => true,
                Form::Avx2 => avx2,
                Form::Avx512 => {
                    avx2 && has!("avx512f")
                        && has!("avx512bw")
                        && has!("avx512vl")
                        && has!("avx512dq")
                        && has!("avx512vbmi")
                        && has!("avx512ifma")
                        && has!("gfni")
                        && has!("popcnt")
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Form::Portable
        }
    }

    /// Returns the fastest form that this machine can run.
    pub fn best() -> Form {
        Form::ALL.into_iter().rev().find(|form| form.is_available()).unwrap_or(Form::Portable)
    }

    /// Returns this form if the machine can run it, otherwise the portable one. Unsafe code relies on this, not on the
    /// caller.
    fn or_portable(self) -> Form {
        if self.is_available() { self } else { Form::Portable }
    }
}

/// Runs `$body`, an inlined function, compiled for the instructions of a form.
macro_rules! dispatch {
    ($form:expr, $name:ident::<$($generic:ident),*>($($argument:ident: $type:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn avx2<const WORDS: usize>($($argument: $type),*) {
                $name::<WORDS, super::leaves::Avx2>($($argument),*);
            }
            #[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,gfni")]
            fn avx512<const WORDS: usize>($($argument: $type),*) {
                $name::<WORDS, super::avx512::Avx512>($($argument),*);
            }
            match $form.or_portable() {
                super::Form::Portable => $name::<WORDS, super::leaves::Plain>($($argument),*),
                // SAFETY: `or_portable` has just asked the machine for the instructions of this form.
                super::Form::Avx2 => unsafe { avx2::<WORDS>($($argument),*) },
                // SAFETY: `or_portable` has just asked the machine for the instructions of this form.
                super::Form::Avx512 => unsafe { avx512::<WORDS>($($argument),*) },
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = $form;
            $name::<WORDS, super::leaves::Plain>($($argument),*);
        }
    }};
}
use dispatch;
