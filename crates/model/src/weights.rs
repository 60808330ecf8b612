//! The numbers of a factor model, in f32 or in bf16, which takes half the memory.

use std::ops::Range;

use arrow_buffer::ScalarBuffer;
use clickcast_kernel::factors::{narrow, prefetch, widen};
use serde::{Deserialize, Serialize};

use crate::tensor::Values;

/// How a factor model's weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightType {
    /// 32-bit floats.
    #[default]
    F32,
    /// The upper half of 32-bit floats: 8 bits of exponent, 7 of fraction; within 0.4 % of them.
    Bf16,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Weights {
    F32(ScalarBuffer<f32>),
    Bf16(ScalarBuffer<u16>),
}

impl Weights {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(weights) => weights.len(),
            Self::Bf16(weights) => weights.len(),
        }
    }

    pub(crate) fn are_finite(&self) -> bool {
        match self {
            Self::F32(weights) => weights.iter().all(|weight| weight.is_finite()),
            Self::Bf16(weights) => weights.iter().all(|&weight| wide(weight).is_finite()),
        }
    }

    /// These weights in another type, rounded to the nearest.
    pub(crate) fn into_type(self, to: WeightType) -> Self {
        match (self, to) {
            (Self::F32(weights), WeightType::Bf16) => {
                let mut narrowed = vec![0; weights.len()];
                narrow(&weights, &mut narrowed);
                Self::Bf16(narrowed.into())
            }
            (Self::Bf16(weights), WeightType::F32) => Self::F32(weights.iter().map(|&weight| wide(weight)).collect()),
            (weights, _) => weights,
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(weights) => weights[index],
            Self::Bf16(weights) => wide(weights[index]),
        }
    }

    /// Returns some weights as they are kept, or written to the front of `room`.
    #[inline]
    pub(crate) fn read<'a>(&'a self, range: Range<usize>, room: &'a mut [f32]) -> &'a [f32] {
        match self {
            Self::F32(weights) => &weights[range],
            Self::Bf16(weights) => {
                let room = &mut room[..range.len()];
                widen(&weights[range], room);
                room
            }
        }
    }

    /// Asks for some weights ahead of their use.
    #[inline]
    pub(crate) fn fetch(&self, range: Range<usize>) {
        match self {
            Self::F32(weights) => prefetch(&weights[range]),
            Self::Bf16(weights) => prefetch(&weights[range]),
        }
    }

    pub(crate) fn to_values(&self) -> Values {
        match self {
            Self::F32(weights) => Values::F32(weights.clone()),
            Self::Bf16(weights) => Values::Bf16(weights.clone()),
        }
    }

    pub(crate) fn from_values(values: Values) -> Option<Self> {
        match values {
            Values::F32(weights) => Some(Self::F32(weights)),
            Values::Bf16(weights) => Some(Self::Bf16(weights)),
            Values::F64(_) | Values::U32(_) => None,
        }
    }
}

#[inline]
fn wide(weight: u16) -> f32 {
    f32::from_bits(u32::from(weight) << 16)
}
