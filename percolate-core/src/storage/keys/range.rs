//! [`ValueRange`]: contiguous ranges of field values.

use std::ops::Bound;

use super::layout::{Table, field_prefix};
use super::parts::{END, KeyReader};
use super::value::{FALSE, FieldValue, NUMBER, TEXT, TRUE, push_value};

/// A contiguous range of values in index order. The bounds are encoded values: the lower bound is
/// inclusive, the upper bound exclusive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueRange {
    pub(super) lower: Vec<u8>,
    pub(super) upper: Vec<u8>,
}

impl ValueRange {
    /// Returns the range of all values except null.
    pub fn present() -> Self {
        Self {
            lower: vec![FALSE],
            upper: vec![u8::MAX],
        }
    }

    /// Returns the range of both booleans.
    pub fn booleans() -> Self {
        Self {
            lower: vec![FALSE],
            upper: vec![TRUE + 1],
        }
    }

    /// Returns the range of all numbers.
    pub fn numbers() -> Self {
        Self {
            lower: vec![NUMBER],
            upper: vec![NUMBER + 1],
        }
    }

    /// Returns the range of all texts.
    pub fn texts() -> Self {
        Self {
            lower: vec![TEXT],
            upper: vec![TEXT + 1],
        }
    }

    /// Returns the range of all values of the type of `value`. Null is a type of its own.
    pub fn of_type(value: &FieldValue) -> Self {
        match value {
            FieldValue::Null => Self::at(value),
            FieldValue::Bool(_) => Self::booleans(),
            FieldValue::Integer(_) | FieldValue::Unsigned(_) | FieldValue::Float(_) => {
                Self::numbers()
            }
            FieldValue::Text(_) => Self::texts(),
        }
    }

    /// Returns the range of the values within the bounds and of their type, or `None` if there are
    /// no bounds. The range is empty if the bounds have different types.
    pub fn between(lower: Bound<&FieldValue>, upper: Bound<&FieldValue>) -> Option<Self> {
        let above = match lower {
            Bound::Included(value) => Some(Self::of_type(value).from(value)),
            Bound::Excluded(value) => Some(Self::of_type(value).after(value)),
            Bound::Unbounded => None,
        };
        let below = match upper {
            Bound::Included(value) => Some(Self::of_type(value).through(value)),
            Bound::Excluded(value) => Some(Self::of_type(value).before(value)),
            Bound::Unbounded => None,
        };
        match (above, below) {
            (Some(above), Some(below)) => Some(above.and(&below)),
            (above, below) => above.or(below),
        }
    }

    /// Returns the range that contains only `value`.
    pub fn at(value: &FieldValue) -> Self {
        Self {
            lower: value_bytes(value),
            upper: after_value(value),
        }
    }

    /// Excludes the values before `value`.
    #[must_use]
    pub fn from(self, value: &FieldValue) -> Self {
        Self {
            lower: self.lower.max(value_bytes(value)),
            ..self
        }
    }

    /// Excludes `value` and the values before it.
    #[must_use]
    pub fn after(self, value: &FieldValue) -> Self {
        Self {
            lower: self.lower.max(after_value(value)),
            ..self
        }
    }

    /// Excludes `value` and the values after it.
    #[must_use]
    pub fn before(self, value: &FieldValue) -> Self {
        Self {
            upper: self.upper.min(value_bytes(value)),
            ..self
        }
    }

    /// Excludes the values after `value`.
    #[must_use]
    pub fn through(self, value: &FieldValue) -> Self {
        Self {
            upper: self.upper.min(after_value(value)),
            ..self
        }
    }

    /// Returns the intersection of both ranges.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            lower: (&self.lower).max(&other.lower).clone(),
            upper: (&self.upper).min(&other.upper).clone(),
        }
    }

    /// Returns the union of both ranges if they overlap or touch, else `None`. `later` must not
    /// begin before this range.
    pub fn joined(&self, later: &Self) -> Option<Self> {
        let meet = later.lower <= self.upper;
        meet.then(|| Self {
            lower: self.lower.clone(),
            upper: (&self.upper).max(&later.upper).clone(),
        })
    }

    /// Extends a range of numbers to all numbers that round to the same floats.
    #[must_use]
    pub fn rounded(&self) -> Self {
        const FLOAT: usize = 9;
        let mut rounded = self.clone();
        rounded.lower.truncate(FLOAT);
        if rounded.upper.len() > FLOAT {
            rounded.upper.truncate(FLOAT);
            increment(&mut rounded.upper);
        }
        rounded
    }

    /// Returns `true` if this range begins after `all` begins.
    pub fn starts_after(&self, all: &Self) -> bool {
        self.lower > all.lower
    }

    /// Returns `true` if this range ends before `all` ends.
    pub fn ends_before(&self, all: &Self) -> bool {
        self.upper < all.upper
    }

    /// Returns `true` if the range contains no value.
    pub fn is_empty(&self) -> bool {
        self.lower >= self.upper
    }

    /// Returns `true` if one of `ranges` contains `value`. The ranges must be sorted and must not
    /// overlap.
    pub fn any_contains(ranges: &[Self], value: &FieldValue) -> bool {
        let bytes = value_bytes(value);
        let next = ranges.partition_point(|range| range.upper <= bytes);
        ranges.get(next).is_some_and(|range| range.lower <= bytes)
    }

    /// Returns the range from the beginning of this one to the end of `last`.
    #[must_use]
    pub fn to(&self, last: &Self) -> Self {
        Self {
            lower: self.lower.clone(),
            upper: last.upper.clone(),
        }
    }

    /// Returns the value of a range created by [`at`](Self::at), else `None`.
    pub fn single(&self) -> Option<FieldValue> {
        let value = self.first()?;
        (*self == Self::at(&value)).then_some(value)
    }

    /// Returns the value at the lower bound. For a range that begins [`after`](Self::after) an
    /// integer this is the next integer; after a text, the text itself.
    pub fn first(&self) -> Option<FieldValue> {
        bound_value(&self.lower)
    }

    /// Returns the value at the upper bound, which is exclusive. For a range
    /// [`through`](Self::through) a text this is the text itself.
    pub fn end(&self) -> Option<FieldValue> {
        bound_value(&self.upper)
    }

    /// Returns the key range in `field_index` of the entries whose value is in this range: the
    /// first key and the first key after the range.
    pub fn field_index_keys(&self, table: Table<'_>, field: &str) -> (Vec<u8>, Vec<u8>) {
        let prefix = field_prefix(table, field);
        (
            [&prefix, &self.lower[..]].concat(),
            [&prefix, &self.upper[..]].concat(),
        )
    }
}

fn value_bytes(value: &FieldValue) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_value(&mut bytes, value);
    bytes
}

fn bound_value(bound: &[u8]) -> Option<FieldValue> {
    let mut bound = bound.to_vec();
    if let [TEXT, .., 0, last] = &mut bound[..]
        && *last == END + 1
    {
        *last = END;
    }
    let mut reader = KeyReader { rest: &bound };
    let value = reader.value().ok()?;
    reader.finish().ok().map(|()| value)
}

/// Returns the smallest bytes that are greater than those of every key that continues after
/// `value`.
fn after_value(value: &FieldValue) -> Vec<u8> {
    let mut bytes = value_bytes(value);
    increment(&mut bytes);
    bytes
}

/// Replaces a prefix with the smallest bytes that are greater than everything with that prefix.
/// Encoded values are never all `FF`.
fn increment(bytes: &mut Vec<u8>) {
    while bytes.last() == Some(&u8::MAX) {
        bytes.pop();
    }
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
}
