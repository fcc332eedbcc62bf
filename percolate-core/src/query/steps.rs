//! What happens between the operators of a plan: each passes on its batches through a [`Step`].
//!
//! A step ends a query that was dropped, ends the counting of the functions that computed the batch
//! ([`budget`](super::budget)), and refuses a batch that is larger than the memory limit, which a
//! join or an unnested list can create from small rows.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::{
    Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures_util::StreamExt as _;

use super::budget::Budget;
use super::sizes;

/// The part of the memory limit that the constants of a plan may take if each is repeated for each
/// row of a batch.
const CONSTANTS_IN_LIMIT: usize = 8;

/// Puts a [`Step`] behind every operator. A join also yields to the runtime between its batches.
/// DataFusion only yields where batches are read, and a join may compute for minutes after that.
pub(super) fn with_steps(
    plan: Arc<dyn ExecutionPlan>,
    memory_limit: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let node = match node.children().len() {
            0 | 1 => node,
            _ => Arc::new(CooperativeExec::new(node)),
        };
        Ok(Transformed::yes(Arc::new(Step {
            input: node,
            memory_limit,
        }) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

/// Returns the bytes of the constants of a plan that may be repeated for each row.
pub(super) fn bytes_of_constants(plan: &LogicalPlan) -> Result<usize> {
    let mut bytes = 0_usize;
    plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Values(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                Ok(match part {
                    Expr::Literal(value, _) => {
                        bytes = bytes.saturating_add(sizes::of_scalar(value));
                        TreeNodeRecursion::Continue
                    }
                    Expr::InList(_) => TreeNodeRecursion::Jump,
                    _ => TreeNodeRecursion::Continue,
                })
            })
        })
    })?;
    Ok(bytes)
}

/// Returns the number of rows of a batch in which constants of this size can be repeated.
pub(super) fn rows_for_constants(bytes: usize, rows: usize, memory_limit: usize) -> usize {
    let fitting = memory_limit / CONSTANTS_IN_LIMIT / bytes.max(1);
    rows.min(fitting).max(1)
}

/// Passes on the batches of an operator.
#[derive(Debug)]
struct Step {
    input: Arc<dyn ExecutionPlan>,
    memory_limit: usize,
}

impl DisplayAs for Step {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Step")
    }
}

impl ExecutionPlan for Step {
    fn name(&self) -> &'static str {
        "Step"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        let memory_limit = self.memory_limit;
        Ok(Arc::new(Self {
            input,
            memory_limit,
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let properties = ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(properties))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let limit = self.memory_limit;
        let passed_on = batches.map(move |batch| pass_on(batch?, limit));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            passed_on,
        )))
    }
}

fn pass_on(batch: RecordBatch, memory_limit: usize) -> Result<RecordBatch> {
    if let Some(budget) = Budget::current() {
        budget.passed_on()?;
    }
    let columns = batch.columns().iter();
    let bytes: usize = columns.map(|column| sizes::of_array(column)).sum();
    if bytes > memory_limit {
        return Err(DataFusionError::ResourcesExhausted(
            "a batch of rows".to_owned(),
        ));
    }
    Ok(batch)
}
