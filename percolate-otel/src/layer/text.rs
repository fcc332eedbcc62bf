//! Heuristics over texts: literals in a query, paths, ids in a name, messages in place of an error
//! type. They prefer a missed mistake to a false finding, and allocate nothing.

use std::fmt;

use crate::query_text::Dialect;
use crate::query_text::tokens::{Kind, Token, Tokens};

/// Whether a query text contains literals and no parameters. Text with parameters may be recorded
/// as it is.
pub(crate) fn has_literals(text: &str) -> bool {
    let mut found = false;
    let mut before = None;
    // The last token is the sign of a named parameter, and not of a cast or a system variable.
    let mut is_sign = false;
    for token in Tokens::new(text, Dialect::Any) {
        match token.kind {
            Kind::Parameter => return false,
            Kind::Word if is_sign => return false,
            Kind::Literal => found = true,
            // Probably a string.
            Kind::Unclear => found |= token.text.contains('\''),
            _ => {}
        }
        let follows_value = before.is_some_and(|before: Token<'_>| match before.kind {
            Kind::Word | Kind::Name | Kind::Quoted | Kind::Literal => true,
            _ => before.text == token.text,
        });
        is_sign = (token.is_symbol("@") || token.is_symbol(":")) && !follows_value;
        before = Some(token);
    }
    found
}

/// Whether an address is a path in a file system. The name of a Unix socket is an address.
pub(crate) fn is_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let looks = text.contains('/')
        || text.contains('\\')
        || matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic() && bytes.len() > 2 && matches!(bytes[2], b'/' | b'\\'));
    looks && !text.contains(".sock") && !text.contains("://")
}

/// Whether a word of a name probably differs from call to call: at least four digits, a UUID, a
/// long hexadecimal id, a path.
pub(crate) fn is_changing(name: &[u8]) -> bool {
    if !name
        .iter()
        .any(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b'\\'))
    {
        return false;
    }
    name.split(|byte| matches!(byte, b' ' | b':' | b',' | b'='))
        .any(|word| {
            let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
            let is_number = digits >= 4 && digits == word.len();
            let is_hex = word.len() >= 16
                && digits >= 2
                && word
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
            is_number
                || is_hex
                || word
                    .iter()
                    .filter(|byte| matches!(byte, b'/' | b'\\'))
                    .count()
                    >= 2
        })
}

/// Whether a text is a sentence or contains an id, and is therefore not the type of an error. The
/// name of a generic type may contain spaces.
pub(crate) fn is_message(text: &str) -> bool {
    text.len() > 128 || (text.contains(' ') && !text.contains('<')) || is_changing(text.as_bytes())
}

/// Returns a hash that distinguishes names without keeping them. Never 0.
pub(crate) fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step) | 1
}

/// A text cut at 256 bytes, which is enough for the heuristics and needs no allocation.
pub(crate) struct Short {
    bytes: [u8; 256],
    used: usize,
}

impl Default for Short {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            used: 0,
        }
    }
}

impl Short {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.used]).unwrap_or("")
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut room = (self.bytes.len() - self.used).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.bytes[self.used..self.used + room].copy_from_slice(&text.as_bytes()[..room]);
        self.used += room;
        // An error stops the formatting, as the rest is not needed.
        if room < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_unless_there_are_parameters() {
        for text in [
            "SELECT * FROM a WHERE b = 'x'",
            "SELECT a LIMIT 10",
            "UPDATE a SET b = TRUE",
            "x = 'it''s'",
        ] {
            assert!(has_literals(text), "{text}");
        }
        for text in [
            "SELECT * FROM a2 WHERE b = ?",
            "SELECT * FROM a WHERE b = $1 LIMIT 10",
            "SELECT * FROM a WHERE b = :name",
            "SELECT * FROM a WHERE b = @p1 AND c = 1",
            "SELECT \"col 1\" FROM `t 2`",
            "SELECT utf8_2 FROM t1",
            "",
        ] {
            assert!(!has_literals(text), "{text}");
        }
        assert!(has_literals("SELECT '2'::int"));
    }

    #[test]
    fn an_unfinished_quote_ends_the_text() {
        assert!(has_literals("SELECT 'abc"));
        assert!(!has_literals("SELECT \"abc"));
    }

    #[test]
    fn paths_differ_from_hosts_and_sockets() {
        for text in ["/var/lib/db", "C:\\data", "./db", "data/db", "d:/x"] {
            assert!(is_path(text), "{text}");
        }
        for text in [
            "localhost",
            "10.0.0.1",
            "::1",
            "/run/postgres/.s.PGSQL.sock",
            "db.example.com",
            "",
        ] {
            assert!(!is_path(text), "{text}");
        }
    }

    #[test]
    fn ids_numbers_and_paths_in_a_name_are_found() {
        for name in [
            "get 12345",
            "get 6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "get 00f067aa0ba902b7a",
            "get /var/lib/x",
        ] {
            assert!(is_changing(name.as_bytes()), "{name}");
        }
        for name in [
            "get articles",
            "get shard 7",
            "get articles2024",
            "BATCH put a/b",
            "index.build hnsw",
        ] {
            assert!(!is_changing(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_sentence_is_not_an_error_type() {
        for text in [
            "file not found: x",
            "NoSuchFile_00012345 x",
            "5f9619ffab8600d0",
        ] {
            assert!(is_message(text), "{text}");
        }
        for text in ["IOError", "_OTHER", "store::Error", "SQLSTATE_23505", "404"] {
            assert!(!is_message(text), "{text}");
        }
    }
}
