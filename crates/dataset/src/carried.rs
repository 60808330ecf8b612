//! Carried columns, of whatever type: as text, without dictionaries, put together and picked from.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray, UInt32Array};
use arrow_schema::DataType;

use crate::Error;

/// A carried column's values as text.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), naming the column, for a type that has no text, such as a list.
pub fn text_of(column: &str, array: &ArrayRef) -> Result<StringArray, Error> {
    let text = arrow_cast::cast(array, &DataType::Utf8)
        .map_err(|_| Error::file(column, format!("{} has no text form", array.data_type())))?;
    Ok(text.as_string::<i32>().clone())
}

/// Returns a column without its dictionary.
#[must_use]
pub fn plain(array: &ArrayRef) -> ArrayRef {
    let Some(coded) = array.as_any_dictionary_opt() else { return array.clone() };
    arrow_select::take::take(coded.values(), coded.keys(), None).unwrap_or_else(|_| array.clone())
}

/// Some rows of a column.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), naming the column, where a row is beyond it.
pub fn picked(column: &str, array: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef, Error> {
    arrow_select::take::take(array, rows, None).map_err(|error| Error::arrow(column, error))
}

/// A column's parts, one after another.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), naming the column, where they are of different types.
pub fn joined(column: &str, parts: &[ArrayRef]) -> Result<ArrayRef, Error> {
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    arrow_select::concat::concat(&parts).map_err(|error| Error::arrow(column, error))
}
