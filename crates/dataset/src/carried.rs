//! Operations on carried columns of any type: to text, without a dictionary, joined, and by row.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray, UInt32Array};
use arrow_schema::DataType;

use crate::Error;

/// Returns a column's values as text.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), naming the column, if the type has no text form, such as a list.
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

/// Returns some rows of a column.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), naming the column, if a row is beyond its end.
pub fn picked(column: &str, array: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef, Error> {
    arrow_select::take::take(array, rows, None).map_err(|error| Error::arrow(column, error))
}

/// Returns a column's parts as one array.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content), naming the column, if their types differ.
pub fn joined(column: &str, parts: &[ArrayRef]) -> Result<ArrayRef, Error> {
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    arrow_select::concat::concat(&parts).map_err(|error| Error::arrow(column, error))
}
