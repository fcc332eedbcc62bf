//! The text of a query without its literals.
//!
//! Copies tokens in one pass. Literals and everything without a certain reading become `?`, and so
//! does data without quotes, which `bare_data` finds.

use super::bare_data::{BareData, Verdict};
use super::tokens::{Kind, Tokens};
use super::{Dialect, MAX_TEXT};

impl Dialect {
    /// Returns the query with `?` for every literal. See [`sanitize`](super::sanitize()).
    ///
    /// # Examples
    /// ```
    /// use percolate_otel::query_text::Dialect;
    ///
    /// let sql = r"SELECT id FROM users WHERE name = 'it\'s' AND city = 'Oslo'";
    /// assert_eq!(Dialect::MySql.sanitize(sql), "SELECT id FROM users WHERE name = ? AND city = ?");
    /// assert_eq!(Dialect::Any.sanitize(sql), "SELECT id FROM users WHERE name = ?");
    /// ```
    pub fn sanitize(self, query: &str) -> String {
        sanitize(query, self)
    }

    /// Returns the query as it is, up to the last token within the limit of recorded text.
    pub(crate) fn cut(self, query: &str) -> &str {
        cut(query, self)
    }
}

fn sanitize(query: &str, dialect: Dialect) -> String {
    let mut tokens = Tokens::new(query, dialect);
    let mut text = Text::with_capacity(query.len());
    let mut bare_data = BareData::new(dialect);
    let mut follows_in = false;
    while let Some(token) = tokens.next() {
        let is_copied = match token.kind {
            Kind::Space => text.space(token.text),
            Kind::Comment => {
                text.has_gap = true;
                true
            }
            Kind::Unclear => {
                text.push("?");
                false
            }
            _ => match bare_data.read(token, &tokens) {
                Verdict::Data => text.push("?"),
                Verdict::DataToTheEnd => {
                    text.push("?");
                    false
                }
                Verdict::Code if matches!(token.kind, Kind::Literal | Kind::Quoted) => {
                    text.push("?")
                }
                Verdict::Code if follows_in && token.is_symbol("(") => {
                    match after_literals(tokens.clone()) {
                        Some(after) => {
                            tokens = after;
                            text.push("(?)")
                        }
                        None => text.push("("),
                    }
                }
                Verdict::Code => text.push(token.text),
            },
        };
        if !is_copied {
            break;
        }
        if !matches!(token.kind, Kind::Space | Kind::Comment) {
            follows_in = token.is_word("IN");
        }
    }
    text.finish()
}

/// Returns the text up to the last token that ends within [`MAX_TEXT`].
fn cut(query: &str, dialect: Dialect) -> &str {
    if query.len() <= MAX_TEXT {
        return query;
    }
    let mut end = 0;
    for token in Tokens::new(query, dialect) {
        if end + token.text.len() > MAX_TEXT {
            break;
        }
        end += token.text.len();
    }
    query[..end].trim_end()
}

/// After `IN (`: returns what follows the parenthesis if it contains nothing but literals.
fn after_literals(mut tokens: Tokens<'_>) -> Option<Tokens<'_>> {
    let mut has_any = false;
    loop {
        let token = tokens.next()?;
        match (token.kind, token.text) {
            (Kind::Literal | Kind::Quoted, _) | (Kind::Parameter, "?") => has_any = true,
            (Kind::Space | Kind::Comment, _) | (Kind::Symbol, "," | "+" | "-") => {}
            (Kind::Symbol, ")") if has_any => return Some(tokens),
            _ => return None,
        }
    }
}

/// The text that is written, of at most [`MAX_TEXT`] bytes.
struct Text {
    text: String,
    /// A comment was left out at the end.
    has_gap: bool,
}

impl Text {
    fn with_capacity(length: usize) -> Self {
        Self {
            text: String::with_capacity(length.min(MAX_TEXT)),
            has_gap: false,
        }
    }

    /// Writes white space as it is, but not at the start.
    fn space(&mut self, space: &str) -> bool {
        self.has_gap = false;
        self.text.is_empty() || self.append(space)
    }

    /// Writes a token. Returns `false`, and writes nothing, if there is no room for it.
    fn push(&mut self, token: &str) -> bool {
        let ends_in_space = self
            .text
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace);
        if std::mem::take(&mut self.has_gap) && !ends_in_space && !self.append(" ") {
            return false;
        }
        self.append(token)
    }

    fn append(&mut self, text: &str) -> bool {
        let has_room = self.text.len() + text.len() <= MAX_TEXT;
        if has_room {
            self.text.push_str(text);
        }
        has_room
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}
