//! The form of a user's file: a pair in each line, key and value with a tab between.
//!
//! A line ends with a line feed, which may be missing after the last. In keys and values `\t`, `\n`, `\r`, `\\` and `\xHH` stand for a tab, a line
//! feed, a carriage return, a backslash and the byte of two hexadecimal digits; every other byte stands for itself, whether the file is
//! UTF-8 or not. Empty lines are skipped. So a file of two columns is most often what `cut`, `psql` or `sqlite3 -tabs` print as it is.

use std::io::{self, BufRead, Read};

/// A longer line is refused: it is more often a file without line feeds than a pair.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What is wrong with a file of pairs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A line without a value.
    #[error("line {line}: no tab stands between a key and a value")]
    NoTab {
        /// From one.
        line: u64,
    },
    /// A line of three columns, or a tab in a value.
    #[error("line {line}: a second tab; a tab within a key or a value is written as \\t")]
    SecondTab {
        /// From one.
        line: u64,
    },
    /// A backslash before something else than `t`, `n`, `r`, `\` and `xHH`.
    #[error("line {line}: `{escape}` stands for nothing; a backslash is written as \\\\")]
    Escape {
        /// From one.
        line: u64,
        /// What stands there.
        escape: String,
    },
    /// A line of more than 64 MiB.
    #[error("line {line}: longer than 64 MiB")]
    Long {
        /// From one.
        line: u64,
    },
    /// A file without a pair.
    #[error("there is no pair in it")]
    Empty,
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A key and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Reads pairs one after the other; holds one line at a time.
#[derive(Debug)]
pub struct PairReader<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<R: BufRead> PairReader<R> {
    /// Of the lines of `input`.
    pub fn new(input: R) -> Self {
        PairReader { input, number: 0, line: Vec::new(), key: Vec::new(), value: Vec::new() }
    }

    /// The next pair, or nothing at the end.
    ///
    /// # Errors
    ///
    /// [`DataError`] with the line's number. The reader may not be used after one.
    pub fn next_pair(&mut self) -> Result<Option<Pair<'_>>, DataError> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if read as u64 == LINE_BYTES_MAX {
                return Err(DataError::Long { line: self.number });
            }
            if !self.line.is_empty() {
                break;
            }
        }
        let line = self.number;
        let mut columns = self.line.split(|byte| *byte == b'\t');
        let (Some(key), Some(value)) = (columns.next(), columns.next()) else {
            return Err(DataError::NoTab { line });
        };
        if columns.next().is_some() {
            return Err(DataError::SecondTab { line });
        }
        for (from, to) in [(key, &mut self.key), (value, &mut self.value)] {
            unescape(from, to).map_err(|escape| DataError::Escape { line, escape })?;
        }
        Ok(Some((&self.key, &self.value)))
    }
}

/// What the text stands for; or the escape that stands for nothing.
fn unescape(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), String> {
    bytes.clear();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        bytes.extend_from_slice(&rest[..at]);
        let escape = &rest[at..];
        let (byte, len) = match escape {
            [_, b't', ..] => (b'\t', 2),
            [_, b'n', ..] => (b'\n', 2),
            [_, b'r', ..] => (b'\r', 2),
            [_, b'\\', ..] => (b'\\', 2),
            [_, b'x', high, low, ..] => match (hexadecimal(*high), hexadecimal(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => return Err(String::from_utf8_lossy(&escape[..4]).into_owned()),
            },
            _ => return Err(String::from_utf8_lossy(&escape[..escape.len().min(2)]).into_owned()),
        };
        bytes.push(byte);
        rest = &escape[len..];
    }
    bytes.extend_from_slice(rest);
    Ok(())
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (Vec<u8>, Vec<u8>);

    fn pairs(text: &[u8]) -> Result<Vec<Owned>, String> {
        let mut reader = PairReader::new(text);
        let mut pairs = Vec::new();
        while let Some((key, value)) = reader.next_pair().map_err(|error| error.to_string())? {
            pairs.push((key.to_vec(), value.to_vec()));
        }
        Ok(pairs)
    }

    fn pair(key: &[u8], value: &[u8]) -> Owned {
        (key.to_vec(), value.to_vec())
    }

    #[test]
    fn a_line_is_a_pair_and_the_last_need_not_end() {
        let expected = vec![pair(b"k1", b"v 1"), pair(b"k2", b""), pair(b"", b"v")];
        assert_eq!(pairs(b"k1\tv 1\n\nk2\t\n\tv"), Ok(expected));
        assert_eq!(pairs(b""), Ok(vec![]));
    }

    #[test]
    fn escapes_stand_for_any_byte() {
        assert_eq!(pairs(b"a\\tb\\\\\t\\x00\\xfF\\n\\r"), Ok(vec![pair(b"a\tb\\", &[0, 255, b'\n', b'\r'])]));
        assert_eq!(pairs(b"\xff\xfe\t\x00"), Ok(vec![pair(&[255, 254], &[0])]));
    }

    #[test]
    fn what_is_no_pair_is_named_with_its_line() {
        for (text, error) in [
            (&b"a\tb\n\nxyz\n"[..], "line 3: no tab stands between a key and a value"),
            (b"a\tb\tc", "line 1: a second tab; a tab within a key or a value is written as \\t"),
            (b"a\tb\na\t\\q", "line 2: `\\q` stands for nothing; a backslash is written as \\\\"),
            (b"a\tb\\", "line 1: `\\` stands for nothing; a backslash is written as \\\\"),
            (b"a\t\\x4g", "line 1: `\\x4g` stands for nothing; a backslash is written as \\\\"),
            (b"a\t\\x4", "line 1: `\\x` stands for nothing; a backslash is written as \\\\"),
        ] {
            assert_eq!(pairs(text), Err(error.to_owned()));
        }
    }

    #[test]
    fn a_file_without_line_feeds_is_refused_before_it_fills_the_memory() {
        let mut reader = PairReader::new(io::BufReader::new(io::repeat(b'x')));
        assert!(matches!(reader.next_pair(), Err(DataError::Long { line: 1 })));
    }
}
