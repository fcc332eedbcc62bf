//! The summary of a query: its operations and their targets, in order.
//!
//! This is not a parser. It reads the start of each statement, and after that follows only the
//! parentheses and the few keywords behind which a table is named. Only words and quoted names are
//! copied, and only from such places.

use super::keywords::{
    ALONE, BEFORE_A_TABLE, ENDS_TABLES, EXPLAIN_OPTIONS, MODIFIERS, OF_A_TABLE, PERIODS, RESERVED,
    STATEMENTS, WITH_BODY,
};
use super::significant::{Significant, is_name, is_one_of};
use super::tokens::{Kind, Token, Tokens};
use super::{Dialect, MAX_SUMMARY};

/// How much of a text is read, in bytes.
const MAX_READ: usize = 64 * 1024;

impl Dialect {
    /// Returns the summary of the query. See [`summarize`](super::summarize()).
    pub fn summarize(self, query: &str) -> String {
        summarize(query, self)
    }
}

fn summarize(query: &str, dialect: Dialect) -> String {
    let mut end = query.len().min(MAX_READ);
    while !query.is_char_boundary(end) {
        end -= 1;
    }
    let mut reader = Reader {
        tokens: Significant(Tokens::new(&query[..end], dialect)),
        before: [None; 2],
        frames: vec![Frame::new(STATEMENT)],
        summary: Summary::default(),
        is_done: false,
    };
    if dialect == Dialect::Command {
        if let Some(word) = reader.tokens.peek_word() {
            reader.summary.push(word.text);
        }
    } else {
        reader.read();
    }
    reader.summary.text
}

/// What is read in a statement, a subquery, or any other pair of parentheses.
#[derive(Debug, Clone, Copy)]
struct Frame {
    state: State,
    /// A `FROM` names tables.
    awaits_from: bool,
    /// A `USING` names tables.
    awaits_using: bool,
    /// The next `SELECT` continues a set operation, and is not another operation.
    is_continued: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read yet.
    Start {
        /// Statements other than queries are possible.
        is_statement: bool,
    },
    /// After `WITH`.
    With,
    /// After `SELECT`.
    Select,
    /// In a list of tables.
    Tables {
        /// The next name is a table.
        expects: bool,
    },
    /// After `GRANT` or `REVOKE`.
    Grant,
    /// In a part that names no tables.
    Rest,
    /// In the rest of a statement that is not read.
    Skip,
}

const STATEMENT: State = State::Start { is_statement: true };
const EXPRESSION: State = State::Start {
    is_statement: false,
};
const EXPECTS_TABLE: State = State::Tables { expects: true };

impl Frame {
    fn new(state: State) -> Self {
        Self {
            state,
            awaits_from: false,
            awaits_using: false,
            is_continued: false,
        }
    }
}

