//! Arrow columns of every readable type become the same records.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use clickcast_record::{Binding, Categorical, Category, Column, Feature, Kind, Need, Roles, Schema, Side, Time};

fn schema(kind: Kind) -> Schema {
    Schema::new(vec![Feature::new("x", kind, Side::Context)]).unwrap()
}

fn column(kind: Kind, array: ArrayRef) -> Column {
    let batch = RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap();
    let binding = Binding::new(&schema(kind), &Need::default(), &batch.schema()).unwrap();
    binding.batch(&batch, 0).unwrap().features.remove(0)
}

fn categories(values: &Categorical) -> Vec<Option<String>> {
    let text = |category| match category {
        Category::Text(text) => text.to_owned(),
        Category::Integer(integer) => integer.to_string(),
    };
    (0..values.len()).map(|row| values.get(row).map(text)).collect()
}

#[test]
fn numbers_are_numbers_whatever_their_type_and_missing_is_nan() {
    let dictionary = DictionaryArray::<Int8Type>::new(
        Int8Array::from(vec![Some(1), None, Some(0)]),
        Arc::new(Float64Array::from(vec![0.0, 1.0])),
    );
    let arrays: [ArrayRef; 8] = [
        Arc::new(Int8Array::from(vec![Some(1), None, Some(0)])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(0)])),
        Arc::new(UInt64Array::from(vec![Some(1), None, Some(0)])),
        Arc::new(Float32Array::from(vec![Some(1.0), None, Some(0.0)])),
        Arc::new(Float64Array::from(vec![Some(1.0), None, Some(0.0)])),
        Arc::new(Float64Array::from(vec![1.0, f64::NAN, 0.0])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(dictionary),
    ];
    for array in arrays {
        let found = format!("{}", array.data_type());
        let Column::Numeric(values) = column(Kind::Numeric, array) else { panic!("{found} is not numeric") };
        assert_eq!((values.get(0), values.get(2)), (1.0, 0.0), "{found}");
        assert!(values.get(1).is_nan(), "{found}");
    }
}

#[test]
fn categories_are_the_same_whatever_their_type() {
    let dictionary: DictionaryArray<Int32Type> = vec![Some("7"), None, Some("8")].into_iter().collect();
    let numbers = DictionaryArray::<Int8Type>::new(
        Int8Array::from(vec![Some(1), None, Some(0)]),
        Arc::new(Int64Array::from(vec![8, 7])),
    );
    let arrays: [ArrayRef; 7] = [
        Arc::new(StringArray::from(vec![Some("7"), None, Some("8")])),
        Arc::new(LargeStringArray::from(vec![Some("7"), None, Some("8")])),
        Arc::new(StringViewArray::from(vec![Some("7"), None, Some("8")])),
        Arc::new(dictionary),
        Arc::new(Int64Array::from(vec![Some(7), None, Some(8)])),
        // What a data frame makes of integers with holes.
        Arc::new(Float64Array::from(vec![Some(7.0), None, Some(8.0)])),
        Arc::new(numbers),
    ];
    for array in arrays {
        let found = format!("{}", array.data_type());
        let Column::Categorical(values) = column(Kind::Categorical, array) else { panic!("{found}") };
        assert_eq!(categories(&values), [Some("7".to_owned()), None, Some("8".to_owned())], "{found}");
        let mut hashes = Vec::new();
        values.map_into(&mut hashes, |category| category.map_or(0, Category::hash));
        assert_eq!(hashes, [clickcast_record::hash::integer(7), 0, clickcast_record::hash::integer(8)], "{found}");
    }
}

#[test]
fn lists_and_separated_text_are_the_same_lists() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("a"), Some("b")]);
    builder.append_null();
    builder.append_value([Some("b")]);
    let arrays: [ArrayRef; 2] =
        [Arc::new(builder.finish()), Arc::new(StringArray::from(vec![Some("a|b"), None, Some(" b |")]))];
    for array in arrays {
        let Column::Multi(lists) = column(Kind::Multi, array) else { panic!("not a list") };
        assert_eq!(lists.offsets, [0, 2, 2, 3]);
        assert_eq!(categories(&lists.values), ["a", "b", "b"].map(|item| Some(item.to_owned())));
    }
}

#[test]
fn labels_weights_and_times_are_read_beside_the_features() {
    let batch = RecordBatch::try_from_iter([
        ("x", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("y", Arc::new(StringArray::from(vec!["Yes", "no"])) as ArrayRef),
        ("w", Arc::new(Float32Array::from(vec![0.5, 2.0])) as ArrayRef),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![-1, 2_000])) as ArrayRef),
    ])
    .unwrap();
    let name = |name: &str| Some(name.to_owned());
    let schema = schema(Kind::Numeric)
        .with_roles(Roles { label: name("y"), weight: name("w"), time: name("t"), ..Roles::default() })
        .unwrap();
    let need = Need { labels: true, times: true, carried: vec!["y".to_owned()] };
    assert_eq!(need.columns(&schema), ["x", "y", "w", "t"]);
    let read = Binding::new(&schema, &need, &batch.schema()).unwrap().batch(&batch, 0).unwrap();
    assert_eq!(read.labels.unwrap(), [true, false]);
    assert_eq!(read.weights.unwrap(), [0.5, 2.0]);
    assert_eq!(read.times.unwrap(), [-1, 2].map(Time::from_ms));
    assert_eq!(read.carried[0].1.len(), 2);
}

#[test]
fn what_does_not_fit_is_said_with_column_row_and_types() {
    let text = || Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef;
    let floats = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let name = |name: &str| Some(name.to_owned());
    let labelled =
        schema(Kind::Numeric).with_roles(Roles { label: name("y"), weight: name("w"), ..Roles::default() }).unwrap();
    let good = || floats(vec![0.0, 1.0]);
    for (columns, said) in [
        (vec![("x", text())], "column `x` is text, but the schema says numeric"),
        (vec![("z", good())], "column `x` is missing; the data has: z"),
        (vec![("x", good()), ("y", floats(vec![0.0, 2.0])), ("w", good())], "column `y`, row 12: the label is 2;"),
        (vec![("x", good()), ("y", text()), ("w", good())], "column `y`, row 11: the label is `a`"),
        (vec![("x", good()), ("y", floats(vec![0.0, f64::NAN])), ("w", good())], "row 12: the label is missing"),
        (vec![("x", good()), ("y", good()), ("w", floats(vec![1.0, f64::INFINITY]))], "`w`, row 12: the weight is inf"),
        (vec![("x", good()), ("y", good()), ("w", floats(vec![-1.0, 1.0]))], "`w`, row 11: the weight is -1"),
        (vec![("x", good()), ("y", good()), ("w", floats(vec![f64::NAN, 1.0]))], "the weight is missing or NaN"),
    ] {
        let labels = columns.len() > 1;
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let need = Need { labels, ..Need::default() };
        let read = Binding::new(&labelled, &need, &batch.schema()).and_then(|binding| binding.batch(&batch, 10));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(said), "{said} / {error}");
    }
}
