//! `sum` that fails if the sum of integers exceeds 64 bits. DataFusion's own wraps around. Sums of
//! other types are left to it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};

use super::overflow::overflow;

/// Returns the function `sum`.
pub(super) fn checked_sum() -> Arc<AggregateUDF> {
    let sum = Sum::new();
    Arc::new(AggregateUDF::from(CheckedSum { sum }))
}

/// DataFusion's sum, with accumulators of its own for integers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    sum: Sum,
}

fn is_integer(arguments: &AccumulatorArgs<'_>) -> bool {
    arguments.return_type().is_integer()
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.sum.name()
    }

    fn signature(&self) -> &Signature {
        self.sum.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.sum.return_type(types)
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if is_integer(&arguments) {
            Ok(Box::new(IntegerSum::new(&arguments)))
        } else {
            self.sum.accumulator(arguments)
        }
    }

    fn create_sliding_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        if is_integer(&arguments) {
            Ok(Box::new(IntegerSum::new(&arguments)))
        } else {
            self.sum.create_sliding_accumulator(arguments)
        }
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        !is_integer(&arguments) && self.sum.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        self.sum.create_groups_accumulator(arguments)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if !arguments.return_type().is_integer() {
            return self.sum.state_fields(arguments);
        }
        let field = if arguments.is_distinct {
            let item = Field::new_list_field(WIDE, true);
            Field::new_list(
                format_state_name(arguments.name, "sum distinct"),
                item,
                true,
            )
        } else {
            Field::new(format_state_name(arguments.name, "sum"), WIDE, true)
        };
        Ok(vec![Arc::new(field)])
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.sum.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.sum.documentation()
    }
}

/// The type of intermediate sums.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// A sum of integers of 64 bits in 128 bits, which no number of rows exceeds.
#[derive(Debug)]
struct IntegerSum {
    result: DataType,
    sum: i128,
    /// The number of values in the sum.
    values: u64,
    /// How often each value occurred, for `sum(DISTINCT …)`.
    occurrences: Option<HashMap<i128, u64>>,
}

impl IntegerSum {
    fn new(arguments: &AccumulatorArgs<'_>) -> Self {
        Self {
            result: arguments.return_type().clone(),
            sum: 0,
            values: 0,
            occurrences: arguments.is_distinct.then(HashMap::new),
        }
    }

    fn add(&mut self, value: i128) {
        if let Some(occurrences) = &mut self.occurrences {
            let count = occurrences.entry(value).or_default();
            *count += 1;
            if *count > 1 {
                return;
            }
        }
        self.sum += value;
        self.values += 1;
    }

    fn remove(&mut self, value: i128) {
        if let Some(occurrences) = &mut self.occurrences {
            let count = occurrences.entry(value).or_default();
            *count = count.saturating_sub(1);
            if *count > 0 {
                return;
            }
            occurrences.remove(&value);
        }
        self.sum -= value;
        self.values -= 1;
    }

    fn each(&mut self, values: &ArrayRef, change: fn(&mut Self, i128)) {
        match values.data_type() {
            DataType::UInt64 => values
                .as_primitive::<UInt64Type>()
                .iter()
                .flatten()
                .for_each(|value| change(self, value.into())),
            DataType::Decimal128(..) => values
                .as_primitive::<Decimal128Type>()
                .iter()
                .flatten()
                .for_each(|value| change(self, value)),
            _ => values
                .as_primitive::<Int64Type>()
                .iter()
                .flatten()
                .for_each(|value| change(self, value.into())),
        }
    }
}

fn wide(value: Option<i128>) -> ScalarValue {
    ScalarValue::Decimal128(value, 38, 0)
}

impl Accumulator for IntegerSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(&values[0], Self::add);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(&values[0], Self::remove);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (self.values > 0).then_some(self.sum);
        let result = match &self.result {
            DataType::UInt64 => {
                let sum = sum.map(u64::try_from).transpose();
                sum.map(ScalarValue::UInt64)
            }
            _ => sum.map(i64::try_from).transpose().map(ScalarValue::Int64),
        };
        result.or_else(|_| overflow("a sum"))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Some(occurrences) = &self.occurrences else {
            return Ok(vec![wide((self.values > 0).then_some(self.sum))]);
        };
        let values: Vec<_> = occurrences.keys().map(|value| wide(Some(*value))).collect();
        let list = ScalarValue::new_list_nullable(&values, &WIDE);
        Ok(vec![ScalarValue::List(list)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        match states[0].as_list_opt::<i32>() {
            Some(lists) => lists
                .iter()
                .flatten()
                .for_each(|values| self.each(&values, Self::add)),
            None => self.each(&states[0], Self::add),
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let entries = self.occurrences.as_ref().map_or(0, HashMap::capacity);
        size_of_val(self) + entries * size_of::<(i128, u64)>()
    }
}
