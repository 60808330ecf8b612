//! `pandas_categorical`: the codes of a DataFrame's category values.

use serde_json::Value;

use super::super::ir::{Category, Feature, FeatureKind};
use super::error::{ParseError, excerpt};

/// Gives the category lists in `json` to the features they belong to.
///
/// LightGBM writes one list for each category column of the DataFrame in column order, without saying which: `indices` are
/// the columns training was told are categorical (the parameter `categorical_feature`), else `feature_infos` tells.
pub(super) fn assign(
    features: &mut [Feature],
    indices: Option<&[usize]>,
    json: &str,
    line: usize,
) -> Result<(), ParseError> {
    let lists = parse(json, line)?;
    if lists.is_empty() {
        return Ok(());
    }
    let columns: Vec<usize> = match indices {
        Some(indices) => indices.to_vec(),
        None => (0..features.len()).filter(|&index| features[index].kind == FeatureKind::Categorical).collect(),
    };
    if columns.len() != lists.len() {
        return Err(ParseError::unsupported(
            line,
            format!(
                "`pandas_categorical` has {} lists, but {} columns are categorical, so that it is unclear which list is whose; \
                 train with every category column (ordered ones too) named in `categorical_feature`, or delete this line to feed codes",
                lists.len(),
                columns.len()
            ),
        ));
    }
    for (column, list) in columns.into_iter().zip(lists) {
        let feature = features.get_mut(column).ok_or_else(|| {
            ParseError::malformed(
                line,
                format!("`categorical_feature` names column {column}, which the model does not have"),
            )
        })?;
        feature.categories = Some(list);
    }
    Ok(())
}

fn parse(json: &str, line: usize) -> Result<Vec<Vec<Category>>, ParseError> {
    let value: Value = serde_json::from_str(json).map_err(|error| {
        ParseError::malformed(line, format!("`pandas_categorical` is not whole JSON ({error}); is the file truncated?"))
    })?;
    let lists = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(lists) => lists,
        other => return Err(unexpected(&other, line)),
    };
    lists
        .into_iter()
        .map(|list| match list {
            Value::Array(values) => values.into_iter().map(|value| category(value, line)).collect(),
            other => Err(unexpected(&other, line)),
        })
        .collect()
}

fn category(value: Value, line: usize) -> Result<Category, ParseError> {
    match value {
        Value::String(text) => Ok(Category::Text(text)),
        Value::Bool(value) => Ok(Category::Boolean(value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(Category::Integer(integer)),
            (None, Some(float)) => Ok(Category::Float(float)),
            (None, None) => Err(unexpected(&Value::Number(number), line)),
        },
        other => Err(unexpected(&other, line)),
    }
}

fn unexpected(value: &Value, line: usize) -> ParseError {
    ParseError::malformed(
        line,
        format!("`pandas_categorical` has `{}` where a list or a category belongs", excerpt(&value.to_string())),
    )
}
