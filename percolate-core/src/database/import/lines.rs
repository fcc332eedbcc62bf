//! Rows as lines of JSON: how a source is cut into lines, and how a line is parsed. A line that is
//! too long is never held in memory, and reasons contain no data.

use std::io::{self, BufRead};

use serde_json::Value;

use super::row::{ImportRow, Row};
use crate::schema::MAX_DEPTH;

/// The mark at the beginning of files that some programs write.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The lines of a source. Blank ones are counted and left out.
pub(super) struct Lines<R> {
    reader: R,
    line: usize,
    max_length: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, max_length: usize) -> Self {
        Self {
            reader,
            line: 0,
            max_length,
        }
    }

    /// Reads the next line, without its end. Returns `None` at the end of the source.
    fn read(&mut self) -> io::Result<Option<ImportRow>> {
        let mut line = Vec::new();
        let mut is_begun = false;
        let mut is_too_long = false;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() && !is_begun {
                return Ok(None);
            }
            is_begun = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            if line.len() + part.len() > self.max_length {
                is_too_long = true;
                line = Vec::new();
            } else if !is_too_long {
                line.extend_from_slice(part);
            }
            let is_complete = end.is_some() || available.is_empty();
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if is_complete {
                return Ok(Some(if is_too_long {
                    too_long(self.max_length)
                } else {
                    ImportRow::Line(line)
                }));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.read().transpose()? {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            };
            self.line += 1;
            let row = accepted(self.line, row, self.max_length);
            if row.is_some() {
                return row.map(Ok);
            }
        }
    }
}

/// Numbers a row. Removes the mark at the beginning of the first line, and refuses a line that is too
/// long. Returns `None` for a blank line.
pub(super) fn accepted(number: usize, row: ImportRow, max_length: usize) -> Option<Row> {
    let row = match row {
        ImportRow::Line(line) if line.len() > max_length => too_long(max_length),
        ImportRow::Line(mut line) => {
            if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                return None;
            }
            ImportRow::Line(line)
        }
        row => row,
    };
    Some(Row { line: number, row })
}

fn too_long(max_length: usize) -> ImportRow {
    ImportRow::Invalid(format!("the line is longer than {max_length} bytes"))
}

/// The first bytes of files in other forms than lines of JSON in UTF-8, with what to do.
const OTHER_FORMS: [(&[u8], &str); 4] = [
    (
        b"\x1f\x8b",
        "the data is compressed with gzip; decompress it first, in Python with gzip.open",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "the data is compressed with Zstandard; decompress it first",
    ),
    (
        b"\xff\xfe",
        "the data is in UTF-16; convert it to UTF-8, in Python with open(path, encoding=\"utf-16\")",
    ),
    (
        b"\xfe\xff",
        "the data is in UTF-16; convert it to UTF-8, in Python with open(path, encoding=\"utf-16\")",
    ),
];

/// Returns the reason to refuse a line of another form.
fn other_form(line: &[u8]) -> Option<String> {
    let mut forms = OTHER_FORMS.into_iter();
    let (_, reason) = forms.find(|(start, _)| line.starts_with(start))?;
    Some(reason.to_owned())
}

/// Parses a line, or returns why it is invalid.
pub(super) fn parse(line: &[u8]) -> Result<Value, String> {
    if let Some(reason) = other_form(line) {
        return Err(reason);
    }
    let is_array = line.trim_ascii_start().starts_with(b"[");
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("invalid UTF-8 at byte {}", error.valid_up_to() + 1))?;
    let value = serde_json::from_str(text).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&place).unwrap_or(&message);
        if message.starts_with("recursion limit") {
            format!("the data is nested deeper than {MAX_DEPTH} levels")
        } else if is_array && error.is_eof() {
            "an array begins here; each line must be one object (JSONL), in Python the elements of \
             json.load(file)"
                .to_owned()
        } else {
            format!("invalid JSON at column {}: {message}", error.column())
        }
    })?;
    match large_integer(line) {
        Some(at) => Err(format!(
            "the integer at column {} does not fit into 64 bits",
            at + 1
        )),
        None => Ok(value),
    }
}

