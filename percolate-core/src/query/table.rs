//! A table for DataFusion: its columns, its filter pushdown, and the execution plan that reads it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

use super::access::Access;
use super::columns::{Column as TableColumn, Source, arrow_schema, columns_of};
use super::filters::Restriction;
use super::reader::{Requests, ScanSpec};
use super::rows::RowReader;
use crate::schema::Schema;

/// A table of entities.
#[derive(Debug)]
pub(super) struct EntityTable {
    schema: Arc<Schema>,
    columns: Vec<TableColumn>,
    arrow: SchemaRef,
    requests: Requests,
}

impl EntityTable {
    pub(super) fn new(schema: Arc<Schema>, requests: Requests) -> Self {
        let columns = columns_of(&schema);
        let arrow = arrow_schema(&columns);
        Self {
            schema,
            columns,
            arrow,
            requests,
        }
    }

    /// Returns the plan properties of a scan with the columns `shown`. A table scan is ordered by
    /// id.
    fn properties(&self, shown: SchemaRef, access: &Access) -> PlanProperties {
        let id = self
            .columns
            .iter()
            .find(|column| column.source == Source::Id);
        let id = id.and_then(|id| Column::new_with_schema(&id.name, &shown).ok());
        let ordered = id.filter(|_| matches!(access, Access::Scan { .. }));
        let ordering =
            ordered.map(|id| [PhysicalSortExpr::new(Arc::new(id), SortOptions::default())]);
        PlanProperties::new(
            EquivalenceProperties::new_with_orderings(shown, ordering),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        // The scan awaits each page.
        .with_scheduling_type(SchedulingType::Cooperative)
    }
}

#[async_trait]
impl TableProvider for EntityTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match Restriction::of(filter, &self.columns) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let restrictions = Restriction::all_of(filters, &self.columns);
        let access = Access::choose(&self.schema, &self.columns, &restrictions);
        let projection = projection
            .cloned()
            .unwrap_or_else(|| (0..self.columns.len()).collect());
        let arrow = arrow_schema(projection.iter().map(|&at| &self.columns[at]));
        let rows = RowReader::new(Arc::clone(&arrow), &self.columns, projection, restrictions);
        let spec = ScanSpec {
            table: self.schema.table().to_owned(),
            access,
            rows: Arc::new(rows),
            limit,
        };
        Ok(Arc::new(EntityScan::new(
            self.properties(arrow, &spec.access),
            spec,
            self.requests.clone(),
        )))
    }
}

/// Reads the rows of a table.
#[derive(Debug)]
struct EntityScan {
    spec: Arc<ScanSpec>,
    requests: Requests,
    properties: Arc<PlanProperties>,
}

impl EntityScan {
    fn new(properties: PlanProperties, spec: ScanSpec, requests: Requests) -> Self {
        Self {
            spec: Arc::new(spec),
            requests,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for EntityScan {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScanSpec {
            table,
            access,
            limit,
            ..
        } = &*self.spec;
        write!(formatter, "EntityScan: {table}, {access}")?;
        limit.map_or(Ok(()), |limit| write!(formatter, ", limit {limit}"))
    }
}

impl ExecutionPlan for EntityScan {
    fn name(&self) -> &'static str {
        "EntityScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = context.session_config().batch_size();
        let scan = self.requests.open(Arc::clone(&self.spec), rows);
        let pages = futures_util::stream::try_unfold(scan, |scan| async move {
            Ok(scan.next_page().await?.map(|page| (page, scan)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            pages,
        )))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let spec = Arc::new(ScanSpec {
            limit,
            ..(*self.spec).clone()
        });
        Some(Arc::new(Self {
            spec,
            requests: self.requests.clone(),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.spec.limit
    }
}
