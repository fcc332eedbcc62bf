//! Comparisons of times. DataFusion compares a time with a text or a date in nanoseconds, which begin
//! in 1677 and end in 2262. This rule compares them in microseconds, as the rows of the tables are
//! converted, so that both have the same years.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator,
};
use datafusion::optimizer::AnalyzerRule;

use super::values::parse_moment;

/// Compares times in microseconds. It runs before the types of a query are decided.
#[derive(Debug)]
pub(super) struct CompareInMicros;

impl AnalyzerRule for CompareInMicros {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expression| {
                let name = names.save(&expression);
                let converted =
                    expression.transform_up(|expression| Ok(convert(expression, &schema)))?;
                Ok(converted.update_data(|expression| name.restore(expression)))
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "compare_times_in_micros"
    }
}

/// The time zone of a column.
type Zone = Option<Arc<str>>;

fn convert(expression: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let zone_of = |expression: &Expr| match expression.get_type(schema) {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, zone)) => Some(zone),
        _ => None,
    };
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let types = (left.get_type(schema), right.get_type(schema));
            let (left, right) = match (zone_of(&left), zone_of(&right), types) {
                (
                    _,
                    _,
                    (Ok(DataType::Date32), Ok(DataType::Timestamp(_, zone)))
                    | (Ok(DataType::Timestamp(_, zone)), Ok(DataType::Date32)),
                ) => (
                    Box::new(in_micros(left, &zone)),
                    Box::new(in_micros(right, &zone)),
                ),
                (Some(zone), None, _) => (left, Box::new(as_time(*right, &zone))),
                (None, Some(zone), _) => (Box::new(as_time(*left, &zone)), right),
                _ => (left, right),
            };
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Between(between) => match zone_of(&between.expr) {
            Some(zone) => Transformed::yes(Expr::Between(Between {
                low: Box::new(as_time(*between.low, &zone)),
                high: Box::new(as_time(*between.high, &zone)),
                ..between
            })),
            None => Transformed::no(Expr::Between(between)),
        },
        Expr::InList(list) => match zone_of(&list.expr) {
            Some(zone) => {
                let values = list.list.into_iter();
                let list = InList {
                    list: values.map(|value| as_time(value, &zone)).collect(),
                    ..list
                };
                Transformed::yes(Expr::InList(list))
            }
            None => Transformed::no(Expr::InList(list)),
        },
        other => Transformed::no(other),
    }
}

fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn in_micros(expression: Box<Expr>, zone: &Zone) -> Expr {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    Expr::Cast(Cast::new(expression, micros))
}

/// Converts a text to a time. A text that is not a time is left to DataFusion, which reports it.
fn as_time(expression: Expr, zone: &Zone) -> Expr {
    let Expr::Literal(
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)),
        _,
    ) = &expression
    else {
        return expression;
    };
    match parse_moment(text) {
        Some(moment) => Expr::Literal(
            ScalarValue::TimestampMicrosecond(Some(moment), zone.clone()),
            None,
        ),
        None => expression,
    }
}
