//! Features of side `pair` that are computed from other columns.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use clickcast_record::{Batch, Binding, Categorical, Category, Column, Error, Need, Schema};
use proptest::prelude::*;

fn schema(kind: &str, derive: &str) -> Result<Schema, Error> {
    Schema::from_toml(&format!("[[feature]]\nname = \"f\"\nkind = \"{kind}\"\nside = \"pair\"\nderive = '{derive}'\n"))
}

/// Two quantities, an integer, two texts and a list, each with something missing.
fn data() -> RecordBatch {
    let texts = |values: [Option<&'static str>; 4]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let lists = vec![Some(vec![Some(1)]), None, Some(vec![]), Some(vec![Some(2)])];
    RecordBatch::try_from_iter_with_nullable([
        ("a", Arc::new(Float64Array::from(vec![Some(2.0), Some(-3.0), None, Some(0.0)])) as ArrayRef, true),
        ("b", Arc::new(Float64Array::from(vec![Some(4.0), Some(0.0), Some(1.0), Some(0.0)])), true),
        ("n", Arc::new(Int64Array::from(vec![Some(4), Some(7), Some(7), None])), true),
        ("s", texts([Some("x"), Some("7"), None, Some("y")]), true),
        ("t", texts([Some("x"), Some("z"), Some("z"), Some("z")]), true),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)), true),
        ("bid price", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0])), true),
    ])
    .unwrap()
}

fn read(schema: &Schema, data: &RecordBatch) -> Result<Batch, Error> {
    let columns = Need::default().columns(schema);
    let places: Vec<usize> = columns.iter().filter_map(|name| data.schema().index_of(name).ok()).collect();
    let data = data.project(&places).unwrap();
    Binding::new(schema, &Need::default(), &data.schema())?.batch(&data, 0)
}

fn numbers(derive: &str) -> Vec<Option<f64>> {
    let batch = read(&schema("numeric", derive).unwrap(), &data()).unwrap();
    let Column::Numeric(values) = &batch.features[0] else { panic!("{derive} is no quantity") };
    (0..batch.rows).map(|row| Some(values.get(row)).filter(|value| !value.is_nan())).collect()
}

fn categories(derive: &str) -> Vec<Option<String>> {
    let batch = read(&schema("categorical", derive).unwrap(), &data()).unwrap();
    let Column::Categorical(values) = &batch.features[0] else { panic!("{derive} is no category") };
    let text = |category| match category {
        Category::Text(text) => text.to_owned(),
        Category::Integer(integer) => integer.to_string(),
    };
    if let Categorical::Coded { codes, categories } = values {
        assert!(categories.len() <= codes.len(), "each pair of categories is written out once");
    }
    (0..batch.rows).map(|row| values.get(row).map(text)).collect()
}

#[test]
fn quantities_are_computed_and_what_is_missing_stays_missing() {
    for (derive, expected) in [
        ("a + b * 2 - 1", [Some(9.0), Some(-4.0), None, Some(-1.0)]),
        ("(a + b) * 2", [Some(12.0), Some(-6.0), None, Some(0.0)]),
        ("a - b - 1", [Some(-3.0), Some(-4.0), None, Some(-1.0)]),
        ("a / b", [Some(0.5), None, None, None]),
        ("--a", [Some(2.0), Some(-3.0), None, Some(0.0)]),
        ("-a * 2e1", [Some(-40.0), Some(60.0), None, Some(0.0)]),
        ("min(a, b)", [Some(2.0), Some(-3.0), None, Some(0.0)]),
        ("max(b, a)", [Some(4.0), Some(0.0), None, Some(0.0)]),
        ("abs(a)", [Some(2.0), Some(3.0), None, Some(0.0)]),
        ("log1p(a)", [Some(2f64.ln_1p()), None, None, Some(0.0)]),
        ("equal(a + 2, b)", [Some(1.0), Some(0.0), None, Some(0.0)]),
        ("equal(b, n)", [Some(1.0), Some(0.0), Some(0.0), None]),
        ("equal(s, t)", [Some(1.0), Some(0.0), None, Some(0.0)]),
        ("equal(n, s)", [Some(0.0), Some(1.0), None, None]),
        ("equal(s, t) * equal(s, n) + b", [Some(4.0), Some(0.0), None, None]),
        ("`bid price` * .5", [Some(0.5), Some(1.0), Some(1.5), Some(2.0)]),
    ] {
        assert_eq!(numbers(derive), expected, "{derive}");
    }
}

