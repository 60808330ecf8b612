//! Arrays of numbers in a model's payload, `weights.safetensors`.

use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use bytes::Bytes;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::Error;

/// A one-dimensional array under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name, unique in its payload.
    pub name: String,
    /// The numbers.
    pub values: Values,
}

/// The numbers of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Weights.
    F32(ScalarBuffer<f32>),
    /// Weights, as the upper halves of 32-bit floats.
    Bf16(ScalarBuffer<u16>),
    /// Thresholds.
    F64(ScalarBuffer<f64>),
    /// Slots, buckets, counts.
    U32(ScalarBuffer<u32>),
}

/// Writes tensors as one safetensors file; the same tensors give the same bytes.
///
/// # Errors
/// [`Kind::Damaged`](crate::Kind) where two tensors share a name.
pub fn to_bytes(tensors: &[Tensor]) -> Result<Vec<u8>, Error> {
    let mut views = std::collections::BTreeMap::new();
    for tensor in tensors {
        let (dtype, length, bytes) = match &tensor.values {
            Values::F32(values) => (Dtype::F32, values.len(), values.inner()),
            Values::Bf16(values) => (Dtype::BF16, values.len(), values.inner()),
            Values::F64(values) => (Dtype::F64, values.len(), values.inner()),
            Values::U32(values) => (Dtype::U32, values.len(), values.inner()),
        };
        let view = TensorView::new(dtype, vec![length], bytes.as_slice()).map_err(damaged)?;
        if views.insert(tensor.name.clone(), view).is_some() {
            return Err(Error::damaged(format!("two tensors are named `{}`", tensor.name)));
        }
    }
    serialize(views, None).map_err(damaged)
}

/// Reads what [`to_bytes`] wrote; the numbers stay where they are, unless they lie askew.
///
/// # Errors
/// [`Kind::Damaged`](crate::Kind) for anything else.
pub fn from_bytes(bytes: &Bytes) -> Result<Vec<Tensor>, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let data = bytes.slice_ref(view.data());
        let values = match view.dtype() {
            Dtype::F32 => Values::F32(numbers(data)),
            Dtype::BF16 => Values::Bf16(numbers(data)),
            Dtype::F64 => Values::F64(numbers(data)),
            Dtype::U32 => Values::U32(numbers(data)),
            other => return Err(Error::damaged(format!("tensor `{name}` is of type {other:?}"))),
        };
        tensors.push(Tensor { name, values });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Numbers by their bytes.
fn numbers<T: ArrowNativeType>(bytes: Bytes) -> ScalarBuffer<T> {
    const { assert!(cfg!(target_endian = "little"), "the format's numbers are little-endian, and read as they are") };
    let aligned = bytes.as_ptr().align_offset(align_of::<T>()) == 0;
    ScalarBuffer::from(if aligned { Buffer::from(bytes) } else { Buffer::from_slice_ref(&*bytes) })
}

fn damaged(error: safetensors::SafeTensorError) -> Error {
    Error::damaged(format!("the weights are not readable: {error}"))
}
