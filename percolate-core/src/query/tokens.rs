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
        Token::Number(..) | Token::DollarQuotedString(_) | Token::HexStringLiteral(_) => true,
        Token::Placeholder(_) => false,
        // All other strings have quotes, which no operator has.
        token => token.to_string().contains(['\'', '"', '`']),
    }
}
