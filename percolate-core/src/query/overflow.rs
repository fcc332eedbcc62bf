//! `+`, `-` and `*` of integers that fail instead of wrapping around. DataFusion wraps. This rule
//! replaces the operators by functions over Arrow's checked kernels. The sum is in [`sum`](super::sum).

use std::sync::{Arc, LazyLock};

use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{DFSchema, exec_err};
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
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expression else {
        return Transformed::no(expression);
    };
    let function = FUNCTIONS.iter().find(|(operator, _)| *operator == op);
    let are_integers = || {
        let types = (left.get_type(schema), right.get_type(schema));
        matches!(types, (Ok(left), Ok(right)) if left.is_integer() && left == right)
    };
    match function {
        Some((_, function)) if are_integers() => {
            let arguments = vec![*left, *right];
            let call = ScalarFunction::new_udf(Arc::clone(function), arguments);
            Transformed::yes(Expr::ScalarFunction(call))
        }
        _ => Transformed::no(Expr::BinaryExpr(BinaryExpr::new(left, op, right))),
    }
}

static FUNCTIONS: LazyLock<[(Operator, Arc<ScalarUDF>); 3]> = LazyLock::new(|| {
    [Operator::Plus, Operator::Minus, Operator::Multiply]
        .map(|operator| (operator, Arc::new(ScalarUDF::from(Checked::new(operator)))))
});

/// An operator as a function of two integers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator) -> Self {
        Self {
            operator,
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_subtract",
            _ => "checked_multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (left, right) = (&arguments.args[0], &arguments.args[1]);
        let (result, operation) = match self.operator {
            Operator::Plus => (apply(left, right, add), "an addition"),
            Operator::Minus => (apply(left, right, sub), "a subtraction"),
            _ => (apply(left, right, mul), "a multiplication"),
        };
        match result {
            Err(DataFusionError::ArrowError(error, _))
                if matches!(*error, ArrowError::ArithmeticOverflow(_)) =>
            {
                overflow(operation)
            }
            result => result,
        }
    }
}
