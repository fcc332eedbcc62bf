//! Results of functions that count towards the memory limit.

use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use super::budget::Budget;
use super::sizes;

/// Calls `invoke`, and counts its result. `expected` is the size of the result, if it is known
/// before.
pub(super) fn counted(
    function: &str,
    expected: usize,
    invoke: impl FnOnce() -> Result<ColumnarValue>,
) -> Result<ColumnarValue> {
    let Some(budget) = Budget::current() else {
        return invoke();
    };
    budget.reserve(expected, function)?;
    let result = invoke()?;
    budget.correct(expected, sizes::of_result(&result), function)?;
    Ok(result)
}
