//! Text whose records are bounded: a quote that nobody closes must not make one cell of the rest of a file.

use std::io::{BufRead, Error, Read, Result};

use memchr::{memchr, memchr_iter, memrchr2};

/// Bytes of one record, give or take a buffer: a thousand columns of 16 KiB, and far below what memory holds.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// Passes text on, and fails where a record is too long, or the text ends within quotes.
///
/// Quotes are understood as the parser does: one at a cell's beginning opens it, the next closes it, and any other is text.
pub(crate) struct Records<R> {
    text: R,
    quotes: Quotes,
}

/// What was seen of the text so far.
struct Quotes {
    delimiter: u8,
    quoted: bool,
    /// Whether a quote would open a cell if it came next, or open it again: two quotes in a cell are one.
    opens: bool,
    line_feeds: usize,
    carriage_returns: usize,
    /// Of the record that has not ended.
    record_bytes: usize,
}

impl<R: BufRead> Records<R> {
    pub(crate) fn new(text: R, delimiter: u8) -> Self {
        let (line_feeds, carriage_returns, record_bytes) = (0, 0, 0);
        let quotes = Quotes { delimiter, quoted: false, opens: true, line_feeds, carriage_returns, record_bytes };
        Self { text, quotes }
    }
}

impl Quotes {
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = if self.quoted { self.pass_quoted(bytes) } else { self.pass_plain(bytes) };
            bytes = &bytes[passed..];
        }
    }

    /// Passes the closing quote, if there is one; how many bytes.
    fn pass_quoted(&mut self, bytes: &[u8]) -> usize {
        let close = memchr(b'"', bytes);
        (self.quoted, self.opens) = (close.is_none(), true);
        let passed = close.map_or(bytes.len(), |place| place + 1);
        self.record_bytes += passed;
        passed
    }

    /// Passes the next quote that opens a cell, if there is one; how many bytes.
    fn pass_plain(&mut self, bytes: &[u8]) -> usize {
        let separates = |byte: u8| byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        let opens_at = |place: usize| if place == 0 { self.opens } else { separates(bytes[place - 1]) };
        let open = memchr_iter(b'"', bytes).find(|&place| opens_at(place));
        let passed = open.map_or(bytes.len(), |place| place + 1);
        self.opens = separates(bytes[passed - 1]);
        self.quoted = open.is_some();
        match memrchr2(b'\n', b'\r', &bytes[..passed]) {
            Some(end) => {
                self.line_feeds += memchr_iter(b'\n', &bytes[..=end]).count();
                self.carriage_returns += memchr_iter(b'\r', &bytes[..=end]).count();
                self.record_bytes = passed - end - 1;
            }
            None => self.record_bytes += passed,
        }
        passed
    }

    fn refused(&self, problem: &str) -> Error {
        // The first line has the names. Either sign may end a line, or both together.
        Error::other(match self.line_feeds.max(self.carriage_returns) {
            0 => format!("the line of column names {problem}"),
            row => format!("row {row} {problem}"),
        })
    }
}

impl<R: BufRead> BufRead for Records<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.quotes.record_bytes > RECORD_BYTES_MAX {
            let bound = RECORD_BYTES_MAX >> 20;
            return Err(self.quotes.refused(&format!("is longer than {bound} MiB; perhaps a quote is not closed")));
        }
        if self.quotes.quoted && self.text.fill_buf()?.is_empty() {
            return Err(self.quotes.refused("has a quote that is not closed"));
        }
        self.text.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is consumed has been filled: this reads nothing, and can't fail.
        if let Ok(bytes) = self.text.fill_buf() {
            self.quotes.pass(&bytes[..count]);
        }
        self.text.consume(count);
    }
}

impl<R: BufRead> Read for Records<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is said of a text that comes in pieces of so many bytes.
    fn said(text: &str, piece: usize) -> String {
        let mut records = Records::new(std::io::BufReader::with_capacity(piece, text.as_bytes()), b',');
        std::io::copy(&mut records, &mut std::io::sink()).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_quote_that_is_not_closed_is_told_from_all_that_are_text() {
        for (text, expected) in [
            ("a,b\n1,2\n", ""),
            ("a,b\n\"1\n2\",\"\"\n", ""),
            ("a,b\n5\" disk,2\n", ""),
            ("a,b\n\"1\"\"2\",\"3\"\"\"\n", ""),
            ("a,b\n\"1\"2\"3,4\n", ""),
            ("a,b\n1,\"2\n3,4\n", "row 1 has a quote that is not closed"),
            ("a,b\r\n1,2\r\n\"3,4", "row 2 has a quote that is not closed"),
            ("a,b\r1,2\r3,\"4\"\"\r", "row 2 has a quote that is not closed"),
            ("a,\"b\n1,2\n", "the line of column names has a quote that is not closed"),
        ] {
            for piece in [1, 2, 3, 100] {
                assert_eq!(said(text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_record_is_bounded_and_a_file_is_not() {
        const PIECE: usize = 4096;
        let long = "x".repeat(RECORD_BYTES_MAX + 2 * PIECE);
        for (text, expected) in [
            (format!("a,b\n1,\"{long}\"\n"), "row 1 is longer than 16 MiB; perhaps a quote is not closed"),
            (format!("a,b\n1,2\n{long},3\n"), "row 2 is longer than 16 MiB; perhaps a quote is not closed"),
            (format!("a,b\n5\" disk,2\n{}", "1,2\n".repeat(RECORD_BYTES_MAX / 2)), ""),
            (format!("a,b\r{}", "1,2\r".repeat(RECORD_BYTES_MAX / 2)), ""),
        ] {
            assert_eq!(said(&text, PIECE), expected);
        }
    }
}
