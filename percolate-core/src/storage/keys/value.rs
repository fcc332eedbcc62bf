//! [`FieldValue`] and its encoding, whose byte order is the order of values. It begins with a byte
//! for the type:
//!
//! | Type | Byte | Then |
//! |---|---|---|
//! | null | 10 | |
//! | false, true | 20, 21 | |
//! | number | 30 | sortable f64 (8 bytes), then the sortable difference to the exact integer (8 bytes) |
//! | text | 40 | escaped bytes, ended by `00 01` |

use super::parts::{KeyBuilder, KeyReader, MalformedKey, push_escaped};

const NULL: u8 = 0x10;
pub(super) const FALSE: u8 = 0x20;
pub(super) const TRUE: u8 = 0x21;
pub(super) const NUMBER: u8 = 0x30;
pub(super) const TEXT: u8 = 0x40;

/// A value in a field index. Null sorts before booleans, booleans before numbers, numbers before
/// text.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// JSON null or an absent field.
    Null,
    /// False sorts before true.
    Bool(bool),
    /// An integer, exact to 64 bits.
    Integer(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Text, ordered by its UTF-8 bytes.
    Text(String),
}

impl KeyBuilder {
    /// Appends a field value.
    pub fn value(mut self, value: &FieldValue) -> Self {
        push_value(&mut self.bytes, value);
        self
    }
}

impl KeyReader<'_> {
    /// Reads a field value.
    pub fn value(&mut self) -> Result<FieldValue, MalformedKey> {
        match self.array::<1>()?[0] {
            NULL => Ok(FieldValue::Null),
            FALSE => Ok(FieldValue::Bool(false)),
            TRUE => Ok(FieldValue::Bool(true)),
            NUMBER => {
                let float = float_from_sortable(u64::from_be_bytes(self.array()?));
                let difference = difference_from_sortable(u64::from_be_bytes(self.array()?));
                Ok(number_from_parts(float, difference))
            }
            TEXT => self.text().map(FieldValue::Text),
            _ => Err(MalformedKey("a value has an unknown type")),
        }
    }
}

/// Appends the encoding of a value.
pub(super) fn push_value(bytes: &mut Vec<u8>, value: &FieldValue) {
    match value {
        FieldValue::Null => bytes.push(NULL),
        FieldValue::Bool(false) => bytes.push(FALSE),
        FieldValue::Bool(true) => bytes.push(TRUE),
        FieldValue::Integer(number) => push_number(bytes, nearest_float(i128::from(*number))),
        FieldValue::Unsigned(number) => push_number(bytes, nearest_float(i128::from(*number))),
        FieldValue::Float(number) => push_number(bytes, float_parts(*number)),
        FieldValue::Text(text) => {
            bytes.push(TEXT);
            push_escaped(bytes, text.as_bytes());
        }
    }
}

fn push_number(bytes: &mut Vec<u8>, (float, difference): (f64, i64)) {
    bytes.push(NUMBER);
    bytes.extend_from_slice(&sortable_from_float(float).to_be_bytes());
    bytes.extend_from_slice(&sortable_from_difference(difference).to_be_bytes());
}

/// Returns the float nearest to an integer and the difference of the integer to it. Rounding keeps
/// order, so comparing first the floats and then the differences compares integers with each other
/// and with floats.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the loss is the second part"
)]
fn nearest_float(number: i128) -> (f64, i64) {
    let float = number as f64;
    (float, (number - float as i128) as i64)
}

/// Returns the stored form of a float. Negative zero becomes zero.
fn float_parts(number: f64) -> (f64, i64) {
    (if number == 0.0 { 0.0 } else { number }, 0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "only integers of 64 bits get there"
)]
fn number_from_parts(float: f64, difference: i64) -> FieldValue {
    const BEYOND: f64 = 18_446_744_073_709_551_616.0;
    let integral = float.fract() == 0.0 && (i64::MIN as f64..=BEYOND).contains(&float);
    if !integral {
        return FieldValue::Float(float);
    }
    let exact = float as i128 + i128::from(difference);
    match (i64::try_from(exact), u64::try_from(exact)) {
        (Ok(number), _) => FieldValue::Integer(number),
        (_, Ok(number)) => FieldValue::Unsigned(number),
        _ => FieldValue::Float(float),
    }
}

const SIGN: u64 = 1 << 63;

fn sortable_from_float(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn float_from_sortable(bits: u64) -> f64 {
    f64::from_bits(if bits & SIGN == 0 {
        !bits
    } else {
        bits & !SIGN
    })
}

fn sortable_from_difference(difference: i64) -> u64 {
    difference.cast_unsigned() ^ SIGN
}

fn difference_from_sortable(bits: u64) -> i64 {
    (bits ^ SIGN).cast_signed()
}
