//! Converts Arrow arrays of any type to columns, in one pass over each array.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_schema::DataType;

use crate::batch::{Categorical, Categories, Multi, Numeric};

/// The text-list separator of files that have no lists.
const LIST_SEPARATOR: char = '|';

/// Returns whether [`numeric`] reads this type.
pub(crate) fn is_numeric(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_numeric(values),
        DataType::Boolean | DataType::Null | DataType::Float16 => true,
        other => other.is_integer() || other.is_floating(),
    }
}

/// Returns whether [`categorical`] reads this type.
pub(crate) fn is_categorical(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_categorical(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        other => is_numeric(other),
    }
}

/// Returns whether [`multi`] reads this type: a list of categories, or text to be split at `|`.
pub(crate) fn is_multi(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => is_categorical(item.data_type()),
        DataType::Null => true,
        other => is_text(other),
    }
}

/// Returns whether the type is text, dictionary-coded or not.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// Reads quantities. Returns `None` for a type that is not numeric; see [`is_numeric`].
pub(crate) fn numeric(array: &ArrayRef) -> Option<Numeric> {
    fn narrow<T: ArrowPrimitiveType>(array: &ArrayRef, to: impl Fn(T::Native) -> f32) -> Numeric {
        let values = array.as_primitive::<T>();
        Numeric::F32(match values.nulls() {
            None => values.values().iter().map(|&value| to(value)).collect(),
            Some(_) => values.iter().map(|value| value.map_or(f32::NAN, &to)).collect(),
        })
    }
    fn wide<T: ArrowPrimitiveType>(array: &ArrayRef, to: impl Fn(T::Native) -> f64) -> Numeric {
        let values = array.as_primitive::<T>();
        Numeric::F64(match values.nulls() {
            None => values.values().iter().map(|&value| to(value)).collect(),
            Some(_) => values.iter().map(|value| value.map_or(f64::NAN, &to)).collect(),
        })
    }
    Some(match array.data_type() {
        DataType::Float32 if array.null_count() == 0 => {
            Numeric::F32(array.as_primitive::<Float32Type>().values().clone())
        }
        DataType::Float64 if array.null_count() == 0 => {
            Numeric::F64(array.as_primitive::<Float64Type>().values().clone())
        }
        DataType::Float32 => narrow::<Float32Type>(array, |value| value),
        DataType::Float16 => narrow::<Float16Type>(array, |value| value.to_f32()),
        DataType::Int8 => narrow::<Int8Type>(array, f32::from),
        DataType::Int16 => narrow::<Int16Type>(array, f32::from),
        DataType::UInt8 => narrow::<UInt8Type>(array, f32::from),
        DataType::UInt16 => narrow::<UInt16Type>(array, f32::from),
        DataType::Float64 => wide::<Float64Type>(array, |value| value),
        DataType::Int32 => wide::<Int32Type>(array, f64::from),
        DataType::UInt32 => wide::<UInt32Type>(array, f64::from),
        DataType::Int64 => wide::<Int64Type>(array, |value| value as f64),
        DataType::UInt64 => wide::<UInt64Type>(array, |value| value as f64),
        DataType::Boolean => Numeric::F32(
            array.as_boolean().iter().map(|value| value.map_or(f32::NAN, |value| f32::from(u8::from(value)))).collect(),
        ),
        DataType::Null => Numeric::F32(vec![f32::NAN; array.len()].into()),
        DataType::Dictionary(_, values) if is_numeric(values) => {
            let (codes, values) = dictionary(array)?;
            let values = numeric(&values)?;
            Numeric::F64(
                codes
                    .iter()
                    .map(|&code| (code as usize).checked_sub(1).map_or(f64::NAN, |index| values.get(index)))
                    .collect(),
            )
        }
        _ => return None,
    })
}

