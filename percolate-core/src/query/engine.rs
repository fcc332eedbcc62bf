//! What all queries of a database share: DataFusion's configuration, its functions and the memory
//! limit.
//!
//! [`session`](super::session) adds the tables of one query.

use std::sync::{Arc, OnceLock};

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::Analyzer;
use datafusion::prelude::SessionConfig;

use super::bounded::{BoundFunctions, bound};
use super::json::{self, JsonOperators};
use super::membership::MembershipWithNulls;
use super::overflow::CheckOverflow;
use super::sum::checked_sum;
use super::threads::Threads;
use super::times::CompareInMicros;

pub(super) const CATALOG: &str = "percolate";
pub(super) const SCHEMA: &str = "public";

/// DataFusion without tables.
pub(crate) struct Engine {
    memory_limit: usize,
    memory_pool: Arc<dyn MemoryPool>,
    threads: Arc<Threads>,
    base: OnceLock<SessionState>,
}

impl Engine {
    pub(crate) fn new(memory_limit: usize) -> Self {
        Self {
            memory_limit,
            memory_pool: Arc::new(GreedyMemoryPool::new(memory_limit)),
            threads: Arc::default(),
            base: OnceLock::new(),
        }
    }

    /// The bytes that all queries together may hold at a time.
    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// The threads of all queries.
    pub(crate) fn threads(&self) -> Arc<Threads> {
        Arc::clone(&self.threads)
    }

    /// Counts the bytes that all queries hold.
    pub(super) fn memory_pool(&self) -> Arc<dyn MemoryPool> {
        Arc::clone(&self.memory_pool)
    }

    /// Returns the session that every query copies. The first query creates it, because registering
    /// all functions takes time.
    pub(super) fn base(&self) -> Result<&SessionState> {
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            // One thread reads. More partitions would move rows between tasks for no gain.
            .with_target_partitions(1);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(self.memory_pool())
            // A query that exceeds the memory limit fails. It never spills to files.
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()?;
        let mut rules = Analyzer::new().rules;
        rules.insert(0, Arc::new(CompareInMicros));
        rules.insert(1, Arc::new(MembershipWithNulls));
        rules.push(Arc::new(CheckOverflow));
        rules.push(Arc::new(BoundFunctions));
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rules(rules)
            .build();
        let functions: Vec<_> = state.scalar_functions().values().cloned().collect();
        for function in functions {
            state.register_udf(bound(&function))?;
        }
        state.register_udaf(checked_sum())?;
        for function in json::functions() {
            state.register_udf(function)?;
        }
        state.register_expr_planner(Arc::new(JsonOperators))?;
        Ok(self.base.get_or_init(|| state))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("memory_limit", &self.memory_limit)
            .finish_non_exhaustive()
    }
}
