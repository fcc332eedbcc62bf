//! How much functions return that can return much more than they receive.
//!
//! The size is known before the call, exactly or as an upper bound that is close. All other
//! functions return at most a few times of what they receive.

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use regex::Regex;

use super::budget::Budget;
use super::sizes;

/// The kind of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// The result is at most a few times as large as the arguments.
    Little,
    /// The result has all arguments.
    Sum,
    /// The result has all arguments, and the first one between them.
    Separated,
    /// The result has the first argument as often as the second one tells.
    Repeat,
    /// The result has as many characters as the second argument tells.
    Pad,
    /// The result has the integers or times between two others.
    Range,
    /// The result has as many items as the second argument tells.
    Resize,
    /// The result has the third argument in place of the second one.
    Replace,
    /// The result has the third argument in place of the matches of the second one.
    ReplaceMatches,
    /// The result has the third argument in place of items.
    ReplaceItems,
    /// The result has the other arguments between the items of the first one.
    Join,
}

/// The function of `Growth::Sum` that the operator `||` calls.
pub(super) const CONCATENATION: Growth = Growth::Sum;

/// The bytes of an item whose size is not known.
const ITEM: usize = 8;
/// The bytes of a number as text.
const NUMBER: usize = 20;
/// The bytes of a character in UTF-8, at most.
const CHARACTER: usize = 4;

impl Growth {
    /// Returns the kind of the function `name` of DataFusion.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "concat_ws" => Self::Separated,
            "concat" | "array_concat" | "array_append" | "array_prepend" | "array_replace"
            | "make_array" | "struct" | "named_struct" | "map" | "overlay" => Self::Sum,
            "repeat" | "array_repeat" => Self::Repeat,
            "lpad" | "rpad" => Self::Pad,
            "range" | "generate_series" => Self::Range,
            "array_resize" => Self::Resize,
            "replace" => Self::Replace,
            "regexp_replace" => Self::ReplaceMatches,
            "array_replace_n" | "array_replace_all" => Self::ReplaceItems,
            "array_to_string" => Self::Join,
            _ => Self::Little,
        }
    }

    /// Returns the size of the result in bytes, 0 if only the call shows it. Arguments of types that
    /// the function does not support have the size 0.
    pub(super) fn expected(self, call: &ScalarFunctionArgs) -> usize {
        let arguments = &call.args;
        let rows = if arguments
            .iter()
            .any(|argument| matches!(argument, ColumnarValue::Array(_)))
        {
            call.number_rows
        } else {
            1
        };
        let size = |at: usize| -> usize {
            let argument = arguments.get(at);
            argument.map_or(0, |argument| sizes::of_argument(argument, rows))
        };
        match self {
            Self::Little => 0,
            Self::Sum => (0..arguments.len())
                .map(size)
                .fold(0, usize::saturating_add),
            Self::Separated => {
                let values = (0..arguments.len()).map(size);
                let separators = size(0).saturating_mul(arguments.len());
                values.fold(separators, usize::saturating_add)
            }
            Self::Repeat => {
                let lengths = Lengths::of(arguments.first());
                let counts = Integers::of(arguments.get(1));
                per_row(rows, |row| {
                    lengths.at(row).max(1).saturating_mul(counts.at(row))
                })
            }
            Self::Pad => {
                let lengths = Integers::of(arguments.get(1));
                let width = match arguments.get(2) {
                    None => 1,
                    Some(fill) if is_ascii(fill) => 1,
                    Some(_) => CHARACTER,
                };
                let padding = per_row(rows, |row| lengths.at(row).saturating_mul(width));
                padding.saturating_add(size(0))
            }
            Self::Range => items_between(arguments, rows).saturating_mul(size_of::<i64>()),
            Self::Resize => {
                let lengths = Integers::of(arguments.get(1));
                let fill = Lengths::of(arguments.get(2));
                let items = per_row(rows, |row| {
                    lengths.at(row).saturating_mul(fill.at(row).max(ITEM))
                });
                items.saturating_add(size(0))
            }
            Self::Replace => replaced(arguments, rows, size(0)),
            Self::ReplaceMatches => matches_replaced(arguments, rows, size(0)),
            Self::ReplaceItems => {
                let items = Items::of(arguments.first());
                let by = Lengths::of(arguments.get(2));
                let replaced = per_row(rows, |row| items.at(row).saturating_mul(by.at(row)));
                replaced.saturating_add(size(0))
            }
            Self::Join => {
                let items = Items::of(arguments.first());
                let (between, null) =
                    (Lengths::of(arguments.get(1)), Lengths::of(arguments.get(2)));
                let separators = per_row(rows, |row| {
                    let item = NUMBER + between.at(row) + null.at(row);
                    items.at(row).saturating_mul(item)
                });
                separators.saturating_add(size(0))
            }
        }
    }
}

fn per_row(rows: usize, size: impl Fn(usize) -> usize) -> usize {
    (0..rows).map(size).fold(0, usize::saturating_add)
}

