//! Tokens without white space and comments, with a look at the next ones.

use super::keywords::RESERVED;
use super::tokens::{Kind, Token, Tokens};

/// Tokens without white space and comments.
#[derive(Clone)]
pub(super) struct Significant<'a>(pub(super) Tokens<'a>);

impl<'a> Iterator for Significant<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.0
            .find(|token| !matches!(token.kind, Kind::Space | Kind::Comment))
    }
}

impl<'a> Significant<'a> {
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.clone().next()
    }

    pub(super) fn peek_second(&self) -> Option<Token<'a>> {
        self.clone().nth(1)
    }

    pub(super) fn peek_word(&self) -> Option<Token<'a>> {
        self.peek().filter(|token| token.kind == Kind::Word)
    }

    pub(super) fn is_next(&self, words: &[&str]) -> bool {
        self.peek().is_some_and(|token| is_one_of(token, words))
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.peek().is_some_and(|token| token.is_symbol(symbol))
    }

    /// Reads a word if it is one of `words`.
    pub(super) fn take_word(&mut self, words: &[&str]) -> Option<Token<'a>> {
        self.is_next(words).then(|| self.next()).flatten()
    }

    pub(super) fn skip_words(&mut self, words: &[&str]) {
        while self.take_word(words).is_some() {}
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let is_next = self.is_symbol(symbol);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Skips an opening parenthesis, and everything up to the closing one.
    pub(super) fn skip_parentheses(&mut self) {
        let mut depth = 0_usize;
        for token in self.by_ref() {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Reads `TABLE` if a name follows it.
    pub(super) fn take_table(&mut self) -> Option<Token<'a>> {
        let is_table = self.is_next(&["TABLE"]) && self.peek_second().is_some_and(is_name);
        is_table.then(|| self.next()).flatten()
    }

    /// Whether a query follows, or a parenthesis with one.
    pub(super) fn starts_query(&self) -> bool {
        const FIRST: &[&str] = &["SELECT", "TABLE", "VALUES", "WITH"];
        const BEFORE: &[&str] = &["ALL", "BY", "CORRESPONDING", "DISTINCT"];
        let opens = |token: Token<'_>| token.is_symbol("(");
        match self.peek() {
            Some(token) if opens(token) => self
                .peek_second()
                .is_some_and(|second| opens(second) || is_one_of(second, FIRST)),
            Some(token) => is_one_of(token, FIRST) || is_one_of(token, BEFORE),
            None => false,
        }
    }
}

pub(super) fn is_one_of(token: Token<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(word))
}

pub(super) fn is_name(token: Token<'_>) -> bool {
    match token.kind {
        Kind::Word => !is_one_of(token, RESERVED),
        Kind::Name | Kind::Quoted => true,
        _ => false,
    }
}
