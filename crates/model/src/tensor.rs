//! Arrays of numbers in a model's payload, `weights.safetensors`.

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
    F32(Vec<f32>),
    /// Weights, as the upper halves of 32-bit floats.
    Bf16(Vec<u16>),
    /// Thresholds.
    F64(Vec<f64>),
    /// Slots, buckets, counts.
    U32(Vec<u32>),
}

/// Writes tensors as one safetensors file; the same tensors give the same bytes.
///
/// # Errors
/// [`Error::Damaged`] where two tensors share a name.
pub fn to_bytes(tensors: &[Tensor]) -> Result<Vec<u8>, Error> {
    let raw: Vec<(Dtype, usize, Vec<u8>)> = tensors
        .iter()
        .map(|tensor| match &tensor.values {
            Values::F32(values) => (Dtype::F32, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::Bf16(values) => (Dtype::BF16, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::F64(values) => (Dtype::F64, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::U32(values) => (Dtype::U32, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        })
        .collect();
    let mut views = std::collections::BTreeMap::new();
    for (tensor, (dtype, length, bytes)) in tensors.iter().zip(&raw) {
        let view = TensorView::new(*dtype, vec![*length], bytes).map_err(damaged)?;
        if views.insert(tensor.name.clone(), view).is_some() {
            return Err(Error::Damaged(format!("two tensors are named `{}`", tensor.name)));
        }
    }
    serialize(views, None).map_err(damaged)
}

/// Reads what [`to_bytes`] wrote.
///
/// # Errors
/// [`Error::Damaged`] for anything else.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<Tensor>, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => Values::F32(data.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()),
            Dtype::BF16 => Values::Bf16(data.as_chunks().0.iter().map(|&chunk| u16::from_le_bytes(chunk)).collect()),
            Dtype::F64 => Values::F64(data.as_chunks().0.iter().map(|&chunk| f64::from_le_bytes(chunk)).collect()),
            Dtype::U32 => Values::U32(data.as_chunks().0.iter().map(|&chunk| u32::from_le_bytes(chunk)).collect()),
            other => return Err(Error::Damaged(format!("tensor `{name}` is of type {other:?}"))),
        };
        tensors.push(Tensor { name, values });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

fn damaged(error: safetensors::SafeTensorError) -> Error {
    Error::Damaged(format!("the weights are not readable: {error}"))
}
