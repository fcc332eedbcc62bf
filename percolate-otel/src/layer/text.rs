//! Judging texts by their looks: literals in a query, paths, ids in a name, messages in place of a kind. Every answer
//! is a heuristic that rather stays silent than cries wolf; nothing allocates.

/// Whether a query text holds literals and no parameters: text with parameters is shown as it is.
pub(crate) fn has_literals(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (0, false);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'?' => return false,
            b'$' | b':' | b'@'
                if bytes
                    .get(at + 1)
                    .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_')
                    && (at == 0
                        || (bytes[at - 1] != byte && !bytes[at - 1].is_ascii_alphanumeric())) =>
            {
                return false;
            }
            b'\'' => {
                found = true;
                at = end_of_quoted(bytes, at);
            }
            // Quoted identifiers.
            b'"' | b'`' => at = end_of_quoted(bytes, at),
            b'0'..=b'9' => found = true,
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                let is_word =
                    |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
                let length = bytes[at..].iter().take_while(|byte| is_word(byte)).count();
                let word = &text[at..at + length];
                found |= word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false");
                at += length - 1;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The place of the closing quote, a doubled one being part of the text.
fn end_of_quoted(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

/// Whether an address is a path of a file system. The name of a Unix socket is an address.
pub(crate) fn is_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let looks = text.contains('/')
        || text.contains('\\')
        || matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic() && bytes.len() > 2 && matches!(bytes[2], b'/' | b'\\'));
    looks && !text.contains(".sock") && !text.contains("://")
}

/// Whether a word of a name looks different each time: four digits and more, a UUID, a long hexadecimal id, a path.
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

/// Whether a text is a sentence or holds an id, and so no kind of anything. The name of a generic type may hold spaces.
pub(crate) fn is_message(text: &str) -> bool {
    text.len() > 128 || (text.contains(' ') && !text.contains('<')) || is_changing(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_seen_and_parameters_excuse_them() {
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
    fn paths_are_told_from_hosts_and_sockets() {
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
    fn ids_numbers_and_paths_in_a_name_are_seen() {
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
    fn a_sentence_is_no_kind_of_error() {
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
