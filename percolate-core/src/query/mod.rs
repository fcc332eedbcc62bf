//! SQL over entities: [`Database::query`]. DataFusion plans and executes; this module provides
//! tables and rows.
//!
//! A query passes through the files in this order. `statement` parses the text and rejects
//! statements that write, with `tokens`, `precedence` corrects it, and `stack` provides the stack for
//! large ones. `session`
//! configures DataFusion from the shared `engine`, with rules that correct its results: `times`,
//! `membership`, `overflow` and `sum`, and with the functions of `json`. `compute` executes `run` on one of
//! the `threads`; `budget`, `bounded`, `counted`, `growth`, `sizes`, `concatenation` and `steps` bound
//! the memory of functions and batches there. `table` provides the tables, with the columns that `columns`
//! derives from their schemas. `filters` selects the conditions to push down, and
//! `access` the access path. `reader` reads the records from one snapshot, and `rows` converts them
//! to Arrow with `values`. `result` is the result, and `error` the errors. `writes` writes the entities
//! that match a `condition`, and `search` searches among them.

mod access;
mod arrow_json;
mod bounded;
mod budget;
mod columns;
mod compute;
mod concatenation;
mod condition;
mod counted;
pub(crate) mod engine;
pub(crate) mod error;
mod export;
mod filters;
mod growth;
mod insert;
mod json;
mod membership;
mod overflow;
mod precedence;
mod reader;
mod result;
mod rows;
mod run;
mod search;
mod session;
mod sizes;
mod stack;
mod statement;
mod steps;
mod sum;
mod table;
mod threads;
mod times;
mod tokens;
mod values;
mod vector_columns;
mod writes;

use datafusion::common::ScalarValue;
use serde_json::Value;

pub use datafusion::arrow;

use self::compute::compute;
pub use self::condition::select_ids;
pub use self::error::QueryError;
pub use self::result::QueryResult;
use self::statement::{Statement, parameters};
use crate::database::Database;
use crate::database::core::Core;
use crate::database::error::Error;
use crate::otel::query_text;
use crate::{db_op, db_ops};

/// SQL queries.
#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    /// Runs a SELECT over the tables of this tenant.
    ///
    /// Every registered table has typed columns from its schema and the system columns `_id`,
    /// `_created_at` and `_updated_at`. All of DataFusion's SELECT is available. Each query reads one
    /// snapshot. Statements that write are rejected. Names without double quotes are converted to
    /// lower case.
    ///
    /// Dropping the future cancels the query.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`] if a table does not exist; [`Error::UnusableTable`] if its schema
    /// cannot be read; [`QueryError`] for all other errors of a
    /// query; the error of the store if it cannot be read.
    pub async fn query(&self, sql: &str) -> Result<QueryResult, Error> {
        self.query_with(sql, &[]).await
    }

    /// Like [`query`](Self::query), with values for the placeholders `$1`, `$2`, … in the text.
    ///
    /// ```
    /// use percolate_core::Database;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({ "properties": { "title": { "type": "string" } } }))?;
    /// db.insert("articles", &json!({ "title": "it's" }))?;
    /// let found = db.query_with("SELECT count(*) AS n FROM articles WHERE title = $1", &[json!("it's")]).await?;
    /// assert_eq!(found.to_json(), [json!({ "n": 1 })]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn query_with(&self, sql: &str, parameters: &[Value]) -> Result<QueryResult, Error> {
        self.query_parsed(sql, Statement::parse(sql), parameters)
            .await
    }

    #[db_op(query, query_text = raw(recorded_text(sql, &statement)), query_summary = summary(sql))]
    async fn query_parsed(
        &self,
        sql: &str,
        statement: Result<Statement, QueryError>,
        parameters: &[Value],
    ) -> Result<QueryResult, Error> {
        let (statement, parameters) = with_parameters(statement?, parameters)?;
        require_runtime()?;
        let result = compute(&self.core, statement, parameters).await;
        result.map_err(|error| unusable(&self.core, error))
    }
}

/// Returns a statement and the values of its placeholders. Its errors contain none of them.
fn with_parameters(
    mut statement: Statement,
    parameters: &[Value],
) -> Result<(Statement, Vec<ScalarValue>), QueryError> {
    for parameter in parameters {
        match parameter {
            Value::String(text) => statement.words.add_value(text),
            other => statement.words.add_value(&other.to_string()),
        }
    }
    Ok((statement, self::parameters(parameters)?))
}

/// Returns an error outside of a tokio runtime, which has the threads of queries.
fn require_runtime() -> Result<(), QueryError> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(QueryError::NoRuntime),
    }
}

/// Returns the error of a table that cannot be used, which is not among the tables of a query.
fn unusable(core: &Core, error: Error) -> Error {
    match error {
        Error::UnknownTable { table, known } => match core.schema(&table) {
            Err(error @ Error::UnusableTable { .. }) => error,
            _ => Error::UnknownTable { table, known },
        },
        error => error,
    }
}

/// Returns the text without its literals, or nothing if it was refused: what is a literal in it is
/// then not certain. Text in double quotes is left out too. It is a name, or a string of a query
/// that planning will refuse.
fn recorded_text(sql: &str, statement: &Result<Statement, QueryError>) -> String {
    match statement {
        Ok(_) => query_text::sanitize(sql),
        Err(_) => String::new(),
    }
}

/// Returns the summary, which is the name of the span, or `query` if there is none.
fn summary(sql: &str) -> String {
    let summary = query_text::summarize(sql);
    if summary.is_empty() {
        "query".to_owned()
    } else {
        summary
    }
}

#[cfg(test)]
mod tests;
