//! The tokens of query text. Every part of the text belongs to exactly one token.
//!
//! The invariant is that a token of a kind that is copied to telemetry contains no literal under
//! any reading that the dialect allows. Text without one certain reading is [`Kind::Unclear`],
//! which always extends to the end. A token is read in time linear in its length, or in the length
//! of the text if it is the last one. Nothing is allocated.

use super::Dialect;

/// The digits that a numbered parameter such as `$1` may have. Longer ones are numbers.
const PARAMETER_DIGITS: usize = 3;
/// The same in PostgreSQL, where `$1` has no other meaning.
const POSTGRES_PARAMETER_DIGITS: usize = 5;
/// The groups of hexadecimal digits of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Space,
    Comment,
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Name,
    /// A name in quotes, or a string.
    Quoted,
    Literal,
    Parameter,
    /// A character of punctuation.
    Symbol,
    /// The rest of the text, which has no certain reading.
    Unclear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// Whether this is a word without quotes, in any case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }
}

/// Reads the tokens of a text one by one. A clone is a bookmark.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let before = self.text[..self.at].bytes().next_back();
        let read = if self.dialect == Dialect::Command {
            command(rest, self.text[..self.at].trim_start().is_empty())
        } else {
            Reader {
                rest,
                dialect: self.dialect,
            }
            .read(first, before)
        };
        let (kind, length) = read.unwrap_or((Kind::Unclear, rest.len()));
        self.at += length;
        Some(Token {
            kind,
            text: &rest[..length],
        })
    }
}

/// The kind and the length of a token; `None` if there is no certain reading.
type Read = Option<(Kind, usize)>;

/// A command that is not SQL: a word, and arguments that are not read.
fn command(rest: &str, is_first: bool) -> Read {
    let space = rest
        .find(|c: char| !c.is_whitespace())
        .unwrap_or(rest.len());
    if space > 0 {
        return Some((Kind::Space, space));
    }
    let length = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let is_word = rest[length..]
        .chars()
        .next()
        .is_none_or(char::is_whitespace);
    (is_first && is_word).then_some((Kind::Word, length))
}

/// What a backslash in a string means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    Ordinary,
    Escapes,
    /// One or the other.
    Unknown,
}

/// The text from the next token on.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a str,
    dialect: Dialect,
}