#[test]
fn categories_are_joined_as_text() {
    let text = |values: [&str; 4]| values.map(|value| Some(value.to_owned()).filter(|value| !value.is_empty()));
    for (derive, expected) in [
        ("join(s, t)", ["x|x", "7|z", "", "y|z"]),
        ("join(n, t)", ["4|x", "7|z", "7|z", ""]),
        ("join(b, n)", ["4|4", "0|7", "1|7", ""]),
        ("equal(s, t)", ["1", "0", "", "0"]),
    ] {
        assert_eq!(categories(derive), text(expected), "{derive}");
    }
}

#[test]
fn what_is_wrong_with_an_expression_is_said() {
    let (long, deep) = (format!("a{}", " + a".repeat(400)), format!("{}a{}", "(".repeat(60), ")".repeat(60)));
    let deep_signs = format!("{}a", "-".repeat(900));
    for (kind, derive, said) in [
        ("numeric", "", "it ends where a number or a column is expected"),
        ("numeric", "a +", "it ends where a number or a column is expected"),
        ("numeric", "a b", "`b` is not expected at character 3"),
        ("numeric", "(a", "`)` is expected at its end"),
        ("numeric", "a)", "`)` is not expected at character 2"),
        ("numeric", "`a", "``` is expected at its end"),
        ("numeric", "1.2.3 * a", "`1.2.3` at character 1 is not a number"),
        ("numeric", "a * 1e999", "`1e999` at character 5 is not a number"),
        ("numeric", "1 + 2", "it names no column"),
        ("numeric", "é % a", "`%` is not expected at character 3"),
        ("numeric", "abs(a, b)", "`abs` takes one value, not 2"),
        ("numeric", "min(a)", "`min` takes two values, not 1"),
        ("numeric", "power(a, b)", "there is no function `power`"),
        ("numeric", "join(a, b) + 1", "`join` makes categories, with which nothing can be computed"),
        ("categorical", "join(a + 1, b)", "`join` takes two columns"),
        ("numeric", &long, "longer than 1000 bytes"),
        ("numeric", &deep, "nested deeper than 32 levels"),
        ("numeric", &deep_signs, "nested deeper than 32 levels"),
        ("numeric", "join(s, t)", "say `kind = \"categorical\"`"),
        ("categorical", "a + b", "say `kind = \"numeric\"`"),
        ("multi", "join(s, t)", "lists can't be derived"),
        ("numeric", "f + a", "it reads `f`, which is itself derived"),
        ("numeric", "a + nope", "column `nope` is missing; the data has: a"),
        ("numeric", "a + s", "column `s` is text; a number is needed"),
        ("categorical", "join(s, list)", "column `list` is List"),
    ] {
        let error = schema(kind, derive).and_then(|schema| read(&schema, &data())).unwrap_err().to_string();
        assert!(error.contains(said), "{derive}: {error}");
    }
}

#[test]
fn a_schema_with_a_derived_feature_reads_as_it_is_written() {
    let own = schema("numeric", "a / (b + 1)").unwrap();
    assert_eq!(Need::default().columns(&own), ["a", "b"]);
    assert_eq!(own.features()[0].derive.as_ref().unwrap().text(), "a / (b + 1)");
    assert_ne!(own, schema("numeric", "a/(b+1)").unwrap());
}

/// An expression as text, and what it makes of one row.
fn expressions() -> impl Strategy<Value = (String, f64)> {
    let leaf = prop_oneof![
        Just(("a".to_owned(), 2.0)),
        Just(("b".to_owned(), 4.0)),
        (0u8..9).prop_map(|digit| (digit.to_string(), f64::from(digit))),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        (inner.clone(), inner, 0..8).prop_map(|((left, x), (right, y), operation)| match operation {
            0 => (format!("({left} + {right})"), x + y),
            1 => (format!("({left} - {right})"), x - y),
            2 => (format!("({left} * {right})"), x * y),
            3 => (format!("({left} / {right})"), if y == 0.0 { f64::NAN } else { x / y }),
            4 => (format!("min({left}, {right})"), if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }),
            5 => (format!("max({left},{right})"), if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }),
            6 => (format!("-abs({left})"), -x.abs()),
            _ => (format!("log1p({left})"), if x > -1.0 { x.ln_1p() } else { f64::NAN }),
        })
    })
}

proptest! {
    #[test]
    fn an_expression_computes_what_it_says((text, expected) in expressions()) {
        prop_assume!(text.contains(['a', 'b']) && text.len() <= 900);
        // Letters of function names are no columns.
        if let Ok(own) = schema("numeric", &text) {
            let wide = Need::default().columns(&own);
            prop_assert!(wide.iter().all(|name| name == "a" || name == "b"));
            prop_assert_eq!(numbers(&text)[0], Some(expected).filter(|value| !value.is_nan()));
        } else {
            prop_assert!(schema("numeric", &format!("a + {text}")).is_ok(), "{}", text);
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "[ab0-9.eE+*/(), `a-zé-]{0,60}") {
        let _ = schema("numeric", &text);
    }
}