struct Reader<'a> {
    tokens: Significant<'a>,
    /// The last two tokens before the current one.
    before: [Option<Token<'a>>; 2],
    /// The statement, and the open parentheses in it. Never empty.
    frames: Vec<Frame>,
    summary: Summary,
    is_done: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        while let Some(token) = self.tokens.next() {
            match token.kind {
                Kind::Symbol => self.symbol(token.text),
                Kind::Word if !self.follows(".") => self.word(token),
                Kind::Word | Kind::Name | Kind::Quoted => self.name(token),
                Kind::Literal | Kind::Parameter => self.miss(),
                Kind::Space | Kind::Comment => {}
                Kind::Unclear => return,
            }
            self.before = [self.before[1], Some(token)];
            if self.is_done || self.summary.is_full {
                return;
            }
        }
    }

    fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn state(&mut self) -> State {
        self.frame().state
    }

    fn set(&mut self, state: State) {
        self.frame().state = state;
    }

    fn follows(&self, symbol: &str) -> bool {
        self.before[1].is_some_and(|token| token.is_symbol(symbol))
    }

    /// Something else stands where a table was expected.
    fn miss(&mut self) {
        if self.state() == EXPECTS_TABLE {
            self.set(State::Tables { expects: false });
        }
    }

    fn symbol(&mut self, symbol: &str) {
        match symbol {
            "(" => {
                let state = match self.state() {
                    State::With => STATEMENT,
                    State::Select | State::Tables { expects: false } | State::Rest => EXPRESSION,
                    state => state,
                };
                let is_continued = self.frame().is_continued;
                self.miss();
                self.frames.push(Frame {
                    is_continued,
                    ..Frame::new(state)
                });
            }
            ")" if self.frames.len() > 1 => _ = self.frames.pop(),
            "," if matches!(self.state(), State::Tables { .. }) => self.set(EXPECTS_TABLE),
            ";" => {
                self.frames.clear();
                self.frames.push(Frame::new(STATEMENT));
            }
            "{" | "}" | "." => {}
            _ => self.miss(),
        }
    }

    /// A quoted name, or a word that is not a keyword.
    fn name(&mut self, token: Token<'a>) {
        match self.state() {
            EXPECTS_TABLE => {
                self.miss();
                self.push_name(token);
            }
            State::Start { .. } => self.set(State::Rest),
            _ => {}
        }
    }

    fn word(&mut self, token: Token<'a>) {
        match self.state() {
            State::Skip => {}
            State::Grant => self.grant(token),
            STATEMENT if self.statement(token) => {}
            State::With if is_one_of(token, &["DELETE", "INSERT", "MERGE", "UPDATE"]) => {
                self.statement(token);
            }
            State::Start { .. } | EXPECTS_TABLE if token.is_word("WITH") => self.set(State::With),
            _ if token.is_word("SELECT") => self.select(token),
            _ if token.is_word("FROM") => self.from(),
            _ if is_one_of(token, &["EXCEPT", "INTERSECT", "MINUS", "UNION"])
                && self.tokens.starts_query() =>
            {
                *self.frame() = Frame {
                    is_continued: true,
                    ..Frame::new(EXPRESSION)
                };
            }
            State::Tables { .. } | State::Rest if token.is_word("JOIN") => {
                // `ARRAY JOIN` joins columns.
                if !self.before[1].is_some_and(|before| before.is_word("ARRAY")) {
                    self.set(EXPECTS_TABLE);
                }
            }
            State::Tables { expects } => self.table_word(token, expects),
            State::Select if token.is_word("INTO") => self.select_into(),
            State::Rest if token.is_word("USING") => self.using(),
            State::Start { .. } => self.set(State::Rest),
            State::With | State::Select | State::Rest => {}
        }
    }

    fn select(&mut self, token: Token<'a>) {
        let frame = self.frame();
        frame.state = State::Select;
        frame.awaits_from = true;
        if !std::mem::take(&mut frame.is_continued) {
            self.summary.push(token.text);
        }
    }

    fn from(&mut self) {
        let is_comparison = matches!(self.before, [Some(first), Some(second)]
            if is_one_of(first, &["IS", "NOT"]) && second.is_word("DISTINCT"));
        let is_first = self.state() == STATEMENT;
        if !is_comparison && (self.frame().awaits_from || is_first) {
            self.frame().awaits_from = false;
            self.set(EXPECTS_TABLE);
        }
    }

    /// `SELECT … INTO t`
    fn select_into(&mut self) {
        self.tokens
            .skip_words(&["STRICT", "TEMP", "TEMPORARY", "UNLOGGED"]);
        self.tokens.take_table();
        if self.tokens.take_word(&["DUMPFILE", "OUTFILE"]).is_none() {
            self.take_name();
        }
    }

    fn using(&mut self) {
        let is_columns = self.tokens.is_symbol("(") && !self.tokens.starts_query();
        if self.frame().awaits_using && !is_columns {
            self.set(EXPECTS_TABLE);
        }
    }

    /// A word in a list of tables.
    fn table_word(&mut self, token: Token<'a>, expects: bool) {
        let opens = self.tokens.is_symbol("(");
        if expects && is_name(token) {
            let is_prefix = is_one_of(token, &["LATERAL", "ONLY"])
                && (opens || self.tokens.peek().is_some_and(is_name));
            if token.is_word("TABLE") && opens {
                self.miss();
            } else if !is_prefix {
                self.name(token);
            }
            return;
        }
        if token.is_word("USING") {
            return self.using();
        }
        if is_one_of(token, &["APPLY", "STRAIGHT_JOIN"]) {
            return self.set(EXPECTS_TABLE);
        }
        let precedes = |words: &[&str]| self.tokens.is_next(words);
        let ends = is_one_of(token, ENDS_TABLES)
            || (token.is_word("CONNECT") && precedes(&["BY"]))
            || (token.is_word("FOR") && !precedes(PERIODS))
            || (token.is_word("LATERAL") && precedes(&["VIEW"]))
            || (token.is_word("OPTION") && opens)
            || (token.is_word("START") && precedes(&["WITH"]));
        if ends {
            self.set(State::Rest);
        }
    }

    /// The first word of a statement. Returns `false` if it is not an operation.
    fn statement(&mut self, token: Token<'a>) -> bool {
        let word = token.text.to_ascii_uppercase();
        let word = word.as_str();
        if is_one_of(token, &["INSERT", "REPLACE", "TRUNCATE"]) && self.tokens.is_symbol("(") {
            // A function.
            return false;
        }
        let is_known =
            OF_A_TABLE.contains(&word) || ALONE.contains(&word) || STATEMENTS.contains(&word);
        if !is_known {
            return false;
        }
        self.summary.push(token.text);
        self.set(State::Rest);
        match word {
            "ALTER" | "CREATE" | "DROP" => self.definition(word),
            "BEGIN" => self.set(STATEMENT),
            "CALL" | "EXEC" | "EXECUTE" => self.procedure(),
            "DELETE" => self.delete(),
            "DENY" | "GRANT" | "REVOKE" => self.set(State::Grant),
            "DESC" | "DESCRIBE" | "EXPLAIN" => self.explain(),
            "INSERT" | "REPLACE" | "UPSERT" => self.insert(),
            "MERGE" => {
                self.tokens.skip_words(&["INTO"]);
                self.frame().awaits_using = true;
                self.set(EXPECTS_TABLE);
            }
            "SHOW" => self.show(),
            "START" => _ = self.push_if(&["TRANSACTION"]),
            "TABLE" => self.take_name(),
            "TRUNCATE" => {
                if let Some(table) = self.tokens.take_table() {
                    self.summary.push(table.text);
                }
                self.tokens.skip_words(&["IF", "EXISTS", "ONLY"]);
                self.take_names();
            }
            "UPDATE" => {
                self.skip_alternative();
                self.tokens.skip_words(&["IGNORE", "LOW_PRIORITY", "ONLY"]);
                self.frame().awaits_from = true;
                self.set(EXPECTS_TABLE);
            }
            "USE" => {
                self.tokens
                    .skip_words(&["CATALOG", "DATABASE", "ROLE", "SCHEMA", "WAREHOUSE"]);
                self.take_name();
            }
            _ if OF_A_TABLE.contains(&word) => {
                self.tokens.skip_words(BEFORE_A_TABLE);
                self.tokens.take_table();
                self.take_name();
            }
            _ => {}
        }
        true
    }

    /// `OR IGNORE`, `OR REPLACE`, …
    fn skip_alternative(&mut self) {
        if self.tokens.take_word(&["OR"]).is_some() {
            self.tokens.next();
        }
    }

    fn insert(&mut self) {
        self.skip_alternative();
        self.tokens.skip_words(&[
            "ALL",
            "DELAYED",
            "FIRST",
            "HIGH_PRIORITY",
            "IGNORE",
            "INTO",
            "LOCAL",
            "LOW_PRIORITY",
            "OVERWRITE",
        ]);
        self.tokens.take_table();
        if self.tokens.take_word(&["DIRECTORY"]).is_none() {
            self.take_name();
        }
    }

    /// `DELETE FROM t`, `DELETE t`, and `DELETE a FROM t a`, in which `a` is one of the tables.
    fn delete(&mut self) {
        self.frame().awaits_using = true;
        let mut ahead = self.tokens.clone();
        let from = ahead.find(|token| match token.kind {
            Kind::Symbol => !matches!(token.text, "," | "." | "*" | "(" | ")"),
            Kind::Word => is_one_of(*token, RESERVED),
            _ => false,
        });
        if from.is_some_and(|token| token.is_word("FROM")) {
            self.tokens = ahead;
            self.set(EXPECTS_TABLE);
        } else {
            self.take_name();
        }
    }

    fn procedure(&mut self) {
        // `EXEC @result = p`
        let mut ahead = self.tokens.clone();
        if ahead.take_symbol("@") && ahead.next().is_some() && ahead.take_symbol("=") {
            self.tokens = ahead;
        }
        if self.tokens.take_word(&["IMMEDIATE"]).is_none() {
            self.take_name();
        }
    }

    fn explain(&mut self) {
        loop {
            self.tokens.skip_words(EXPLAIN_OPTIONS);
            if self.tokens.is_symbol("(") && !self.tokens.starts_query() {
                self.tokens.skip_parentheses();
                continue;
            }
            if self.tokens.take_word(&["FORMAT"]).is_none() {
                break;
            }
            self.tokens.take_symbol("=");
            self.tokens.next();
        }
        self.tokens.take_table();
        let is_statement = self.tokens.peek_word().is_some_and(|token| {
            let word = token.text.to_ascii_uppercase();
            STATEMENTS.contains(&word.as_str()) || is_one_of(token, &["SELECT", "WITH"])
        });
        if is_statement || self.tokens.is_symbol("(") {
            self.set(STATEMENT);
        } else {
            self.take_name();
        }
    }

    /// `SHOW TABLES`, `SHOW COLUMNS FROM t`, `SHOW CREATE TABLE t`
    fn show(&mut self) {
        self.tokens
            .skip_words(&["EXTENDED", "FULL", "GLOBAL", "SESSION"]);
        if self.push_if(&["CREATE"])
            && let Some(kind) = self.tokens.peek_word()
        {
            self.tokens.next();
            self.summary.push(kind.text);
        }
        self.take_name();
        self.frame().awaits_from = true;
    }

    /// `GRANT … ON t TO …`
    fn grant(&mut self, token: Token<'a>) {
        if token.is_word("ON") {
            self.tokens
                .skip_words(&["DATABASE", "FUNCTION", "SCHEMA", "SEQUENCE"]);
            self.tokens.take_table();
            self.take_names();
            self.set(State::Skip);
        } else if is_one_of(token, &["FROM", "TO"]) {
            self.set(State::Skip);
        }
    }

    /// `CREATE`, `ALTER` and `DROP`
    fn definition(&mut self, verb: &str) {
        const DEFINED: &[&str] = &["EVENT", "FUNCTION", "PROCEDURE", "TRIGGER", "VIEW"];
        self.tokens.skip_words(MODIFIERS);
        if self.tokens.is_next(&["ALGORITHM", "DEFINER", "SQL"]) {
            let mut ahead = self.tokens.clone();
            while ahead.peek().is_some_and(|token| !token.is_symbol(";")) && !ahead.is_next(DEFINED)
            {
                ahead.next();
            }
            self.tokens = ahead;
        }
        self.set(State::Skip);
        let Some(kind) = self.tokens.peek_word() else {
            return;
        };
        self.tokens.next();
        self.summary.push(kind.text);
        self.tokens
            .skip_words(&["CONCURRENTLY", "EXISTS", "IF", "NOT", "ONLY"]);
        // An index without a name.
        self.tokens.skip_words(&["ON"]);
        if verb == "DROP" {
            self.take_names();
            return;
        }
        self.take_name();
        if kind.is_word("TABLE") && verb == "CREATE" {
            // A query may follow.
            self.set(State::Rest);
        }
        self.is_done = is_one_of(kind, WITH_BODY);
    }

    /// Copies the next word if it is one of `words`.
    fn push_if(&mut self, words: &[&str]) -> bool {
        let word = self.tokens.take_word(words);
        if let Some(word) = word {
            self.summary.push(word.text);
        }
        word.is_some()
    }

    /// Copies the name that follows, if there is one.
    fn take_name(&mut self) {
        if let Some(token) = self.tokens.peek().filter(|token| is_name(*token)) {
            self.tokens.next();
            self.push_name(token);
        }
    }

    fn take_names(&mut self) {
        loop {
            self.take_name();
            if !self.tokens.take_symbol(",") {
                return;
            }
        }
    }

    /// Copies a name, with the names after its dots.
    fn push_name(&mut self, first: Token<'a>) {
        let start = self.summary.begin();
        self.summary.text.push_str(first.text);
        while self.tokens.take_symbol(".") {
            self.summary.text.push('.');
            let next = self.tokens.peek();
            if let Some(next) =
                next.filter(|next| matches!(next.kind, Kind::Word | Kind::Name | Kind::Quoted))
            {
                self.tokens.next();
                self.summary.text.push_str(next.text);
            }
        }
        self.summary.end(start);
    }
}

/// The summary so far. It is never cut within a word or a name.
#[derive(Default)]
struct Summary {
    text: String,
    is_full: bool,
}

impl Summary {
    fn push(&mut self, part: &str) {
        let start = self.begin();
        self.text.push_str(part);
        self.end(start);
    }

    /// Separates the next part. Returns the length without it.
    fn begin(&mut self) -> usize {
        let length = self.text.len();
        if length > 0 {
            self.text.push(' ');
        }
        length
    }

    /// Removes the part that started at `length` if there is no room for it.
    fn end(&mut self, length: usize) {
        self.is_full |= self.text.chars().count() > MAX_SUMMARY;
        if self.is_full {
            self.text.truncate(length);
        }
    }
}
