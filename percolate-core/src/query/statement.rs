//! Parsing the text of a query, and rejecting statements that do not only read tables.

use std::ops::ControlFlow;

use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement as AnyStatement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, SetExpr, Statement as SqlStatement, visit_expressions,
    visit_relations,
};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use serde_json::Value;

use super::error::{QueryError, Words, without_literals};
use super::precedence::bind_operators;
use super::stack::Stack;
use super::tokens::{DIALECT, is_keyword, is_literal};

/// The limit of operators in one query. A chain of operators becomes a tree of the same depth.
const MAX_OPERATORS: usize = 1000;
/// The limit of SELECTs in one text. Those of `WITH` may build on each other.
const MAX_SELECTS: usize = 100;
/// The limit of table references in one text. Planning a join becomes much slower with each.
const MAX_TABLES: usize = 64;
/// The limit of nested brackets and `CASE`. The parser tries some of them in two ways, so that each
/// level may double the time until it finds an error.
const MAX_NESTING: usize = 16;
/// The parser's recursion limit. It takes several steps for each level of nesting.
const MAX_RECURSION: usize = 100;

/// A read-only statement.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) inner: AnyStatement,
    pub(super) words: Words,
    /// The stack to plan and run it on.
    pub(super) stack: Stack,
}

impl Statement {
    pub(super) fn parse(sql: &str) -> Result<Self, QueryError> {
        let mut tokens = Vec::new();
        if let Err(error) =
            Tokenizer::new(&DIALECT, sql).tokenize_with_location_into_buf(&mut tokens)
        {
            // What follows a colon is a part of the text.
            let reason = error.message.split(':').next().unwrap_or_default();
            return Err(QueryError::Syntax {
                place: place(error.location),
                reason: reason.to_owned(),
            });
        }
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        let Some(verb) = tokens.iter().find_map(word).map(str::to_ascii_uppercase) else {
            let reason = || "expected a statement".to_owned();
            return Err(
                match tokens.iter().find(|token| token.token != Token::SemiColon) {
                    Some(token) => QueryError::Syntax {
                        place: place(token.span.start),
                        reason: reason(),
                    },
                    None => QueryError::Empty,
                },
            );
        };
        let words = words_of(&tokens);
        let stack = Stack::for_operators(check_size(&tokens)?);
        refuse_nested_prefixes(&tokens)?;
        refuse_samples(&tokens)?;
        refuse_files(&tokens)?;
        let parser = DFParserBuilder::new(sql)
            .with_dialect(&DIALECT)
            .with_recursion_limit(MAX_RECURSION)
            .build();
        let mut statements = stack
            .run(|| parser.and_then(|mut parser| parser.parse_statements()))
            .map_err(|error| syntax(&error, &tokens, &words))?;
        if statements.len() > 1 {
            return Err(QueryError::SeveralStatements {
                count: statements.len(),
            });
        }
        let mut inner = statements.pop_front().ok_or(QueryError::Empty)?;
        check_read_only(&inner, &verb)?;
        check_tables(&inner)?;
        refuse_greedy_comparisons(&inner)?;
        stack.run(|| bind_operators(&mut inner));
        Ok(Self {
            inner,
            words,
            stack,
        })
    }
}

/// Converts the values of the placeholders `$1`, `$2`, ….
pub(super) fn parameters(values: &[Value]) -> Result<Vec<ScalarValue>, QueryError> {
    let scalar = |(at, value): (usize, &Value)| {
        Ok(match value {
            Value::Null => ScalarValue::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), ..) => number.into(),
                (_, Some(number), _) => number.into(),
                (.., number) => ScalarValue::Float64(number),
            },
            Value::String(text) => text.as_str().into(),
            Value::Array(_) | Value::Object(_) => {
                let reason =
                    "lists and objects are not supported; use one placeholder for each value";
                return Err(QueryError::Parameter {
                    position: at + 1,
                    reason,
                });
            }
        })
    };
    values.iter().enumerate().map(scalar).collect()
}

fn word(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) => Some(&word.value),
        _ => None,
    }
}

fn words_of(tokens: &[TokenWithSpan]) -> Words {
    let mut words = Words::default();
    for token in tokens {
        match &token.token {
            Token::Word(word) => _ = words.names.insert(word.value.to_lowercase()),
            token if is_literal(token) => words.add_value(&token.to_string()),
            _ => {}
        }
    }
    words
}

fn place(location: Location) -> Option<(u64, u64)> {
    (location.line > 0).then_some((location.line, location.column))
}

fn check_tables(statement: &AnyStatement) -> Result<(), QueryError> {
    let tables = match statement {
        AnyStatement::Statement(statement) => count_tables(statement),
        AnyStatement::Explain(explained) => return check_tables(&explained.statement),
        _ => 0,
    };
    if tables > MAX_TABLES {
        let reason = format!("it has {tables} table references, {MAX_TABLES} are allowed");
        return Err(QueryError::TooLarge { reason });
    }
    Ok(())
}