/// The argument as an array of one row, or of all rows.
fn array(argument: Option<&ColumnarValue>) -> Option<(ArrayRef, bool)> {
    match argument? {
        ColumnarValue::Array(array) => Some((array.clone(), false)),
        ColumnarValue::Scalar(value) => Some((value.to_array().ok()?, true)),
    }
}

/// A number for each row.
enum Numbers {
    Same(usize),
    Each(Vec<usize>),
}

impl Numbers {
    fn at(&self, row: usize) -> usize {
        match self {
            Self::Same(number) => *number,
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or_default(),
        }
    }

    fn new(argument: Option<&ColumnarValue>, number: impl Fn(&ArrayRef, usize) -> usize) -> Self {
        match array(argument) {
            None => Self::Same(0),
            Some((array, true)) => Self::Same(number(&array, 0)),
            Some((array, false)) => {
                Self::Each((0..array.len()).map(|row| number(&array, row)).collect())
            }
        }
    }
}

/// The sizes of the values of an argument.
struct Lengths;

impl Lengths {
    fn of(argument: Option<&ColumnarValue>) -> Numbers {
        if let Some(ColumnarValue::Scalar(value)) = argument {
            return Numbers::Same(sizes::of_scalar(value));
        }
        Numbers::new(argument, |array, row| match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value_length(row).unsigned_abs() as usize,
            _ => sizes::of_array(&array.slice(row, 1)),
        })
    }
}

/// The values of an argument that is an integer. Negative values are 0.
struct Integers;

impl Integers {
    fn of(argument: Option<&ColumnarValue>) -> Numbers {
        let argument = match argument {
            Some(ColumnarValue::Array(array)) => {
                cast(array, &DataType::Int64).ok().map(ColumnarValue::Array)
            }
            Some(ColumnarValue::Scalar(value)) => value
                .cast_to(&DataType::Int64)
                .ok()
                .map(ColumnarValue::Scalar),
            None => None,
        };
        Numbers::new(argument.as_ref(), |array, row| {
            let integers = array.as_primitive::<Int64Type>();
            let integer = integers.is_valid(row).then(|| integers.value(row));
            usize::try_from(integer.unwrap_or(0)).unwrap_or(0)
        })
    }
}

/// The numbers of items of an argument that is a list, also of lists.
struct Items;

impl Items {
    fn of(argument: Option<&ColumnarValue>) -> Numbers {
        Numbers::new(argument, |array, row| leaves(&array.slice(row, 1)))
    }
}

fn leaves(array: &ArrayRef) -> usize {
    let within = |values: &ArrayRef, first: usize, last: usize| {
        leaves(&values.slice(first, last.saturating_sub(first)))
    };
    let index = |offset: i64| usize::try_from(offset).unwrap_or(0);
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let at = |at: usize| index(i64::from(offsets[at]));
            within(list.values(), at(0), at(offsets.len() - 1))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            within(
                list.values(),
                index(offsets[0]),
                index(offsets[offsets.len() - 1]),
            )
        }
        DataType::FixedSizeList(..) => leaves(array.as_fixed_size_list().values()),
        _ => array.len(),
    }
}

fn is_ascii(argument: &ColumnarValue) -> bool {
    match argument {
        ColumnarValue::Scalar(value) => value
            .try_as_str()
            .is_some_and(|text| text.unwrap_or_default().is_ascii()),
        ColumnarValue::Array(_) => false,
    }
}

/// The texts of an argument.
struct Texts {
    array: Option<ArrayRef>,
    is_scalar: bool,
}

impl Texts {
    fn of(argument: Option<&ColumnarValue>) -> Self {
        let found = array(argument);
        Self {
            is_scalar: found.as_ref().is_some_and(|(_, is_scalar)| *is_scalar),
            array: found.and_then(|(array, _)| cast(&array, &DataType::LargeUtf8).ok()),
        }
    }

    fn at(&self, row: usize) -> &str {
        let row = if self.is_scalar { 0 } else { row };
        match &self.array {
            Some(array) if array.is_valid(row) => array.as_string::<i64>().value(row),
            _ => "",
        }
    }
}

/// Returns the size of the results of `replace`. Counts the occurrences only if the result could
/// be too large.
fn replaced(arguments: &[ColumnarValue], rows: usize, texts: usize) -> usize {
    let from = Lengths::of(arguments.get(1));
    let to = Lengths::of(arguments.get(2));
    let each = Lengths::of(arguments.first());
    let most = per_row(rows, |row| {
        let occurrences = each.at(row) / from.at(row).max(1) + 1;
        occurrences.saturating_mul(to.at(row))
    });
    let most = most.saturating_add(texts);
    if is_affordable(most) {
        return most;
    }
    let (text, from) = (Texts::of(arguments.first()), Texts::of(arguments.get(1)));
    let exact = per_row(rows, |row| {
        let occurrences = text.at(row).matches(from.at(row)).count();
        occurrences.saturating_mul(to.at(row))
    });
    exact.saturating_add(texts)
}

