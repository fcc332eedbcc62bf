//! Data that is written without quotes: passwords, arguments of procedures, and rows after a
//! statement.
//!
//! Statements are recognised by their first words. A mistake in the recognition replaces too much,
//! not too little, except in statements that are not listed here.

use super::Dialect;
use super::tokens::{Kind, Token, Tokens};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What its kind says.
    Code,
    /// Data.
    Data,
    /// Data that has no certain end.
    DataToTheEnd,
}

/// Reads the tokens of a text, except white space and comments.
pub(super) struct BareData {
    dialect: Dialect,
    statement: Statement,
    /// `IDENTIFIED` was read.
    identified: bool,
    /// The next token is data.
    is_next: bool,
    /// Rows follow, up to the end.
    has_rows: bool,
    /// The last token.
    before: Before,
}

/// What is known of the statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Statement {
    Start,
    CreateOrAlter,
    /// `CREATE USER`, `ALTER LOGIN`, …
    Account,
    Set,
    SetPassword,
    /// `EXEC`, before the name of the procedure.
    Exec,
    /// `EXEC`, in the name or the arguments.
    Arguments,
    /// `INSERT`
    Insert,
    Copy,
    /// `COPY … FROM STDIN`
    CopyFromInput,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// `@`
    At,
    /// `.`
    Dot,
    /// `,` or `=`
    Separator,
    /// `FORMAT`
    Format,
    Other,
}

impl BareData {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            statement: Statement::Start,
            identified: false,
            is_next: false,
            has_rows: false,
            before: Before::Other,
        }
    }

    /// Reads a token, which `rest` follows.
    pub(super) fn read(&mut self, token: Token<'_>, rest: &Tokens<'_>) -> Verdict {
        let is = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        let is_literal = matches!(token.kind, Kind::Literal | Kind::Parameter);
        if self.has_rows {
            return Verdict::DataToTheEnd;
        }
        if std::mem::take(&mut self.is_next) {
            let is_separator = token.is_symbol("=") || token.is_symbol(":");
            let is_prefix = is(&["HASH", "PASSWORD", "VALUES"]) && has_literal(rest);
            self.is_next = is_separator || is_prefix;
            return match token.kind {
                _ if is_separator || is_prefix || is_literal || is(&["NULL"]) => Verdict::Code,
                Kind::Name | Kind::Quoted => Verdict::Data,
                _ => Verdict::DataToTheEnd,
            };
        }
        if token.is_symbol(";") {
            let has_rows = self.statement == Statement::CopyFromInput;
            *self = Self::new(self.dialect);
            self.has_rows = has_rows;
            return Verdict::Code;
        }
        self.is_next = match self.statement {
            Statement::Account => is(&["PASSWORD", "OLD_PASSWORD"]),
            Statement::SetPassword => token.is_symbol("="),
            _ => false,
        } || (self.identified && is(&["BY", "REPLACE"]));
        self.has_rows = self.statement == Statement::Insert
            && self.before == Before::Format
            && is_format(token);
        self.identified |= is(&["IDENTIFIED"])
            && !matches!(self.statement, Statement::Exec | Statement::Arguments);
        let is_argument = self.statement == Statement::Arguments && self.is_argument(token);
        self.statement = self.next(token);
        self.before = match token.text {
            "@" => Before::At,
            "." => Before::Dot,
            "," | "=" => Before::Separator,
            _ if is(&["FORMAT"]) => Before::Format,
            _ => Before::Other,
        };
        if is_argument {
            Verdict::Data
        } else {
            Verdict::Code
        }
    }

    /// Returns what is known of the statement after `token`.
    fn next(&self, token: Token<'_>) -> Statement {
        let is = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        let has_exec = matches!(self.dialect, Dialect::Any | Dialect::SqlServer);
        // A quoted name may have been replaced before.
        let is_name = token.kind != Kind::Symbol;
        match self.statement {
            Statement::Start if is(&["CREATE", "ALTER"]) => Statement::CreateOrAlter,
            Statement::Start if is(&["SET"]) => Statement::Set,
            Statement::Start if is(&["INSERT"]) => Statement::Insert,
            Statement::Start if is(&["COPY"]) => Statement::Copy,
            Statement::Start if is(&["EXEC", "EXECUTE"]) && has_exec => Statement::Exec,
            Statement::CreateOrAlter if is(&["USER", "LOGIN", "ROLE", "GROUP"]) => {
                Statement::Account
            }
            Statement::CreateOrAlter if is(&["OR", "REPLACE"]) => Statement::CreateOrAlter,
            Statement::Set if is(&["PASSWORD"]) => Statement::SetPassword,
            Statement::Copy if is(&["STDIN"]) => Statement::CopyFromInput,
            Statement::Exec if is_name && self.before != Before::At => Statement::Arguments,
            Statement::Arguments if self.ends_arguments(token) => Statement::Other,
            Statement::Account
            | Statement::SetPassword
            | Statement::Insert
            | Statement::Copy
            | Statement::CopyFromInput
            | Statement::Exec
            | Statement::Arguments => self.statement,
            _ => Statement::Other,
        }
    }

    /// Whether a statement starts without a semicolon, or this is not a procedure's argument.
    fn ends_arguments(&self, token: Token<'_>) -> bool {
        const STARTS: [&str; 14] = [
            "BEGIN", "DECLARE", "DELETE", "END", "EXEC", "EXECUTE", "GO", "IF", "INSERT", "PRINT",
            "RETURN", "SELECT", "SET", "UPDATE",
        ];
        let is_first = self.before == Before::Other;
        token.is_symbol("(") || (is_first && STARTS.iter().any(|word| token.is_word(word)))
    }

    /// Whether a name is an argument. SQL Server reads it as a string.
    fn is_argument(&self, token: Token<'_>) -> bool {
        const KEYWORDS: [&str; 13] = [
            "AS",
            "AT",
            "DEFAULT",
            "IMMEDIATE",
            "INTO",
            "LOGIN",
            "NULL",
            "OUT",
            "OUTPUT",
            "RECOMPILE",
            "USER",
            "USING",
            "WITH",
        ];
        matches!(token.kind, Kind::Word | Kind::Name)
            && !matches!(self.before, Before::At | Before::Dot)
            && !self.ends_arguments(token)
            && !KEYWORDS.iter().any(|word| token.is_word(word))
    }
}

/// Whether a word after `INSERT … FORMAT`, in ClickHouse, names a format with rows as text.
fn is_format(token: Token<'_>) -> bool {
    const FORMATS: [&str; 9] = [
        "CSV",
        "CustomSeparated",
        "JSON",
        "LineAsString",
        "MsgPack",
        "Regexp",
        "TSV",
        "TabSeparated",
        "Template",
    ];
    token.kind == Kind::Word
        && FORMATS.iter().any(|format| {
            let start = token.text.get(..format.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(format))
        })
}

/// Whether a literal or a parameter follows.
fn has_literal(tokens: &Tokens<'_>) -> bool {
    let next = tokens
        .clone()
        .find(|token| !matches!(token.kind, Kind::Space | Kind::Comment));
    next.is_some_and(|token| matches!(token.kind, Kind::Literal | Kind::Quoted | Kind::Parameter))
}