/// Rejects `a IS DISTINCT FROM b AND c` without brackets, which the parser reads as
/// `a IS DISTINCT FROM (b AND c)`.
fn refuse_greedy_comparisons(statement: &AnyStatement) -> Result<(), QueryError> {
    let statement = match statement {
        AnyStatement::Statement(statement) => statement,
        AnyStatement::Explain(explained) => return refuse_greedy_comparisons(&explained.statement),
        _ => return Ok(()),
    };
    let is_greedy = |expression: &Expr| match expression {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => matches!(
            **right,
            Expr::BinaryOp {
                op: BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor,
                ..
            }
        ),
        _ => false,
    };
    let found = visit_expressions(&**statement, |expression| {
        if is_greedy(expression) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if found.is_break() {
        return Err(QueryError::Unsupported {
            reason: "IS DISTINCT FROM before AND or OR without brackets; write \
                     `(a IS DISTINCT FROM b) AND …`"
                .to_owned(),
        });
    }
    Ok(())
}

fn count_tables(statement: &SqlStatement) -> usize {
    let mut tables = 0;
    // The closure never breaks.
    _ = visit_relations(statement, |_| {
        tables += 1;
        ControlFlow::<()>::Continue(())
    });
    tables
}

/// Returns the number of operators.
fn check_size(tokens: &[TokenWithSpan]) -> Result<usize, QueryError> {
    let selects = tokens
        .iter()
        .filter(|token| is_keyword(&token.token, "SELECT"))
        .count();
    if selects > MAX_SELECTS {
        let reason = format!("it has {selects} SELECTs, {MAX_SELECTS} are allowed");
        return Err(QueryError::TooLarge { reason });
    }
    let operators = tokens
        .iter()
        .filter(|token| is_operator(&token.token))
        .count();
    if operators > MAX_OPERATORS {
        let reason = format!(
            "it has {operators} operators, {MAX_OPERATORS} are allowed; `IN (…)` accepts a list of any length"
        );
        return Err(QueryError::TooLarge { reason });
    }
    let (mut open, mut deepest) = (0_usize, 0_usize);
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => open += 1,
            Token::RParen | Token::RBracket | Token::RBrace => open = open.saturating_sub(1),
            token if is_keyword(token, "CASE") => open += 1,
            token if is_keyword(token, "END") => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    if deepest > MAX_NESTING {
        Err(too_deep())
    } else {
        Ok(operators)
    }
}

fn too_deep() -> QueryError {
    let reason = format!(
        "brackets or `CASE` are nested deeper than {MAX_NESTING} levels; name parts of it with `WITH`"
    );
    QueryError::TooLarge { reason }
}

fn is_operator(token: &Token) -> bool {
    const WORDS: [&str; 12] = [
        "AND",
        "OR",
        "NOT",
        "IS",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "JOIN",
        "COLLATE",
    ];
    match token {
        Token::Word(_) => WORDS.iter().any(|word| is_keyword(token, word)),
        Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::Placeholder(_) => false,
        token => !is_literal(token),
    }
}

/// Rejects `INTERVAL INTERVAL` and `EXPLAIN EXPLAIN`, for which the parser calls itself without a
/// limit.
fn refuse_nested_prefixes(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let is = |token: &TokenWithSpan, words: &[&str]| {
        words.iter().any(|word| is_keyword(&token.token, word))
    };
    let explains = ["EXPLAIN", "DESCRIBE", "DESC"];
    let first = tokens
        .iter()
        .take_while(|token| is(token, &explains) || is(token, &["ANALYZE", "VERBOSE"]));
    if first.filter(|token| is(token, &explains)).count() > 1 {
        return Err(refused("EXPLAIN of EXPLAIN"));
    }
    let mut pairs = tokens.windows(2);
    if pairs.any(|pair| pair.iter().all(|token| is(token, &["INTERVAL"]))) {
        return Err(QueryError::Unsupported {
            reason: "INTERVAL of INTERVAL".to_owned(),
        });
    }
    Ok(())
}

/// Rejects `TABLESAMPLE`, which DataFusion would ignore and return every row.
fn refuse_samples(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    if tokens
        .iter()
        .any(|token| is_keyword(&token.token, "TABLESAMPLE"))
    {
        return Err(QueryError::Unsupported {
            reason: "TABLESAMPLE; use `ORDER BY random() LIMIT`".to_owned(),
        });
    }
    Ok(())
}

/// Rejects `FROM 'file.csv'`, with which DataFusion's own shell reads files.
fn refuse_files(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let names_file = |at: usize| {
        let starts_tables = is_keyword(&tokens[at].token, "JOIN")
            || (is_keyword(&tokens[at].token, "FROM")
                // `a IS DISTINCT FROM 'b'` compares two values.
                && !at.checked_sub(1).is_some_and(|before| {
                    is_keyword(&tokens[before].token, "DISTINCT") && is_comparison(tokens, before)
                }));
        starts_tables
            && tokens
                .get(at + 1)
                .is_some_and(|next| matches!(next.token, Token::SingleQuotedString(_)))
    };
    match (0..tokens.len()).find(|at| names_file(*at)) {
        // `SUBSTRING(a FROM 'b')` and similar functions are allowed.
        Some(at) if !within_function(tokens, &tokens[at]) => Err(QueryError::Refused {
            statement: "reading a file".to_owned(),
            instead: "Name a table; put names with special characters in double quotes",
        }),
        _ => Ok(()),
    }
}

/// Returns `true` if the `DISTINCT` at this place belongs to `IS DISTINCT` or `IS NOT DISTINCT`.
fn is_comparison(tokens: &[TokenWithSpan], distinct: usize) -> bool {
    let before = |steps: usize, word: &str| {
        let token = distinct.checked_sub(steps).map(|at| &tokens[at].token);
        token.is_some_and(|token| is_keyword(token, word))
    };
    before(1, "IS") || (before(1, "NOT") && before(2, "IS"))
}

/// Returns `true` if the nearest open parenthesis before `token` belongs to a function.
fn within_function(tokens: &[TokenWithSpan], token: &TokenWithSpan) -> bool {
    let before = tokens
        .iter()
        .position(|other| other == token)
        .unwrap_or_default();
    let mut closed = 0_usize;
    for (at, token) in tokens[..before].iter().enumerate().rev() {
        match token.token {
            Token::RParen => closed += 1,
            Token::LParen if closed > 0 => closed -= 1,
            Token::LParen => {
                return at > 0
                    && word(&tokens[at - 1]).is_some()
                    && word(&tokens[at + 1]) != Some("SELECT");
            }
            _ => {}
        }
    }
    false
}

/// Accepts read-only statements: queries, `EXPLAIN` of queries, and lists of tables and columns.
fn check_read_only(statement: &AnyStatement, verb: &str) -> Result<(), QueryError> {
    match statement {
        AnyStatement::Statement(statement) => match &**statement {
            SqlStatement::Query(query) => check_query(query),
            SqlStatement::ShowTables { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ExplainTable { .. } => Ok(()),
            _ => Err(refused(verb)),
        },
        AnyStatement::Explain(explained) => match &*explained.statement {
            AnyStatement::Statement(inner) => match &**inner {
                SqlStatement::Query(query) => check_query(query),
                _ => Err(refused("EXPLAIN of a statement that writes")),
            },
            _ => Err(refused("EXPLAIN of a statement that writes")),
        },
        _ => Err(refused(verb)),
    }
}

fn check_query(query: &Query) -> Result<(), QueryError> {
    match &*query.body {
        SetExpr::Query(query) => check_query(query),
        SetExpr::Insert(_) => Err(refused("INSERT")),
        SetExpr::Update(_) => Err(refused("UPDATE")),
        SetExpr::Delete(_) => Err(refused("DELETE")),
        SetExpr::Merge(_) => Err(refused("MERGE")),
        SetExpr::Select(select) if select.into.is_some() => Err(refused("SELECT INTO")),
        _ if !query.locks.is_empty() => Err(refused("SELECT FOR UPDATE")),
        _ => Ok(()),
    }
}

pub(super) fn refused(statement: &str) -> QueryError {
    let instead = match statement {
        "UPDATE" => "Use `update` or `update_where` of the database",
        "DELETE" | "TRUNCATE" => "Use `delete` or `delete_where` of the database",
        "INSERT" | "MERGE" | "REPLACE" => "Use `insert`, `upsert` or `batch` of the database",
        "DROP" => "Use `drop_table` of the database",
        "CREATE" | "ALTER" => "Create and change tables with `register_schema`",
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => "Pass the values to `query_with`",
        _ => "Write a SELECT",
    };
    QueryError::Refused {
        statement: statement.to_owned(),
        instead,
    }
}

/// Converts a parser error. Describes the unexpected token, without its text if it is a literal.
fn syntax(error: &DataFusionError, tokens: &[TokenWithSpan], words: &Words) -> QueryError {
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => match &**error {
            ParserError::RecursionLimitExceeded => return too_deep(),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                message.clone()
            }
        },
        error => error.to_string(),
    };
    let (message, at) = match message.rsplit_once(" at Line: ") {
        Some((message, at)) => (message, at.split_once(", Column: ")),
        None => (&*message, None),
    };
    let place = at.and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    let reason = match message.split_once(", found: ") {
        Some((expected, _)) => {
            let expected = expected.strip_prefix("Expected: ").unwrap_or(expected);
            let found = tokens
                .iter()
                .find(|token| Some((token.span.start.line, token.span.start.column)) == place);
            format!(
                "expected {}, found {}",
                without_literals(expected, words),
                found.map_or("the end".to_owned(), described)
            )
        }
        None => without_literals(message, words),
    };
    QueryError::Syntax { place, reason }
}

fn described(token: &TokenWithSpan) -> String {
    match &token.token {
        token if is_literal(token) => "a literal".to_owned(),
        token => format!("`{token}`"),
    }
}