/// Returns the size of the results of `regexp_replace`, at most. Counts the matches only if the
/// result could be too large.
fn matches_replaced(arguments: &[ColumnarValue], rows: usize, texts: usize) -> usize {
    let to = Texts::of(arguments.get(2));
    let flags = Texts::of(arguments.get(3));
    let each = Lengths::of(arguments.first());
    // A reference to a group inserts a part of the text. The groups of all matches do not overlap.
    let groups = |row: usize| {
        let references = to.at(row).matches(['$', '\\']).count();
        references.saturating_mul(each.at(row))
    };
    let with = |matches: &dyn Fn(usize) -> usize| {
        let inserted = per_row(rows, |row| {
            let inserted = matches(row).saturating_mul(to.at(row).len());
            inserted.saturating_add(groups(row))
        });
        inserted.saturating_add(texts)
    };
    let most = with(&|row| {
        if flags.at(row).contains('g') {
            each.at(row) + 1
        } else {
            1
        }
    });
    if is_affordable(most) {
        return most;
    }
    let (text, pattern) = (Texts::of(arguments.first()), Texts::of(arguments.get(1)));
    with(&|row| {
        let flags = flags.at(row);
        if !flags.contains('g') {
            return 1;
        }
        let others: String = flags.chars().filter(|flag| *flag != 'g').collect();
        let pattern = pattern.at(row);
        let pattern = if others.is_empty() {
            pattern.to_owned()
        } else {
            format!("(?{others}){pattern}")
        };
        // The function returns the error of a pattern that is not valid.
        Regex::new(&pattern).map_or(0, |pattern| pattern.find_iter(text.at(row)).count())
    })
}

fn is_affordable(bytes: usize) -> bool {
    Budget::current().is_none_or(|budget| budget.has(bytes))
}

/// Returns the number of items of `range` and `generate_series`, of integers, dates or times.
fn items_between(arguments: &[ColumnarValue], rows: usize) -> usize {
    let numbers: Vec<_> = arguments.iter().map(Positions::of).collect();
    per_row(rows, |row| {
        let (first, last, step) = match &numbers[..] {
            [last] => (0, last.at(row), 1),
            [first, last] => (first.at(row), last.at(row), 1),
            [first, last, step, ..] => (first.at(row), last.at(row), step.at(row)),
            [] => return 0,
        };
        let distance = last - first;
        // A step in the other direction, or of zero, has no items.
        if step == 0 || (distance < 0) != (step < 0) {
            return 0;
        }
        usize::try_from(distance / step + 1).unwrap_or(usize::MAX)
    })
}

/// Integers, or times and intervals in nanoseconds. An interval of months has the length of the
/// shortest ones.
struct Positions {
    values: Vec<i128>,
    is_scalar: bool,
}

impl Positions {
    fn of(argument: &ColumnarValue) -> Self {
        let Some((array, is_scalar)) = array(Some(argument)) else {
            return Self {
                values: Vec::new(),
                is_scalar: true,
            };
        };
        let values = match array.data_type() {
            DataType::Interval(_) => intervals(&array),
            DataType::Date32 => integers(&array, &DataType::Int32, DAY),
            DataType::Date64 => integers(&array, &DataType::Int64, 1_000_000),
            DataType::Timestamp(unit, _) => {
                let nanoseconds = match unit {
                    TimeUnit::Second => 1_000_000_000,
                    TimeUnit::Millisecond => 1_000_000,
                    TimeUnit::Microsecond => 1_000,
                    TimeUnit::Nanosecond => 1,
                };
                integers(&array, &DataType::Int64, nanoseconds)
            }
            _ => integers(&array, &DataType::Int64, 1),
        };
        Self { values, is_scalar }
    }

    fn at(&self, row: usize) -> i128 {
        let row = if self.is_scalar { 0 } else { row };
        self.values.get(row).copied().unwrap_or_default()
    }
}

/// The nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;

/// Returns the integers that an array is stored as, each in units of `unit`.
fn integers(array: &ArrayRef, stored_as: &DataType, unit: i128) -> Vec<i128> {
    let integers = cast(array, stored_as).and_then(|integers| cast(&integers, &DataType::Int64));
    let Ok(integers) = integers else {
        return Vec::new();
    };
    let integers = integers.as_primitive::<Int64Type>().iter();
    integers
        .map(|integer| i128::from(integer.unwrap_or(0)) * unit)
        .collect()
}

fn intervals(array: &ArrayRef) -> Vec<i128> {
    let Ok(intervals) = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano)) else {
        return Vec::new();
    };
    let length = |interval: IntervalMonthDayNano| {
        (i128::from(interval.months) * 28 + i128::from(interval.days)) * DAY
            + i128::from(interval.nanoseconds)
    };
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
    intervals
        .map(|interval| interval.map_or(0, length))
        .collect()
}
