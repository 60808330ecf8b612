//! Features derived from other columns: a small expression, parsed once and evaluated batch by batch.
//!
//! Numbers come from `+ - * /`, `min(a, b)`, `max(a, b)`, `abs(a)`, `log1p(a)` and `equal(a, b)`, which is 1 or 0 and
//! compares texts as well. Categories come from `join(a, b)`, the text `a|b`. A column is written by its name, between
//! backticks if the name is not a plain word. The result is missing if an operand is missing, on division by zero, and if
//! the operand of `log1p` is not above -1.

mod parse;

use std::collections::HashMap;

use arrow_array::StringArray;
use serde::{Deserialize, Serialize};

use crate::batch::{Categorical, Categories, Category, Column, Numeric};
use crate::{Error, Kind};

/// A well-formed expression; it keeps its text as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    pub(crate) form: Form,
    columns: Vec<String>,
}

/// The result of an expression. Columns are places in [`Expression::columns`].
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// A quantity.
    Number(Node),
    /// The categories of two columns as one.
    Join(usize, usize),
}

/// A quantity.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Constant(f64),
    Column(usize),
    One(fn(f64) -> f64, Box<Node>),
    Two(fn(f64, f64) -> f64, Box<[Node; 2]>),
    /// Whether two columns are equal; compared by their categories if one is text.
    Same(usize, usize),
}

/// How a source column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// By its quantities.
    Number,
    /// By its categories.
    Category,
    /// By its quantities or its categories, whichever both columns of an `equal` have; holds the place of the other one.
    Either(usize),
}

impl Expression {
    /// Returns the text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the columns it reads, each once.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Checks that the expression makes features of this kind; otherwise says what to change.
    pub(crate) fn fits(&self, kind: Kind) -> Result<(), &'static str> {
        match (kind, &self.form) {
            (Kind::Numeric, Form::Number(_)) | (Kind::Categorical, Form::Join(..) | Form::Number(Node::Same(..))) => {
                Ok(())
            }
            (Kind::Numeric, Form::Join(..)) => Err("`join` makes categories; say `kind = \"categorical\"`"),
            (Kind::Categorical, Form::Number(_)) => Err("it makes a quantity; say `kind = \"numeric\"`"),
            (Kind::Multi, _) => Err("lists can't be derived; compute them beforehand"),
        }
    }

    /// Returns how the columns are read: one entry for each use.
    pub(crate) fn uses(&self) -> Vec<(usize, Use)> {
        fn walk(node: &Node, uses: &mut Vec<(usize, Use)>) {
            match node {
                Node::Constant(_) => {}
                Node::Column(column) => uses.push((*column, Use::Number)),
                Node::One(_, inner) => walk(inner, uses),
                Node::Two(_, inner) => inner.iter().for_each(|inner| walk(inner, uses)),
                Node::Same(one, other) => uses.extend([(*one, Use::Either(*other)), (*other, Use::Either(*one))]),
            }
        }
        let mut uses = Vec::new();
        match &self.form {
            Form::Number(node) => walk(node, &mut uses),
            Form::Join(one, other) => uses.extend([(*one, Use::Category), (*other, Use::Category)]),
        }
        uses
    }

    /// Computes a feature of this kind from its source columns.
    pub(crate) fn compute(&self, kind: Kind, sources: &[Source], rows: usize) -> Column {
        match &self.form {
            Form::Join(one, other) => Column::Categorical(join(&sources[*one].categories, &sources[*other].categories)),
            Form::Number(node) => {
                let values = quantity(node, sources, rows);
                if kind == Kind::Numeric {
                    return Column::Numeric(Numeric::F64(values.into()));
                }
                let nulls: Vec<bool> = values.iter().map(|value| !value.is_nan()).collect();
                let values = values.iter().map(|&value| value as i64).collect();
                Column::Categorical(Categorical::Integers { values, nulls: Some(nulls.into()) })
            }
        }
    }
}

/// A source column of a batch, in each form in which it is read; the other forms are empty.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) numbers: Numeric,
    pub(crate) categories: Categorical,
}

impl Default for Source {
    fn default() -> Self {
        let categories = Categorical::Integers { values: Vec::new().into(), nulls: None };
        Self { numbers: Numeric::F64(Vec::new().into()), categories }
    }
}

impl TryFrom<String> for Expression {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let (form, columns) = parse::parse(&text)
            .map_err(|problem| Error::Schema(format!("`derive = \"{text}\"`: {problem}", text = shortened(&text))))?;
        Ok(Self { text, form, columns })
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

/// Returns a text as a sentence can hold it.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let mut short: String = text.chars().take(CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short += "...";
    }
    short
}

fn quantity(node: &Node, sources: &[Source], rows: usize) -> Vec<f64> {
    match node {
        Node::Constant(value) => vec![*value; rows],
        Node::Column(column) => (0..rows).map(|row| sources[*column].numbers.get(row)).collect(),
        Node::One(function, inner) => {
            let mut values = quantity(inner, sources, rows);
            values.iter_mut().for_each(|value| *value = function(*value));
            values
        }
        Node::Two(function, inner) => {
            let mut values = quantity(&inner[0], sources, rows);
            let others = quantity(&inner[1], sources, rows);
            values.iter_mut().zip(others).for_each(|(value, other)| *value = function(*value, other));
            values
        }
        Node::Same(one, other) => {
            let (one, other) = (&sources[*one], &sources[*other]);
            if one.categories.is_empty() || other.categories.is_empty() {
                let number = |row| same(one.numbers.get(row), other.numbers.get(row));
                return (0..rows).map(number).collect();
            }
            let hashes = |values: &Categorical| {
                let mut hashes = Vec::new();
                values.map_into(&mut hashes, |value| value.map(Category::hash));
                hashes
            };
            let pairs = hashes(&one.categories).into_iter().zip(hashes(&other.categories));
            pairs
                .map(
                    |pair| {
                        if let (Some(one), Some(other)) = pair { f64::from(u8::from(one == other)) } else { f64::NAN }
                    },
                )
                .collect()
        }
    }
}

fn same(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() { f64::NAN } else { f64::from(u8::from(one == other)) }
}

/// Joins two columns' categories; each pair that occurs is written once.
fn join(one: &Categorical, other: &Categorical) -> Categorical {
    let mut codes_of: HashMap<[u64; 2], u32> = HashMap::new();
    let mut texts: Vec<String> = Vec::new();
    let codes = (0..one.len()).map(|row| {
        let (Some(left), Some(right)) = (one.get(row), other.get(row)) else { return 0 };
        *codes_of.entry([place(one, row), place(other, row)]).or_insert_with(|| {
            texts.push(format!("{}|{}", written(left), written(right)));
            texts.len() as u32
        })
    });
    let codes = codes.collect();
    Categorical::Coded { codes, categories: Categories::Text(StringArray::from(texts)) }
}

/// Returns a number that tells a row's category from the others of its column.
fn place(values: &Categorical, row: usize) -> u64 {
    match values {
        Categorical::Coded { codes, .. } => u64::from(codes[row]),
        Categorical::Integers { values, .. } => values[row] as u64,
    }
}

fn written(category: Category<'_>) -> String {
    match category {
        Category::Text(text) => text.to_owned(),
        Category::Integer(integer) => integer.to_string(),
    }
}
