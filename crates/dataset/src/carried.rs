//! Carried columns, of whatever type, as text.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;

use crate::Error;

/// A carried column's values as text.
///
/// # Errors
/// [`Error::File`], naming the column, for a type that has no text, such as a list.
pub fn text_of(column: &str, array: &ArrayRef) -> Result<StringArray, Error> {
    let text = arrow_cast::cast(array, &DataType::Utf8)
        .map_err(|_| Error::file(column, format!("{} has no text form", array.data_type())))?;
    Ok(text.as_string::<i32>().clone())
}
