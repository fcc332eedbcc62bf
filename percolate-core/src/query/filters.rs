//! Filter pushdown: comparisons of one column with constants.
//!
//! A pushed-down filter becomes the sorted ranges of values that satisfy it. It is re-checked on
//! every row, whatever the access path, so pushdown is exact. DataFusion evaluates all other
//! conditions.

use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

use super::columns::{Column, Kind};
use super::values::constant;
use crate::storage::keys::{FieldValue, ValueRange};

/// The values that one column may have: sorted ranges without overlaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Restriction {
    /// The position of the column in the table.
    pub(super) column: usize,
    pub(super) ranges: Vec<ValueRange>,
}

/// How selective a restriction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// This many single values.
    Values(usize),
    /// Ranges with two bounds.
    Between,
    /// Ranges with one bound.
    OneSided,
    /// Nearly all values.
    Everything,
}

impl Restriction {
    /// Converts a condition, or returns `None` if it is not a restriction of a single column.
    pub(super) fn of(condition: &Expr, columns: &[Column]) -> Option<Self> {
        Some(match condition {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => Self::both(left, right, columns, Self::and)?,
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Or,
                right,
            }) => Self::both(left, right, columns, Self::or)?,
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (column, op, value) =
                    match (column_of(left, columns), column_of(right, columns)) {
                        (Some(column), None) => (column, *op, literal(right, columns, column)?),
                        (None, Some(column)) => {
                            (column, op.swap()?, literal(left, columns, column)?)
                        }
                        _ => return None,
                    };
                Self::new(column, compared(&columns[column].kind, op, &value)?)
            }
            Expr::Between(Between {
                expr,
                negated: false,
                low,
                high,
            }) => {
                let column = column_of(expr, columns)?;
                let all = of_kind(&columns[column].kind)?;
                let (low, high) = (
                    literal(low, columns, column)?,
                    literal(high, columns, column)?,
                );
                Self::new(column, vec![all.from(&low).through(&high)])
            }
            Expr::InList(InList {
                expr,
                list,
                negated: false,
            }) => {
                let column = column_of(expr, columns)?;
                // A null in the list equals nothing.
                let values = list.iter().filter(|value| !is_null(value));
                let values: Option<Vec<_>> = values
                    .map(|value| literal(value, columns, column))
                    .collect();
                Self::new(column, values?.iter().map(ValueRange::at).collect())
            }
            Expr::IsNull(expr) => Self::new(
                column_of(expr, columns)?,
                vec![ValueRange::at(&FieldValue::Null)],
            ),
            Expr::IsNotNull(expr) => {
                Self::new(column_of(expr, columns)?, vec![ValueRange::present()])
            }
            Expr::Column(_) => Self::flag(condition, true, columns)?,
            Expr::Not(expr) => Self::flag(expr, false, columns)?,
            _ => return None,
        })
    }

    /// Converts several conditions. Returns one restriction for each column.
    pub(super) fn all_of(conditions: &[Expr], columns: &[Column]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for restriction in conditions
            .iter()
            .filter_map(|condition| Self::of(condition, columns))
        {
            match all
                .iter_mut()
                .find(|known| known.column == restriction.column)
            {
                Some(known) => known.ranges = Self::and(&known.ranges, &restriction.ranges),
                None => all.push(restriction),
            }
        }
        all
    }

    /// Returns `true` if the column may have this value.
    pub(super) fn allows(&self, value: &FieldValue) -> bool {
        ValueRange::any_contains(&self.ranges, value)
    }

    /// Returns the allowed values, or `None` if they are not single values.
    pub(super) fn values(&self) -> Option<Vec<FieldValue>> {
        self.ranges.iter().map(ValueRange::single).collect()
    }

    pub(super) fn extent(&self, kind: &Kind) -> Extent {
        if self.ranges.iter().all(|range| range.single().is_some()) {
            return Extent::Values(self.ranges.len());
        }
        let all = of_kind(kind).unwrap_or_else(ValueRange::present);
        let bounds = self.ranges.first().zip(self.ranges.last());
        match bounds.map(|(first, last)| (first.starts_after(&all), last.ends_before(&all))) {
            Some((true, true)) | None => Extent::Between,
            Some((false, false)) => Extent::Everything,
            Some(_) => Extent::OneSided,
        }
    }

    fn new(column: usize, ranges: Vec<ValueRange>) -> Self {
        Self {
            column,
            ranges: tidy(ranges),
        }
    }

    /// Converts a boolean column that is a condition by itself.
    fn flag(expr: &Expr, wanted: bool, columns: &[Column]) -> Option<Self> {
        let column =
            column_of(expr, columns).filter(|&column| columns[column].kind == Kind::Boolean)?;
        Some(Self::new(
            column,
            vec![ValueRange::at(&FieldValue::Bool(wanted))],
        ))
    }

    fn both(
        left: &Expr,
        right: &Expr,
        columns: &[Column],
        join: fn(&[ValueRange], &[ValueRange]) -> Vec<ValueRange>,
    ) -> Option<Self> {
        let (left, right) = (Self::of(left, columns)?, Self::of(right, columns)?);
        (left.column == right.column).then(|| Self {
            column: left.column,
            ranges: join(&left.ranges, &right.ranges),
        })
    }

    fn and(left: &[ValueRange], right: &[ValueRange]) -> Vec<ValueRange> {
        tidy(
            left.iter()
                .flat_map(|left| right.iter().map(|right| left.and(right)))
                .collect(),
        )
    }

    fn or(left: &[ValueRange], right: &[ValueRange]) -> Vec<ValueRange> {
        tidy([left, right].concat())
    }
}

/// Returns the values for which `column op value` is true.
fn compared(kind: &Kind, op: Operator, value: &FieldValue) -> Option<Vec<ValueRange>> {
    let all = of_kind(kind)?;
    Some(match op {
        Operator::Eq => vec![ValueRange::at(value)],
        Operator::NotEq => vec![all.clone().before(value), all.after(value)],
        Operator::Lt => vec![all.before(value)],
        Operator::LtEq => vec![all.through(value)],
        Operator::Gt => vec![all.after(value)],
        Operator::GtEq => vec![all.from(value)],
        _ => return None,
    })
}

/// Returns the range of all values of a column except null.
fn of_kind(kind: &Kind) -> Option<ValueRange> {
    match kind {
        Kind::Text | Kind::Json => Some(ValueRange::texts()),
        Kind::Integer | Kind::Float | Kind::Date | Kind::Timestamp => Some(ValueRange::numbers()),
        Kind::Boolean => Some(ValueRange::booleans()),
        Kind::List(_) => None,
    }
}

fn column_of(expr: &Expr, columns: &[Column]) -> Option<usize> {
    let Expr::Column(column) = expr else {
        return None;
    };
    let found = columns.iter().position(|known| known.name == column.name)?;
    // Only DataFusion compares lists.
    (!matches!(columns[found].kind, Kind::List(_))).then_some(found)
}

fn literal(expr: &Expr, columns: &[Column], column: usize) -> Option<FieldValue> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    constant(&columns[column].kind, value)
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

/// Sorts ranges and merges those that touch.
pub(super) fn tidy(mut ranges: Vec<ValueRange>) -> Vec<ValueRange> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable();
    let mut tidied: Vec<ValueRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match tidied
            .last_mut()
            .and_then(|last| last.joined(&range).map(|joined| (last, joined)))
        {
            Some((last, joined)) => *last = joined,
            None => tidied.push(range),
        }
    }
    tidied
}
