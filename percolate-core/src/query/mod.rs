//! SQL over entities: [`Database::query`]. DataFusion plans and executes; this module provides
//! tables and rows.
//!
//! A query passes through the files in this order. `statement` parses the text and rejects
//! statements that write, with `tokens`, `precedence` corrects it, and `stack` provides the stack for
//! large ones. `session`
//! configures DataFusion from the shared `engine`, with rules that correct its results: `times`,
//! `membership`, `overflow` and `sum`, and with the functions of `json`. `compute` runs the query on a
//! thread of its own; `budget`, `bounded`, `growth`, `sizes`, `concatenation` and `steps` bound the
//! memory of functions and batches there. `table` provides the tables, with the columns that `columns`
//! derives from their schemas. `filters` selects the conditions to push down, and
//! `access` the access path. `reader` reads the records from one snapshot, and `rows` converts them
//! to Arrow with `values`. `result` is the result, and `error` the errors.

mod access;
mod bounded;
mod budget;
mod columns;
mod compute;
mod concatenation;
pub(crate) mod engine;
pub(crate) mod error;
mod filters;
mod growth;
mod json;
mod membership;
mod overflow;
mod precedence;
mod reader;
mod result;
mod rows;
mod session;
mod sizes;
mod stack;
mod statement;
mod steps;
mod sum;
mod table;
mod times;
mod tokens;
mod values;

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, RecordBatch};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures_util::StreamExt as _;
use serde_json::Value;

pub use datafusion::arrow;

use self::budget::Budget;
use self::compute::compute;
use self::engine::Engine;
pub use self::error::QueryError;
use self::error::Translator;
use self::reader::{Requests, Tables, read_error};
pub use self::result::QueryResult;
use self::session::session;
use self::statement::{Statement, parameters};
use self::steps::{bytes_of_constants, rows_for_constants, with_steps};
use crate::database::Database;
use crate::database::error::Error;
use crate::otel::query_text;
use crate::{db_op, db_ops};

/// SQL queries.
#[db_ops(namespace = self.storage().namespace(), server_address = self.storage().server_address())]
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
        let mut statement = statement?;
        for parameter in parameters {
            match parameter {
                Value::String(text) => statement.words.add_value(text),
                other => statement.words.add_value(&other.to_string()),
            }
        }
        let parameters = self::parameters(parameters)?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(QueryError::NoRuntime.into());
        }
        let result = compute(&self.core, statement, parameters).await;
        match result {
            // A table that cannot be used is not among the tables of the query.
            Err(Error::UnknownTable { table, known }) => Err(match self.core.schema(&table) {
                Err(error @ Error::UnusableTable { .. }) => error,
                _ => Error::UnknownTable { table, known },
            }),
            result => result,
        }
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

async fn run(
    engine: &Engine,
    tables: Tables,
    requests: Requests,
    statement: Statement,
    parameters: Vec<ScalarValue>,
) -> Result<QueryResult, Error> {
    let Statement { inner, words, .. } = statement;
    let translator = Translator {
        words: &words,
        memory_limit: engine.memory_limit(),
    };
    let failed = |error| read_error(error).unwrap_or_else(|error| translator.error(error).into());
    let known: Vec<String> = tables.keys().cloned().collect();
    let session = session(engine, tables, requests).map_err(failed)?;
    let named = session.resolve_table_references(&inner).unwrap_or_default();
    let plan = session.statement_to_plan(inner).await.map_err(|error| {
        let unknown = named.into_iter().find(|table| !exists(&session, table));
        unknown.map_or_else(
            || failed(error),
            |table| Error::UnknownTable {
                table: table.to_string(),
                known,
            },
        )
    })?;
    let plan = with_parameters(plan, parameters, failed)?;
    collect(session, &plan, engine.memory_limit())
        .await
        .map_err(failed)
}

fn exists(session: &SessionState, table: &datafusion::common::TableReference) -> bool {
    let is_function = session.table_functions().contains_key(table.table());
    is_function
        || session
            .schema_for_ref(table.clone())
            .is_ok_and(|schema| schema.table_exist(table.table()))
}

/// Replaces the placeholders by the parameters, and rejects a plan that writes.
fn with_parameters(
    plan: LogicalPlan,
    parameters: Vec<ScalarValue>,
    failed: impl Fn(DataFusionError) -> Error,
) -> Result<LogicalPlan, Error> {
    let reads = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    reads
        .verify_plan(&plan)
        .map_err(|_| statement::refused("a statement that writes"))?;
    let names = plan.get_parameter_names().map_err(&failed)?;
    let positions = names
        .iter()
        .filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok());
    let (wanted, given) = (positions.max().unwrap_or(0), parameters.len());
    if wanted > given {
        return Err(QueryError::Parameter {
            position: given + 1,
            reason: "the query uses it, but no value was given",
        }
        .into());
    }
    if wanted < given {
        return Err(QueryError::Parameter {
            position: wanted + 1,
            reason: "a value was given, but the query does not use it",
        }
        .into());
    }
    if parameters.is_empty() {
        Ok(plan)
    } else {
        plan.with_param_values(ParamValues::from(parameters))
            .map_err(failed)
    }
}

/// Executes a plan. Its result counts towards the memory limit while the query runs.
async fn collect(
    mut session: SessionState,
    plan: &LogicalPlan,
    memory_limit: usize,
) -> Result<QueryResult, DataFusionError> {
    let plan = session.optimize(plan)?;
    let constants = bytes_of_constants(&plan)?;
    if let Some(budget) = Budget::current() {
        budget.hold_constants(constants)?;
    }
    let rows = session.config().batch_size();
    let fitting = rows_for_constants(constants, rows, memory_limit);
    if fitting < rows {
        *session.config_mut() = session.config().clone().with_batch_size(fitting);
    }
    let planner = Arc::clone(session.query_planner());
    let plan = planner.create_physical_plan(&plan, &session).await?;
    let plan = with_steps(plan, memory_limit)?;
    let schema = plan.schema();
    let held = MemoryConsumer::new("result").register(&session.runtime_env().memory_pool);
    let mut batches = Vec::new();
    let mut stream = execute_stream(plan, session.task_ctx())?;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        held.try_grow(size_of(&batch)?)?;
        if batch.num_rows() > 0 {
            batches.push(batch);
        }
    }
    Ok(QueryResult::new(schema, batches))
}

/// Returns the size in bytes of a batch's own rows. Several batches may share buffers.
fn size_of(batch: &RecordBatch) -> Result<usize, DataFusionError> {
    let sizes = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size());
    Ok(sizes.sum::<Result<usize, _>>()?)
}

#[cfg(test)]
mod tests;
