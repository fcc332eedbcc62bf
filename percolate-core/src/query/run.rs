//! From a parsed statement to its result.

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

use super::budget::Budget;
use super::engine::Engine;
use super::error::{QueryError, Translator};
use super::reader::{Requests, Tables, read_error};
use super::result::QueryResult;
use super::session::session;
use super::statement::{self, Statement};
use super::steps::{bytes_of_constants, rows_for_constants, with_steps};
use crate::database::error::Error;

/// Plans and executes a statement.
pub(super) async fn run(
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
    let position = |name: &String| name.strip_prefix('$')?.parse::<usize>().ok();
    if let Some(named) = names.iter().filter(|name| position(name).is_none()).min() {
        return Err(QueryError::Placeholder {
            placeholder: named.clone(),
        }
        .into());
    }
    let positions = names.iter().filter_map(position);
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