/// Reads categories. Returns `None` for a type that is not categorical; see [`is_categorical`].
pub(crate) fn categorical(array: &ArrayRef) -> Option<Categorical> {
    fn integers<T: ArrowPrimitiveType>(array: &ArrayRef, to: impl Fn(T::Native) -> i64) -> Categorical {
        let values = array.as_primitive::<T>();
        Categorical::Integers {
            values: values.values().iter().map(|&value| to(value)).collect(),
            nulls: values.nulls().cloned(),
        }
    }
    Some(match array.data_type() {
        DataType::Int8 => integers::<Int8Type>(array, i64::from),
        DataType::Int16 => integers::<Int16Type>(array, i64::from),
        DataType::Int32 => integers::<Int32Type>(array, i64::from),
        DataType::UInt8 => integers::<UInt8Type>(array, i64::from),
        DataType::UInt16 => integers::<UInt16Type>(array, i64::from),
        DataType::UInt32 => integers::<UInt32Type>(array, i64::from),
        // The bits are reinterpreted: only identity matters, and the mapping is one to one.
        DataType::UInt64 => integers::<UInt64Type>(array, |value| value as i64),
        DataType::Int64 => Categorical::Integers {
            values: array.as_primitive::<Int64Type>().values().clone(),
            nulls: array.nulls().cloned(),
        },
        DataType::Float16 | DataType::Float32 | DataType::Float64 => floats(&numeric(array)?),
        DataType::Boolean => {
            let codes = array.as_boolean().iter().map(|value| value.map_or(0, |value| 1 + u32::from(value))).collect();
            Categorical::Coded { codes, categories: Categories::Text(StringArray::from(vec!["false", "true"])) }
        }
        DataType::Null => Categorical::Integers {
            values: vec![0; array.len()].into(),
            nulls: Some(arrow_buffer::NullBuffer::new_null(array.len())),
        },
        DataType::Utf8 => intern(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => intern(array.as_string::<i64>().iter()),
        DataType::Utf8View => intern(array.as_string_view().iter()),
        DataType::Dictionary(_, values) if is_categorical(values) => recode(dictionary(array)?)?,
        _ => return None,
    })
}

/// Reads lists of categories. Returns `None` for a type that is not one; see [`is_multi`].
pub(crate) fn multi(array: &ArrayRef) -> Option<Multi> {
    fn lists<O: arrow_array::OffsetSizeTrait>(array: &ArrayRef) -> Option<Multi> {
        let list = array.as_list::<O>();
        if list.null_count() == 0 {
            let offsets = list.offsets().iter().map(|offset| offset.as_usize()).collect();
            return Some(Multi { offsets, values: categorical(list.values())? });
        }
        // A null list may still have items: drop them.
        let items = categorical(list.values())?;
        let mut offsets = vec![0];
        let mut kept = Vec::new();
        for row in 0..list.len() {
            if list.is_valid(row) {
                kept.extend(list.offsets()[row].as_usize()..list.offsets()[row + 1].as_usize());
            }
            offsets.push(kept.len());
        }
        Some(Multi { offsets, values: take(&items, &kept) })
    }
    match array.data_type() {
        DataType::List(_) => lists::<i32>(array),
        DataType::LargeList(_) => lists::<i64>(array),
        DataType::Null => Some(Multi { offsets: vec![0; array.len() + 1], values: intern(std::iter::empty()) }),
        data_type if is_text(data_type) => Some(split(&categorical(array)?)),
        _ => None,
    }
}

/// Splits text values at the separator, once for each distinct value.
fn split(lists: &Categorical) -> Multi {
    let Categorical::Coded { codes, categories: Categories::Text(values) } = lists else {
        return Multi { offsets: vec![0; lists.len() + 1], values: intern(std::iter::empty()) };
    };
    let mut interner = Interner::default();
    let split: Vec<Vec<u32>> = values
        .iter()
        .map(|list| {
            let items = list.unwrap_or_default().split(LIST_SEPARATOR).map(str::trim).filter(|item| !item.is_empty());
            items.map(|item| interner.code(item)).collect()
        })
        .collect();
    let mut offsets = vec![0];
    let mut item_codes = Vec::new();
    for &code in codes {
        if let Some(index) = (code as usize).checked_sub(1) {
            item_codes.extend_from_slice(&split[index]);
        }
        offsets.push(item_codes.len());
    }
    Multi { offsets, values: interner.finish(item_codes) }
}

fn take(items: &Categorical, indices: &[usize]) -> Categorical {
    match items {
        Categorical::Coded { codes, categories } => Categorical::Coded {
            codes: indices.iter().map(|&index| codes[index]).collect(),
            categories: categories.clone(),
        },
        Categorical::Integers { values, nulls } => Categorical::Integers {
            values: indices.iter().map(|&index| values[index]).collect(),
            nulls: nulls
                .as_ref()
                .map(|nulls| indices.iter().map(|&index| nulls.is_valid(index)).collect::<Vec<_>>().into()),
        },
    }
}

/// Reads floats as categories: integers if all are whole, as those of a nullable integer column that went through a data
/// frame; otherwise text.
fn floats(numbers: &Numeric) -> Categorical {
    let values: Vec<f64> = (0..numbers.len()).map(|row| numbers.get(row)).collect();
    // 2^53: below it every whole f64 is one integer and no two integers share an f64.
    let whole = |value: &f64| value.is_nan() || (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0);
    if values.iter().all(whole) {
        let nulls: Vec<bool> = values.iter().map(|value| !value.is_nan()).collect();
        return Categorical::Integers {
            values: values.iter().map(|&value| value as i64).collect(),
            nulls: Some(nulls.into()),
        };
    }
    let text: Vec<Option<String>> = values.iter().map(|value| (!value.is_nan()).then(|| value.to_string())).collect();
    intern(text.iter().map(Option::as_deref))
}

/// Returns a dictionary array's codes, with 0 for missing, and its values.
fn dictionary(array: &ArrayRef) -> Option<(ScalarBuffer<u32>, ArrayRef)> {
    fn codes<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> (ScalarBuffer<u32>, ArrayRef) {
        let array = array.as_dictionary::<K>();
        let values = array.values().clone();
        let code = |key: K::Native| {
            let index = key.as_usize();
            if values.is_valid(index) { index as u32 + 1 } else { 0 }
        };
        let codes = match (array.keys().nulls(), values.null_count()) {
            (None, 0) => array.keys().values().iter().map(|&key| key.as_usize() as u32 + 1).collect(),
            _ => array.keys().iter().map(|key| key.map_or(0, code)).collect(),
        };
        (codes, values)
    }
    let DataType::Dictionary(key, _) = array.data_type() else {
        return None;
    };
    Some(match key.as_ref() {
        DataType::Int8 => codes::<Int8Type>(array),
        DataType::Int16 => codes::<Int16Type>(array),
        DataType::Int32 => codes::<Int32Type>(array),
        DataType::Int64 => codes::<Int64Type>(array),
        DataType::UInt8 => codes::<UInt8Type>(array),
        DataType::UInt16 => codes::<UInt16Type>(array),
        DataType::UInt32 => codes::<UInt32Type>(array),
        DataType::UInt64 => codes::<UInt64Type>(array),
        _ => return None,
    })
}

/// Makes categories of a dictionary, whose values may themselves be missing (NaN).
fn recode((codes, values): (ScalarBuffer<u32>, ArrayRef)) -> Option<Categorical> {
    if values.data_type() == &DataType::Utf8 {
        return Some(Categorical::Coded { codes, categories: Categories::Text(values.as_string::<i32>().clone()) });
    }
    Some(match categorical(&values)? {
        Categorical::Coded { codes: inner, categories } => Categorical::Coded {
            codes: codes.iter().map(|&code| (code as usize).checked_sub(1).map_or(0, |index| inner[index])).collect(),
            categories,
        },
        Categorical::Integers { values, nulls } => {
            let missing = |code: u32| code == 0 || nulls.as_ref().is_some_and(|nulls| nulls.is_null(code as usize - 1));
            let codes = codes.iter().map(|&code| if missing(code) { 0 } else { code }).collect();
            Categorical::Coded { codes, categories: Categories::Integers(values) }
        }
    })
}

fn intern<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Categorical {
    let mut interner = Interner::default();
    let codes = values.map(|value| value.map_or(0, |value| interner.code(value))).collect();
    interner.finish(codes)
}

/// Gives each distinct text a code, from 1, in order of appearance.
#[derive(Default)]
struct Interner<'a> {
    codes: HashMap<&'a str, u32, std::hash::BuildHasherDefault<xxhash_rust::xxh3::Xxh3Default>>,
    values: Vec<&'a str>,
}

impl<'a> Interner<'a> {
    fn code(&mut self, value: &'a str) -> u32 {
        *self.codes.entry(value).or_insert_with(|| {
            self.values.push(value);
            self.values.len() as u32
        })
    }

    fn finish(self, codes: Vec<u32>) -> Categorical {
        Categorical::Coded { codes: codes.into(), categories: Categories::Text(StringArray::from(self.values)) }
    }
}
