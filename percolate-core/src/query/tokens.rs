//! The dialect of queries, and what its tokens are. Query text for telemetry is read elsewhere, by
//! the tokenizer of percolate-otel.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

/// The dialect that queries are parsed with. Double quotes are for names.
pub(super) static DIALECT: GenericDialect = GenericDialect {};

/// Whether a token is this word without quotes, in any case.
pub(super) fn is_keyword(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(keyword))
}

/// Whether a token is a number, a string or a boolean. A placeholder is not.
pub(super) fn is_literal(token: &Token) -> bool {
    match token {
        Token::Word(_) => is_keyword(token, "TRUE") || is_keyword(token, "FALSE"),
        // Numbers and all kinds of quoted strings, but not placeholders.
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => true,
        _ => false,
    }
}
