//! `+`, `-`, `*` and the sign of integers that fail instead of wrapping around. DataFusion wraps. This rule
//! replaces the operators by functions over Arrow's checked kernels. The sum is in [`sum`](super::sum).

use std::sync::Arc;

use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{DFSchema, ScalarValue, exec_err, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

/// Checks the arithmetic of integers. It runs after the types of a query are decided.
#[derive(Debug)]
pub(super) struct CheckOverflow;

impl AnalyzerRule for CheckOverflow {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expression| {
                let name = names.save(&expression);
                let checked = expression.transform_up(|part| Ok(checked(part, &schema)))?;
                Ok(checked.update_data(|expression| name.restore(expression)))
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "check_overflow"
    }
}

/// The error of an operation whose result does not fit.
pub(super) fn overflow<T>(operation: &str) -> Result<T> {
    exec_err!(
        "the result of {operation} exceeds the range of its integer type; cast an operand to DECIMAL or DOUBLE"
    )
}

fn checked(expression: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && integer_type(&left, schema).is_some()
                && integer_type(&left, schema) == integer_type(&right, schema) =>
        {
            Transformed::yes(Checked::call(*left, op, *right))
        }
        Expr::Negative(operand) if integer_type(&operand, schema).is_some() => {
            let zero = integer_type(&operand, schema)
                .and_then(|integer| ScalarValue::new_zero(&integer).ok());
            match zero {
                Some(zero) => Transformed::yes(Checked::call(
                    Expr::Literal(zero, None),
                    Operator::Minus,
                    *operand,
                )),
                None => Transformed::no(Expr::Negative(operand)),
            }
        }
        other => Transformed::no(other),
    }
}

fn integer_type(expression: &Expr, schema: &DFSchema) -> Option<DataType> {
    match Checked::of(expression) {
        // The first operand is not a chain itself.
        Some((_, operands)) => operands[0].get_type(schema),
        None => expression.get_type(schema),
    }
    .ok()
    .filter(DataType::is_integer)
}

/// A chain such as `a + b - c` as one function of its operands, which are integers of one type. A
/// function for each operator would be nested as deeply as the chain is long, and planning takes
/// time that is quadratic in the depth.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    /// The operators, applied from left to right.
    operators: Vec<Operator>,
    signature: Signature,
}

impl Checked {
    /// Returns the call for an operator. Extends the call that `left` is, if it is one.
    fn call(left: Expr, operator: Operator, right: Expr) -> Expr {
        let mut operators =
            Self::of(&left).map_or_else(Vec::new, |(chain, _)| chain.operators.clone());
        operators.push(operator);
        let mut operands = match left {
            Expr::ScalarFunction(chain) if operators.len() > 1 => chain.args,
            left => vec![left],
        };
        operands.push(right);
        let function = Arc::new(ScalarUDF::from(Self {
            operators,
            signature: Signature::variadic_any(Volatility::Immutable),
        }));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, operands))
    }

    fn of(expression: &Expr) -> Option<(&Self, &[Expr])> {
        match expression {
            Expr::ScalarFunction(call) => {
                Some((call.func.inner().downcast_ref::<Self>()?, &call.args))
            }
            _ => None,
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut operands = arguments.args.into_iter();
        let Some(first) = operands.next() else {
            return internal_err!("a chain of operators without operands");
        };
        operands
            .zip(&self.operators)
            .try_fold(first, |left, (right, operator)| {
                let (result, operation) = match operator {
                    Operator::Plus => (apply(&left, &right, add), "an addition"),
                    Operator::Minus => (apply(&left, &right, sub), "a subtraction"),
                    _ => (apply(&left, &right, mul), "a multiplication"),
                };
                match result {
                    Err(DataFusionError::ArrowError(error, _))
                        if matches!(*error, ArrowError::ArithmeticOverflow(_)) =>
                    {
                        overflow(operation)
                    }
                    result => result,
                }
            })
    }
}
