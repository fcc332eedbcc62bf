//! The operator `||` of texts as a function whose result counts towards the memory limit.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr as _;
use datafusion::physical_expr::expressions::{BinaryExpr as PhysicalBinary, Column, Literal};

use super::counted::counted;
use super::growth::CONCATENATION;

/// A chain such as `a || b || c` as one function of its operands. A function for each operator would
/// be nested as deeply as the chain is long.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Concatenation {
    /// The type of the result.
    result: DataType,
    signature: Signature,
}

impl Concatenation {
    /// Returns the call for an operator. Extends the call that `left` is, if it is one.
    pub(super) fn call(left: Expr, right: Expr, schema: &DFSchema) -> Result<Expr> {
        let result = match Self::of(&left) {
            Some(chain) if right.get_type(schema)? == chain.result => chain.result.clone(),
            _ => {
                let both = BinaryExpr::new(
                    Box::new(left.clone()),
                    Operator::StringConcat,
                    Box::new(right.clone()),
                );
                Expr::BinaryExpr(both).get_type(schema)?
            }
        };
        let mut operands = match left {
            Expr::ScalarFunction(call)
                if Self::of_call(&call).is_some_and(|chain| chain.result == result) =>
            {
                call.args
            }
            left => vec![left],
        };
        operands.push(right);
        let function = Arc::new(ScalarUDF::from(Self {
            result,
            signature: Signature::variadic_any(Volatility::Immutable),
        }));
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            function, operands,
        )))
    }

    fn of(expression: &Expr) -> Option<&Self> {
        match expression {
            Expr::ScalarFunction(call) => Self::of_call(call),
            _ => None,
        }
    }

    fn of_call(call: &ScalarFunction) -> Option<&Self> {
        call.func.inner().downcast_ref::<Self>()
    }
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &'static str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let expected = CONCATENATION.expected(&arguments);
        let rows = arguments.number_rows;
        counted(self.name(), expected, || {
            let mut operands = arguments.args.into_iter();
            let Some(first) = operands.next() else {
                return internal_err!("a chain of operators without operands");
            };
            operands.try_fold(first, |left, right| concatenate(left, right, rows))
        })
    }
}

/// Evaluates DataFusion's own operator.
fn concatenate(left: ColumnarValue, right: ColumnarValue, rows: usize) -> Result<ColumnarValue> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    let mut operand = |value: ColumnarValue| -> Arc<dyn datafusion::physical_expr::PhysicalExpr> {
        match value {
            ColumnarValue::Array(array) => {
                let name = fields.len().to_string();
                let column = Column::new(&name, fields.len());
                fields.push(Field::new(name, array.data_type().clone(), true));
                columns.push(array);
                Arc::new(column)
            }
            ColumnarValue::Scalar(value) => Arc::new(Literal::new(value)),
        }
    };
    let both = PhysicalBinary::new(operand(left), Operator::StringConcat, operand(right));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch =
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    both.evaluate(&batch)
}