impl Reader<'_> {
    fn byte(self, at: usize) -> Option<u8> {
        self.rest.as_bytes().get(at).copied()
    }

    fn has_digit(self, at: usize) -> bool {
        self.byte(at).is_some_and(|byte| byte.is_ascii_digit())
    }

    fn digits(self, from: usize) -> usize {
        let digits = |byte: &u8| byte.is_ascii_digit();
        self.rest.as_bytes()[from..]
            .iter()
            .take_while(|byte| digits(byte))
            .count()
    }

    /// Reads one token. `before` is the byte in front of it.
    fn read(self, first: char, before: Option<u8>) -> Read {
        match first {
            _ if first.is_whitespace() => {
                let end = self.rest.find(|c: char| !c.is_whitespace());
                Some((Kind::Space, end.unwrap_or(self.rest.len())))
            }
            '\'' => self.string(0, self.backslash()),
            '"' => self.double_quoted(0),
            '`' => self.backtick(),
            '[' => self.bracket(),
            '$' => self.dollar(),
            '#' => self.hash(),
            '/' => self.slash(),
            '-' if self.byte(1) == Some(b'-') => self.dashes(),
            '-' | '+' if self.has_digit(1) => self.number(1),
            '-' | '+' if self.byte(1) == Some(b'.') && self.has_digit(2) => self.number(1),
            '.' if self.has_digit(1) => self.number(0),
            '?' => self
                .numbered(PARAMETER_DIGITS)
                .or(Some((Kind::Parameter, 1))),
            ':' if self.dialect == Dialect::Oracle && before != Some(b':') => {
                self.numbered(PARAMETER_DIGITS).or(Some((Kind::Symbol, 1)))
            }
            '\\' => None,
            '0'..='9' => self.uuid().or_else(|| self.number(0)),
            '_' => self.word(),
            _ if first.is_alphanumeric() => self.uuid().or_else(|| self.word()),
            _ if first.is_ascii_punctuation() => Some((Kind::Symbol, 1)),
            _ => None,
        }
    }

    /// What a backslash in a string without a prefix means.
    fn backslash(self) -> Backslash {
        match self.dialect {
            Dialect::Any | Dialect::Command => Backslash::Unknown,
            Dialect::MySql => Backslash::Escapes,
            Dialect::Ansi | Dialect::Postgres | Dialect::SqlServer | Dialect::Oracle => {
                Backslash::Ordinary
            }
        }
    }

    /// Returns the end of the quoted text that starts at `start`. A doubled quote is part of it.
    fn closing(self, start: usize, backslash: Backslash) -> Option<usize> {
        let bytes = self.rest.as_bytes();
        let quote = *bytes.get(start)?;
        let mut at = start + 1;
        loop {
            let byte = *bytes.get(at)?;
            let next = bytes.get(at + 1);
            if byte == quote {
                if next != Some(&quote) {
                    return Some(at + 1);
                }
                at += 2;
            } else if byte == b'\\' {
                match backslash {
                    Backslash::Ordinary => at += 1,
                    Backslash::Escapes => at += 2,
                    // The string ends here or it does not.
                    Backslash::Unknown if next == Some(&quote) => return None,
                    Backslash::Unknown => at += 1 + usize::from(next == Some(&b'\\')),
                }
            } else {
                at += 1;
            }
        }
    }

    /// Like [`closing`](Self::closing), if three quotes in a row have no other reading.
    fn closing_unless_tripled(self, start: usize) -> Option<usize> {
        let end = self.closing(start, Backslash::Unknown)?;
        let tripled = match self.byte(start) {
            Some(b'"') => "\"\"\"",
            _ => "'''",
        };
        let Some(inside) = self.rest[start..].strip_prefix(tripled) else {
            return Some(end);
        };
        let tripled_end = start + inside.find(tripled)? + 2 * tripled.len();
        (tripled_end == end).then_some(end)
    }

    /// A string in single quotes that start at `start`, with its prefix.
    fn string(self, start: usize, backslash: Backslash) -> Read {
        let end = match backslash {
            Backslash::Unknown => self.closing_unless_tripled(start)?,
            _ => self.closing(start, backslash)?,
        };
        self.ended(Kind::Literal, end)
    }

    /// `E'…'` of PostgreSQL. A string on the next line continues it, with the same escapes.
    fn escape_string(self, mut start: usize) -> Read {
        loop {
            let end = self.closing(start, Backslash::Escapes)?;
            start = end;
            loop {
                let rest = &self.rest[start..];
                if rest.starts_with("--") {
                    start += rest.find('\n').unwrap_or(rest.len());
                } else if let Some(space) = rest.chars().next().filter(|c| c.is_whitespace()) {
                    start += space.len_utf8();
                } else {
                    break;
                }
            }
            if start == end || self.byte(start) != Some(b'\'') {
                return self.ended(Kind::Literal, end);
            }
        }
    }

    /// A quoted text that ends at `end`, unless a word goes on there: the quote is probably an
    /// apostrophe in the text.
    fn ended(self, kind: Kind, end: usize) -> Read {
        let next = self.rest[end..].chars().next();
        let goes_on = next.is_some_and(|c| c.is_alphanumeric() || c == '_');
        (!goes_on).then_some((kind, end))
    }

    fn double_quoted(self, start: usize) -> Read {
        match self.dialect {
            Dialect::Any | Dialect::Command => {
                self.ended(Kind::Quoted, self.closing_unless_tripled(start)?)
            }
            Dialect::MySql => self.ended(Kind::Literal, self.closing(start, Backslash::Escapes)?),
            Dialect::Ansi | Dialect::Postgres | Dialect::SqlServer | Dialect::Oracle => {
                Some((Kind::Name, self.closing(start, Backslash::Ordinary)?))
            }
        }
    }

    fn backtick(self) -> Read {
        let end = self.closing(0, Backslash::Ordinary)?;
        let content = &self.rest[1..end - 1];
        // Where escapes are possible, a name without special characters is one in any dialect.
        let is_plain = content.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && content
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '));
        (self.dialect == Dialect::MySql || is_plain).then_some((Kind::Name, end))
    }

    /// A name, or the start of an array or an index.
    fn bracket(self) -> Read {
        match self.dialect {
            Dialect::SqlServer => {
                let mut at = 1;
                loop {
                    at += self.rest[at..].find(']')? + 1;
                    if self.byte(at) != Some(b']') {
                        return Some((Kind::Name, at));
                    }
                    at += 1;
                }
            }
            Dialect::Any | Dialect::Command => {
                let inside = &self.rest[1..];
                let end = inside.find(']').unwrap_or(inside.len());
                // Without quotes inside, both readings end at the same bracket.
                let is_same = first_special(inside) >= end && !inside[end..].starts_with("]]");
                is_same.then_some((Kind::Symbol, 1))
            }
            _ => Some((Kind::Symbol, 1)),
        }
    }

    /// A parameter, a dollar-quoted string, money, or a word.
    fn dollar(self) -> Read {
        use Dialect::{MySql, Oracle, Postgres, SqlServer};
        if self.has_digit(1) {
            let most = match self.dialect {
                SqlServer => return self.number(1),
                Postgres => POSTGRES_PARAMETER_DIGITS,
                _ => PARAMETER_DIGITS,
            };
            return self.numbered(most).or_else(|| self.number(1));
        }
        let tag = self.rest[1..]
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(self.rest.len(), |length| length + 1);
        let is_quote = self.byte(tag) == Some(b'$');
        match self.dialect {
            // A word or an error, and text for PostgreSQL.
            MySql | Oracle | SqlServer if is_quote => None,
            MySql | Oracle | SqlServer if tag > 1 => self.word(),
            _ if is_quote => {
                let (opening, inside) = self.rest.split_at(tag + 1);
                let length = inside.find(opening)?;
                // In some dialects, `$tag$` is a word.
                let is_certain = self.dialect != Dialect::Any || first_special(inside) >= length;
                is_certain.then_some((Kind::Literal, length + 2 * opening.len()))
            }
            _ if tag > 1 => Some((Kind::Parameter, tag)),
            _ => Some((Kind::Symbol, 1)),
        }
    }

    /// A comment, an operator, or part of a word.
    fn hash(self) -> Read {
        match self.dialect {
            Dialect::MySql => self.line_comment(),
            Dialect::Postgres => Some((Kind::Symbol, 1)),
            Dialect::SqlServer | Dialect::Oracle => self.word(),
            Dialect::Any | Dialect::Ansi | Dialect::Command => self.comment_or_code(),
        }
    }

    fn slash(self) -> Read {
        match self.byte(1) {
            Some(b'*') => self.block_comment(),
            Some(b'/') if self.dialect == Dialect::Any => self.comment_or_code(),
            _ => Some((Kind::Symbol, 1)),
        }
    }

    /// `--`
    fn dashes(self) -> Read {
        let is_clear = self
            .byte(2)
            .is_none_or(|next| next.is_ascii_whitespace() || next.is_ascii_control());
        match self.dialect {
            Dialect::MySql if !is_clear || self.rest.len() == 2 => match self.byte(2) {
                Some(b'0'..=b'9' | b'.') => Some((Kind::Symbol, 1)),
                // After other signs, another `--` or comment may follow. At the end, it is kept:
                // text that was cut there reads the same again.
                Some(next) if next.is_ascii_punctuation() && !b"'\"`($:?@_".contains(&next) => None,
                _ => Some((Kind::Symbol, 2)),
            },
            Dialect::Any if !is_clear => {
                let (_, length) = self.comment_or_code()?;
                Some((Kind::Comment, length))
            }
            _ => self.line_comment(),
        }
    }

    /// Returns the end of the line, if all dialects agree where it is.
    fn line(self) -> Option<usize> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        let line = line.strip_suffix('\r').unwrap_or(line);
        (!line.contains('\r')).then_some(line.len())
    }

    fn line_comment(self) -> Read {
        Some((Kind::Comment, self.line()?))
    }

    /// A comment to the end of the line in some dialects, and code in others. It is replaced if
    /// both readings end at the same place.
    fn comment_or_code(self) -> Read {
        let end = self.line()?;
        let from = 1 + usize::from(self.byte(0) != Some(b'#'));
        (from + first_special(&self.rest[from..]) >= end).then_some((Kind::Literal, end))
    }

    fn block_comment(self) -> Read {
        use Dialect::{Ansi, Any, Command, MySql, Oracle, Postgres, SqlServer};
        let inside = &self.rest[2..];
        match self.dialect {
            Postgres | SqlServer => {
                let (mut at, mut depth) = (2, 1);
                while depth > 0 {
                    at += self.rest[at..].find(['*', '/'])?;
                    match self.rest.get(at..at + 2) {
                        Some("/*") => (at, depth) = (at + 2, depth + 1),
                        Some("*/") => (at, depth) = (at + 2, depth - 1),
                        _ => at += 1,
                    }
                }
                return Some((Kind::Comment, at));
            }
            Any | Ansi | MySql | Oracle | Command => {}
        }
        let end = inside.find("*/")?;
        let content = &inside[..end];
        // In MySQL, `/*! … */` is code.
        let is_code = content.starts_with('!') || content.starts_with("M!");
        let is_certain = match self.dialect {
            Oracle => true,
            _ if is_code => first_special(content) == content.len(),
            MySql => true,
            _ => !content.contains("/*") && !content.ends_with('/'),
        };
        is_certain.then_some((Kind::Comment, end + 4))
    }

    /// A number in any form, with the letters and digits that follow it.
    fn number(self, from: usize) -> Read {
        let bytes = self.rest.as_bytes();
        let mut end = from;
        for c in self.rest[from..].chars() {
            let is_exponent = matches!(c, '+' | '-')
                && matches!(bytes[end - 1], b'e' | b'E' | b'p' | b'P')
                && self.has_digit(end + 1);
            let is_money = c == ',' && bytes[0] == b'$' && self.has_digit(end + 1);
            if !(c.is_alphanumeric() || matches!(c, '_' | '.') || is_exponent || is_money) {
                break;
            }
            end += c.len_utf8();
        }
        // A dollar quote may follow.
        (self.byte(end) != Some(b'$')).then_some((Kind::Literal, end))
    }

    /// A parameter with a number of at most `most` digits after its sign.
    fn numbered(self, most: usize) -> Read {
        let digits = self.digits(1);
        let end = 1 + digits;
        let next = self.rest[end..].chars().next();
        let goes_on = next.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
            || (next == Some('.') && self.has_digit(end + 1));
        ((1..=most).contains(&digits) && !goes_on).then_some((Kind::Parameter, end))
    }

    /// A UUID without quotes, which is a literal in Cassandra.
    fn uuid(self) -> Read {
        let mut at = 0;
        for (group, digits) in UUID.into_iter().enumerate() {
            if group > 0 {
                (self.byte(at)? == b'-').then_some(())?;
                at += 1;
            }
            let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
            let group = self.rest.as_bytes().get(at..at + digits)?;
            group.iter().all(is_hex).then_some(())?;
            at += digits;
        }
        let next = self.rest[at..].chars().next();
        let goes_on = next.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
        (!goes_on).then_some((Kind::Literal, at))
    }

    /// A word, or a string that starts with it.
    fn word(self) -> Read {
        let is_part = |c: char| match c {
            '_' | '$' => true,
            '#' => matches!(self.dialect, Dialect::SqlServer | Dialect::Oracle),
            '@' => self.dialect == Dialect::SqlServer,
            _ => c.is_alphanumeric(),
        };
        let rest = self.rest;
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        if self.dialect == Dialect::Any && word.bytes().filter(|byte| *byte == b'$').count() > 1 {
            // A dollar quote in dialects whose words have no dollar signs.
            return None;
        }
        let is = |known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
        match &rest.as_bytes()[end..] {
            [b'\'', ..] if is(&["q", "nq"]) => self.q_string(end),
            [b'\'', ..] if is(&["e"]) => match self.dialect {
                Dialect::Postgres => self.escape_string(end),
                Dialect::Ansi => self.string(end, Backslash::Unknown),
                _ => self.string(end, self.backslash()),
            },
            [b'\'', ..] if word.starts_with('_') || is(&["b", "br", "n", "r", "rb", "x"]) => {
                self.string(end, self.backslash())
            }
            [b'&', b'\'', ..] if is(&["u"]) => self.string(end + 1, self.backslash()),
            [b'&', b'"', ..] if is(&["u"]) && self.dialect != Dialect::MySql => {
                self.double_quoted(end + 1)
            }
            _ if is(&["true", "false"]) => Some((Kind::Literal, end)),
            _ => Some((Kind::Word, end)),
        }
    }

    /// `q'[…]'`, which is an ordinary string in some dialects.
    fn q_string(self, quote: usize) -> Read {
        let plain = || self.string(quote, self.backslash());
        match self.dialect {
            Dialect::Oracle => self.q_quoted(quote),
            Dialect::MySql | Dialect::Postgres | Dialect::SqlServer => plain(),
            Dialect::Any | Dialect::Ansi | Dialect::Command => {
                plain().filter(|plain| self.q_quoted(quote) == Some(*plain))
            }
        }
    }

    fn q_quoted(self, quote: usize) -> Read {
        let mut inside = self.rest[quote + 1..].chars();
        let closing = match inside.next()? {
            '[' => ']',
            '(' => ')',
            '{' => '}',
            '<' => '>',
            other => other,
        };
        let inside = inside.as_str();
        let ends_at = |(at, _): &(usize, &str)| inside[at + closing.len_utf8()..].starts_with('\'');
        let (at, closing) = inside.match_indices(closing).find(ends_at)?;
        let end = self.rest.len() - inside.len() + at + closing.len() + 1;
        Some((Kind::Literal, end))
    }
}

/// Returns the position of the first character with which quoted text or a comment may start in
/// some dialect, or the length of the text.
fn first_special(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_special = |at: &usize| match bytes[*at] {
        b'\'' | b'"' | b'`' | b'\\' | b'[' | b'$' | b'#' => true,
        b'-' => bytes.get(at + 1) == Some(&b'-'),
        b'/' => matches!(bytes.get(at + 1), Some(b'*' | b'/')),
        _ => false,
    };
    (0..bytes.len()).find(is_special).unwrap_or(bytes.len())
}
