//! From text to a tree, in one pass.
//!
//! ```text
//! expression = term { ("+" | "-") term }
//! term       = factor { ("*" | "/") factor }
//! factor     = "-" factor | number | column | name "(" expression { "," expression } ")" | "(" expression ")"
//! ```

use std::iter::Peekable;
use std::str::CharIndices;

use super::{Form, Node, same};

/// Bytes of an expression at most; a person writes some tens.
const LENGTH_MAX: usize = 1000;
/// Parentheses, signs and functions within each other at most, so that no text exhausts the stack.
const DEPTH_MAX: usize = 32;

/// The tree, and the columns it names.
pub(super) fn parse(text: &str) -> Result<(Form, Vec<String>), String> {
    if text.len() > LENGTH_MAX {
        return Err(format!("it is longer than {LENGTH_MAX} bytes; compute the feature beforehand"));
    }
    let mut parser = Parser { text, rest: text.char_indices().peekable(), columns: Vec::new() };
    let form = parser.expression(0)?;
    if let Some(found) = parser.peek() {
        return Err(format!("`{found}` is not expected at {}", parser.at()));
    }
    if parser.columns.is_empty() {
        return Err("it names no column, so it would be the same for all rows".to_owned());
    }
    Ok((form, parser.columns))
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    columns: Vec<String>,
}

impl Parser<'_> {
    fn expression(&mut self, depth: usize) -> Result<Form, String> {
        let mut left = self.term(depth)?;
        while let Some(sign) = self.take_any(&['+', '-']) {
            let right = self.term(depth)?;
            left = two(if sign == '+' { |a, b| a + b } else { |a, b| a - b }, left, right)?;
        }
        Ok(left)
    }

    fn term(&mut self, depth: usize) -> Result<Form, String> {
        let mut left = self.factor(depth)?;
        while let Some(sign) = self.take_any(&['*', '/']) {
            let right = self.factor(depth)?;
            left = two(if sign == '*' { |a, b| a * b } else { divided }, left, right)?;
        }
        Ok(left)
    }

    fn factor(&mut self, depth: usize) -> Result<Form, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX} levels; compute the feature beforehand"));
        }
        match self.peek() {
            Some('-') => {
                self.take('-')?;
                one(|value| -value, self.factor(depth + 1)?)
            }
            Some('(') => {
                self.take('(')?;
                let inner = self.expression(depth + 1)?;
                self.take(')')?;
                Ok(inner)
            }
            Some('`') => {
                self.take('`')?;
                let name = self.while_(|letter| letter != '`');
                self.take('`')?;
                Ok(self.column(name))
            }
            Some(first) if first.is_ascii_digit() || first == '.' => self.number(),
            Some(first) if first.is_alphabetic() || first == '_' => {
                let name = self.while_(|letter| letter.is_alphanumeric() || letter == '_');
                if self.peek() == Some('(') { self.call(&name, depth) } else { Ok(self.column(name)) }
            }
            Some(found) => Err(format!("`{found}` is not expected at {}", self.at())),
            None => Err("it ends where a number or a column is expected".to_owned()),
        }
    }

    fn number(&mut self) -> Result<Form, String> {
        let at = self.at();
        let mut text = self.while_(|letter| letter.is_ascii_digit() || letter == '.');
        if let Some(&(_, letter @ ('e' | 'E'))) = self.rest.peek() {
            self.rest.next();
            text.push(letter);
            if let Some(&(_, sign @ ('+' | '-'))) = self.rest.peek() {
                self.rest.next();
                text.push(sign);
            }
            text += &self.while_(|letter| letter.is_ascii_digit());
        }
        let value = text.parse().ok().filter(|value: &f64| value.is_finite());
        value
            .map(|value| Form::Number(Node::Constant(value)))
            .ok_or_else(|| format!("`{text}` at {at} is not a number"))
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Form, String> {
        self.take('(')?;
        let mut given = vec![self.expression(depth + 1)?];
        while self.take_any(&[',']).is_some() {
            given.push(self.expression(depth + 1)?);
        }
        self.take(')')?;
        let count = given.len();
        let mut given = given.into_iter();
        match (name, given.next(), given.next(), count) {
            ("abs", Some(value), None, 1) => one(f64::abs, value),
            ("log1p", Some(value), None, 1) => one(log1p, value),
            ("min", Some(left), Some(right), 2) => two(least, left, right),
            ("max", Some(left), Some(right), 2) => two(greatest, left, right),
            ("equal", Some(left), Some(right), 2) => match (&left, &right) {
                (Form::Number(Node::Column(left)), Form::Number(Node::Column(right))) => {
                    Ok(Form::Number(Node::Same(*left, *right)))
                }
                _ => two(same, left, right),
            },
            ("join", Some(left), Some(right), 2) => match (left, right) {
                (Form::Number(Node::Column(left)), Form::Number(Node::Column(right))) => Ok(Form::Join(left, right)),
                _ => Err("`join` takes two columns".to_owned()),
            },
            ("abs" | "log1p", ..) => Err(format!("`{name}` takes one value, not {count}")),
            ("min" | "max" | "equal" | "join", ..) => Err(format!("`{name}` takes two values, not {count}")),
            _ => Err(format!("there is no function `{name}`; there are min, max, abs, log1p, equal and join")),
        }
    }

    fn column(&mut self, name: String) -> Form {
        let place = self.columns.iter().position(|column| *column == name).unwrap_or_else(|| {
            self.columns.push(name);
            self.columns.len() - 1
        });
        Form::Number(Node::Column(place))
    }

    /// The next letter that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.rest.next_if(|(_, letter)| letter.is_whitespace()).is_some() {}
        self.rest.peek().map(|(_, letter)| *letter)
    }

    fn take(&mut self, wanted: char) -> Result<(), String> {
        match self.take_any(&[wanted]) {
            Some(_) => Ok(()),
            None => Err(format!("`{wanted}` is expected at {}", self.at())),
        }
    }

    fn take_any(&mut self, wanted: &[char]) -> Option<char> {
        let found = self.peek().filter(|letter| wanted.contains(letter))?;
        self.rest.next();
        Some(found)
    }

    fn while_(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some((_, letter)) = self.rest.next_if(|(_, letter)| belongs(*letter)) {
            text.push(letter);
        }
        text
    }

    /// Where the parser is, for a sentence.
    fn at(&mut self) -> String {
        match self.rest.peek() {
            Some((byte, _)) => format!("character {}", self.text[..*byte].chars().count() + 1),
            None => "its end".to_owned(),
        }
    }
}

fn number(form: Form) -> Result<Node, String> {
    match form {
        Form::Number(node) => Ok(node),
        Form::Join(..) => Err("`join` makes categories, with which nothing can be computed".to_owned()),
    }
}

fn one(function: fn(f64) -> f64, value: Form) -> Result<Form, String> {
    Ok(Form::Number(Node::One(function, Box::new(number(value)?))))
}

fn two(function: fn(f64, f64) -> f64, left: Form, right: Form) -> Result<Form, String> {
    Ok(Form::Number(Node::Two(function, Box::new([number(left)?, number(right)?]))))
}

fn divided(left: f64, right: f64) -> f64 {
    if right == 0.0 { f64::NAN } else { left / right }
}

fn log1p(value: f64) -> f64 {
    if value > -1.0 { value.ln_1p() } else { f64::NAN }
}

// Unlike those of f64, these are missing where one value is.
fn least(left: f64, right: f64) -> f64 {
    if left.is_nan() || left < right { left } else { right }
}

fn greatest(left: f64, right: f64) -> f64 {
    if left.is_nan() || left > right { left } else { right }
}