/// Returns the position of the first integer in valid JSON that does not fit into 64 bits, which the
/// parser would round.
fn large_integer(json: &[u8]) -> Option<usize> {
    /// The digits that always fit.
    const DIGITS: usize = 18;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at + 1),
            b'-' | b'0'..=b'9' => {
                let rest = &json[at..];
                let is_number =
                    |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = rest.iter().take_while(|byte| is_number(byte)).count();
                let number = &rest[..length];
                let is_integer = !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
                if length > DIGITS && is_integer && !fits(number) {
                    return Some(at);
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

fn fits(integer: &[u8]) -> bool {
    let text = std::str::from_utf8(integer).unwrap_or_default();
    text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
}

/// Returns the position after the string that begins before `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(
        source: &[u8],
        max_length: usize,
        buffer: usize,
    ) -> Vec<(usize, Result<String, String>)> {
        let reader = io::BufReader::with_capacity(buffer, source);
        Lines::new(reader, max_length)
            .map(|row| {
                let Row { line, row } = row.unwrap();
                match row {
                    ImportRow::Line(text) => (line, Ok(String::from_utf8(text).unwrap())),
                    ImportRow::Invalid(reason) => (line, Err(reason)),
                    ImportRow::Data(_) => panic!("a source of lines has no data"),
                }
            })
            .collect()
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_left_out() {
        for buffer in [1, 3, 64] {
            let source = "\u{feff}{}\r\n\n  \n[1]\nlast".as_bytes();
            assert_eq!(
                rows(source, 10, buffer),
                [
                    (1, Ok("{}\r".to_owned())),
                    (4, Ok("[1]".to_owned())),
                    (5, Ok("last".to_owned())),
                ]
            );
            assert_eq!(rows(b"", 10, buffer), []);
            assert_eq!(rows(b"\n\n", 10, buffer), []);
        }
    }

    #[test]
    fn a_long_line_is_refused_and_the_next_one_read() {
        for buffer in [1, 3, 64] {
            let reason = "the line is longer than 4 bytes".to_owned();
            assert_eq!(
                rows(b"12345\n1234\n123456789", 4, buffer),
                [
                    (1, Err(reason.clone())),
                    (2, Ok("1234".to_owned())),
                    (3, Err(reason)),
                ]
            );
        }
    }

    #[test]
    fn an_invalid_line_is_refused_with_its_place_and_without_data() {
        let reason = |line: &[u8]| parse(line).unwrap_err();
        assert_eq!(reason(b"{\"a\": \xff}"), "invalid UTF-8 at byte 7");
        assert_eq!(
            reason(b"{\"secret\": secret}"),
            "invalid JSON at column 12: expected value"
        );
        assert_eq!(
            reason(b"{} {}"),
            "invalid JSON at column 4: trailing characters"
        );
        for (line, start) in [
            (&b"\x1f\x8b\x08\x00"[..], "the data is compressed with gzip"),
            (
                b"\x28\xb5\x2f\xfd\x04",
                "the data is compressed with Zstandard",
            ),
            (b"\xff\xfe{\x00}\x00", "the data is in UTF-16"),
            (b"\xfe\xff\x00{\x00}", "the data is in UTF-16"),
            (b" [", "an array begins here"),
            (b"[{\"a\": 1},", "an array begins here"),
        ] {
            assert!(reason(line).starts_with(start), "{}", reason(line));
        }
        let deep = [vec![b'['; 200], vec![b']'; 200]].concat();
        assert_eq!(
            reason(&deep),
            format!("the data is nested deeper than {MAX_DEPTH} levels")
        );
    }

    #[test]
    fn an_integer_that_would_be_rounded_is_refused() {
        for fits in [
            r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1e300}"#,
            r#"{"a": "\"99999999999999999999", "b": 0.1234567890123456789012345}"#,
            r#"{"99999999999999999999": [1, -0, "\\"]}"#,
        ] {
            parse(fits.as_bytes()).unwrap();
        }
        for (large, column) in [
            (r#"{"a": 18446744073709551616}"#, 7),
            (r#"["\\", -9223372036854775809]"#, 8),
            ("99999999999999999999", 1),
        ] {
            assert_eq!(
                parse(large.as_bytes()).unwrap_err(),
                format!("the integer at column {column} does not fit into 64 bits")
            );
        }
    }
}
