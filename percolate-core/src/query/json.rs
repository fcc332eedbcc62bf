//! JSON in SQL: `->`, `->>` and the functions `json_get`, `json_as_text`, `json_get_str`,
//! `json_get_int`, `json_get_float`, `json_get_bool`, `json_length` and `json_contains`.
//!
//! The first argument is JSON as text, the others are the path: names of fields, or positions in
//! lists. Negative positions count from the end. What does not exist, or is not JSON, is null.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use serde_json::Value;

/// What a function returns of the value at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Json,
    Text,
    String,
    Integer,
    Float,
    Boolean,
    Length,
    Exists,
}

const PARTS: [Part; 8] = [
    Part::Json,
    Part::Text,
    Part::String,
    Part::Integer,
    Part::Float,
    Part::Boolean,
    Part::Length,
    Part::Exists,
];

/// Returns the functions.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    PARTS.into_iter().map(JsonFunction::udf)
}

/// Plans the operators `->` and `->>`.
#[derive(Debug)]
pub(super) struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(
        &self,
        expression: RawBinaryExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let part = match expression.op {
            BinaryOperator::Arrow => Part::Json,
            BinaryOperator::LongArrow => Part::Text,
            _ => return Ok(PlannerResult::Original(expression)),
        };
        let RawBinaryExpr { left, right, .. } = expression;
        let mut arguments = path_of(left);
        arguments.push(right);
        let call = ScalarFunction::new_udf(JsonFunction::udf(part), arguments);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

/// Returns the arguments of `json_get` if the expression is one, so that a chain of operators is one
/// call with a longer path. Its text is then parsed once.
fn path_of(expression: Expr) -> Vec<Expr> {
    match expression {
        Expr::ScalarFunction(call) if is_json_get(&call) => call.args,
        other => vec![other],
    }
}

fn is_json_get(call: &ScalarFunction) -> bool {
    let function = call.func.inner().downcast_ref::<JsonFunction>();
    function.is_some_and(|function| function.part == Part::Json) && !call.args.is_empty()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    part: Part,
    signature: Signature,
}

impl JsonFunction {
    fn udf(part: Part) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Self {
            part,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    }
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Json => "json_get",
            Part::Text => "json_as_text",
            Part::String => "json_get_str",
            Part::Integer => "json_get_int",
            Part::Float => "json_get_float",
            Part::Boolean => "json_get_bool",
            Part::Length => "json_length",
            Part::Exists => "json_contains",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((json, path)) = types.split_first() else {
            return plan_err!("{} needs JSON as its first argument", self.name());
        };
        if !json.is_string() && !json.is_null() {
            return plan_err!(
                "{} needs JSON as text as its first argument, not {json}",
                self.name()
            );
        }
        let step = |step: &DataType| {
            if step.is_string() || step.is_null() {
                Ok(DataType::Utf8)
            } else if step.is_integer() {
                Ok(DataType::Int64)
            } else {
                plan_err!(
                    "the path of {} consists of names and positions, not of {step}",
                    self.name()
                )
            }
        };
        let path = path.iter().map(step);
        std::iter::once(Ok(DataType::Utf8)).chain(path).collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.part {
            Part::Json | Part::Text | Part::String => DataType::Utf8,
            Part::Integer | Part::Length => DataType::Int64,
            Part::Float => DataType::Float64,
            Part::Boolean | Part::Exists => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let are_scalars = arguments
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let rows = arrays.first().map_or(0, Array::len);
        let values = (0..rows).map(|row| value_at(&arrays, row));
        let result: ArrayRef = match self.part {
            Part::Json => {
                let texts = values.map(|value| Some(value?.to_string()));
                Arc::new(texts.collect::<StringArray>())
            }
            Part::Text => Arc::new(values.map(text_of).collect::<StringArray>()),
            Part::String => {
                let texts = values.map(|value| value?.as_str().map(str::to_owned));
                Arc::new(texts.collect::<StringArray>())
            }
            Part::Integer => {
                let numbers = values.map(|value| value?.as_i64());
                Arc::new(numbers.collect::<Int64Array>())
            }
            Part::Float => {
                let numbers = values.map(|value| value?.as_f64());
                Arc::new(numbers.collect::<Float64Array>())
            }
            Part::Boolean => {
                let booleans = values.map(|value| value?.as_bool());
                Arc::new(booleans.collect::<BooleanArray>())
            }
            Part::Length => Arc::new(values.map(length_of).collect::<Int64Array>()),
            Part::Exists => {
                let exists = |(row, value): (usize, Option<Value>)| {
                    (!arrays[0].is_null(row)).then_some(value.is_some())
                };
                Arc::new(values.enumerate().map(exists).collect::<BooleanArray>())
            }
        };
        if are_scalars {
            let scalar = ScalarValue::try_from_array(&result, 0)?;
            Ok(ColumnarValue::Scalar(scalar))
        } else {
            Ok(ColumnarValue::Array(result))
        }
    }
}

/// Returns the value at the path of a row.
fn value_at(arguments: &[ArrayRef], row: usize) -> Option<Value> {
    let (json, path) = arguments.split_first()?;
    if json.is_null(row) || path.iter().any(|step| step.is_null(row)) {
        return None;
    }
    let mut value: Value = serde_json::from_str(json.as_string::<i32>().value(row)).ok()?;
    for step in path {
        value = match (step.as_primitive_opt::<Int64Type>(), value) {
            (Some(positions), Value::Array(mut items)) => {
                let position = position(positions.value(row), items.len())?;
                items.swap_remove(position)
            }
            (None, Value::Object(mut fields)) => {
                fields.remove(step.as_string::<i32>().value(row))?
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Returns the index of a position that may count from the end.
fn position(position: i64, length: usize) -> Option<usize> {
    let index = if position < 0 {
        length.checked_sub(usize::try_from(position.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(position).ok()?
    };
    (index < length).then_some(index)
}

/// Returns text as it is and other values as JSON.
fn text_of(value: Option<Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn length_of(value: Option<Value>) -> Option<i64> {
    let length = match value? {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => return None,
    };
    i64::try_from(length).ok()
}
