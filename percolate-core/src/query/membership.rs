//! `IN (subquery)` where a null decides. DataFusion evaluates a subquery inside `OR`, `CASE` and
//! similar expressions to true or false, although SQL makes it null if nothing is equal and one side
//! has a null. This rule rewrites such conditions with `EXISTS`, which is never null.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{Column, DFSchema, ExprSchema as _, JoinType, ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, not, when,
};
use datafusion::optimizer::AnalyzerRule;

/// Gives `IN (subquery)` in a condition its value with nulls. It runs before the types of a query
/// are decided.
#[derive(Debug)]
pub(super) struct MembershipWithNulls;

impl AnalyzerRule for MembershipWithNulls {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            Ok(match plan {
                LogicalPlan::Filter(filter) if has_membership(&filter.predicate) => {
                    let rows = Rows(filter.input.schema());
                    let predicate = rows.condition(filter.predicate, Place::Conjunct)?;
                    let filter = Filter::try_new(predicate, filter.input)?;
                    Transformed::yes(LogicalPlan::Filter(filter))
                }
                LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(has_membership) => {
                    Transformed::yes(filter_after_join(join)?)
                }
                plan => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "membership_with_nulls"
    }
}

/// Moves the condition of an inner join behind it, where DataFusion plans subqueries.
fn filter_after_join(mut join: Join) -> Result<LogicalPlan> {
    if join.join_type != JoinType::Inner {
        return not_impl_err!("`IN` with a subquery in the ON of an outer join; use it in WHERE");
    }
    let Some(filter) = join.filter.take() else {
        return Ok(LogicalPlan::Join(join));
    };
    let input = Arc::new(LogicalPlan::Join(join));
    let predicate = Rows(input.schema()).condition(filter, Place::Conjunct)?;
    Ok(LogicalPlan::Filter(Filter::try_new(
        predicate,
        input.clone(),
    )?))
}

/// The place of a condition. In both, null has the effect of false.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole condition of a filter, or one side of its `AND`. DataFusion plans a `NOT IN` here
    /// as a join that heeds nulls.
    Conjunct,
    /// One side of an `OR`, or below it.
    Inside,
}

fn has_membership(expression: &Expr) -> bool {
    let is_membership = |part: &Expr| Ok(matches!(part, Expr::InSubquery(_)));
    // The closure does not fail.
    expression.exists(is_membership).unwrap_or(true)
}

/// The rows on which a condition is evaluated.
struct Rows<'a>(&'a DFSchema);

impl Rows<'_> {
    /// Rewrites a condition whose null has the effect of false.
    fn condition(&self, expression: Expr, place: Place) -> Result<Expr> {
        if !has_membership(&expression) {
            return Ok(expression);
        }
        Ok(match expression {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: op @ (Operator::And | Operator::Or),
                right,
            }) => {
                let place = if op == Operator::And {
                    place
                } else {
                    Place::Inside
                };
                let (left, right) = (
                    self.condition(*left, place)?,
                    self.condition(*right, place)?,
                );
                Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
            }
            Expr::Not(inner) => match *inner {
                Expr::Not(inner) => self.condition(*inner, place)?,
                Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                }) => self.condition(
                    Expr::InSubquery(InSubquery::new(expr, subquery, !negated)),
                    place,
                )?,
                Expr::BinaryExpr(BinaryExpr {
                    left,
                    op: op @ (Operator::And | Operator::Or),
                    right,
                }) => {
                    let swapped = if op == Operator::And {
                        Operator::Or
                    } else {
                        Operator::And
                    };
                    let both =
                        BinaryExpr::new(Box::new(not(*left)), swapped, Box::new(not(*right)));
                    self.condition(Expr::BinaryExpr(both), place)?
                }
                inner => not(self.value(inner)?),
            },
            Expr::InSubquery(membership) if !membership.negated => Expr::InSubquery(membership),
            Expr::InSubquery(membership) => {
                let is_join = place == Place::Conjunct
                    && membership.expr.any_column_refs()
                    && membership.subquery.outer_ref_columns.is_empty();
                if is_join {
                    Expr::InSubquery(membership)
                } else {
                    // A row that may be equal prevents that the condition is true.
                    self.exists(&membership, Expr::is_not_false, true)?
                }
            }
            other => self.value(other)?,
        })
    }

    /// Rewrites an expression whose null has an effect of its own.
    fn value(&self, expression: Expr) -> Result<Expr> {
        let three_valued = |part| match part {
            Expr::InSubquery(membership) => {
                let found = self.exists(&membership, |equal| equal, false)?;
                let unknown = self.exists(&membership, Expr::is_null, false)?;
                let truth = |value| Expr::Literal(ScalarValue::Boolean(value), None);
                let value = when(found, truth(Some(!membership.negated)))
                    .when(unknown, truth(None))
                    .otherwise(truth(Some(membership.negated)))?;
                Ok(Transformed::yes(value))
            }
            part => Ok(Transformed::no(part)),
        };
        expression.transform_down(three_valued).data()
    }

    /// Returns `EXISTS (SELECT … WHERE test(column = expression))` over the rows of the subquery.
    fn exists(
        &self,
        membership: &InSubquery,
        test: fn(Expr) -> Expr,
        negated: bool,
    ) -> Result<Expr> {
        let Subquery {
            subquery,
            outer_ref_columns,
            spans,
        } = &membership.subquery;
        let mut outer_ref_columns = outer_ref_columns.clone();
        let outer = (*membership.expr)
            .clone()
            .transform_up(|part| {
                let Expr::Column(column) = part else {
                    return Ok(Transformed::no(part));
                };
                let field = self.0.field_from_column(&column)?;
                let reference = Expr::OuterReferenceColumn(Arc::clone(field), column);
                outer_ref_columns.push(reference.clone());
                Ok(Transformed::yes(reference))
            })
            .data()?;
        let column = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let plan = LogicalPlanBuilder::from(Arc::clone(subquery))
            .filter(test(column.eq(outer)))?
            .build()?;
        Ok(Expr::Exists(Exists::new(
            Subquery {
                subquery: Arc::new(plan),
                outer_ref_columns,
                spans: spans.clone(),
            },
            negated,
        )))
    }
}
