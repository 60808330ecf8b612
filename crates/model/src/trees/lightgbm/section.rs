//! Lines, sections of `key=value` lines, and arrays of numbers.

use std::str::FromStr;

use super::error::{ParseError, excerpt};

/// Lines of a file, counted from 1; `\r\n` is accepted.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, number: 0 }
    }

    /// Returns the number of the line read last.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Returns the next line without its end; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> Result<Option<&'a str>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        let line = std::str::from_utf8(line)
            .map_err(|_| ParseError::malformed(self.number, "the line is not UTF-8; is this a LightGBM text model?"))?;
        Ok(Some(line.strip_suffix('\r').unwrap_or(line)))
    }
}

/// Consecutive `key=value` lines.
pub(super) struct Section<'a> {
    line: usize,
    entries: Vec<Entry<'a>>,
}

/// One `key=value` line; a line without `=` is a flag with an empty value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) line: usize,
    key: &'a str,
    pub(super) value: &'a str,
}

/// LightGBM writes 24 keys at most in a tree; more are no tree. Keeps the look-up's cost bounded.
const ENTRIES_MAX: usize = 64;

impl<'a> Section<'a> {
    pub(super) fn new(line: usize) -> Self {
        Self { line, entries: Vec::new() }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: usize, text: &'a str) -> Result<(), ParseError> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if self.entries.len() == ENTRIES_MAX {
            return Err(ParseError::malformed(line, format!("more than {ENTRIES_MAX} lines without a blank line")));
        }
        if self.find(key).is_some() {
            return Err(ParseError::malformed(line, format!("`{}` is there twice", excerpt(key))));
        }
        self.entries.push(Entry { line, key, value });
        Ok(())
    }

    pub(super) fn find(&self, key: &str) -> Option<Entry<'a>> {
        self.entries.iter().find(|entry| entry.key == key).copied()
    }

    pub(super) fn require(&self, key: &str) -> Result<Entry<'a>, ParseError> {
        self.find(key).ok_or_else(|| {
            ParseError::malformed(
                self.line,
                format!("no `{key}=` in the section that starts here; is the file truncated?"),
            )
        })
    }
}

impl<'a> Entry<'a> {
    /// Returns the value as one number.
    pub(super) fn number<T: FromStr>(&self) -> Result<T, ParseError> {
        let value = self.value.trim();
        value.parse().map_err(|_| self.error(format!("`{}` is not a number of the right kind", excerpt(value))))
    }

    /// Returns the value as exactly `count` numbers. Allocates for the numbers that are there, not for those promised.
    pub(super) fn numbers<T: FromStr>(&self, count: usize) -> Result<Vec<T>, ParseError> {
        let mut numbers = Vec::new();
        for (index, text) in self.value.split_ascii_whitespace().enumerate() {
            if index == count {
                return Err(self.error(format!("more than the {count} values expected")));
            }
            let number = text.parse().map_err(|_| {
                self.error(format!("value {} `{}` is not a number of the right kind", index + 1, excerpt(text)))
            })?;
            numbers.push(number);
        }
        if numbers.len() < count {
            return Err(self.error(format!("{} values where {count} are expected", numbers.len())));
        }
        Ok(numbers)
    }

    /// As [`Entry::numbers`], and each finite.
    pub(super) fn finite_numbers(&self, count: usize) -> Result<Vec<f64>, ParseError> {
        let numbers = self.numbers::<f64>(count)?;
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(index) => Err(self.error(format!("value {} is not finite", index + 1))),
            None => Ok(numbers),
        }
    }

    /// Returns a malformed-file error at this line.
    pub(super) fn error(&self, message: impl AsRef<str>) -> ParseError {
        ParseError::malformed(self.line, format!("`{}`: {}", excerpt(self.key), message.as_ref()))
    }
}
