//! Key bytes of every column family, built and parsed here and nowhere else. No I/O and no values; values are in
//! `schema::entity`. Keys sort in read order: all of a tenant together, in it all of a table, in it by what follows.
//!
//! A key is the version byte 1 and then its parts. Text and byte strings are written so that none is the beginning
//! of another and order is kept: byte 0 becomes `00 FF`, and `00 01` ends the part. So tenants, tables, fields and
//! keys may hold any byte. Ids are their 16 bytes. Field values ([`FieldValue`]) begin with a byte for their type:
//!
//! | Type | Byte | Then |
//! |---|---|---|
//! | null | 10 | |
//! | false, true | 20, 21 | |
//! | number | 30 | sortable f64 (8 bytes), then the sortable difference to the exact integer (8 bytes) |
//! | text | 40 | bytes as above, ended by `00 01` |

use uuid::Uuid;

/// First byte of every key; another layout of keys takes another.
pub const KEY_VERSION: u8 = 1;

const ESCAPED: u8 = 0xff;
const END: u8 = 0x01;
const ID_LENGTH: usize = 16;
/// What a key with an id and a few names has room in.
const USUAL_LENGTH: usize = 96;

const NULL: u8 = 0x10;
const FALSE: u8 = 0x20;
const TRUE: u8 = 0x21;
const NUMBER: u8 = 0x30;
const TEXT: u8 = 0x40;

/// A stored key does not have the shape its column family asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stored key is malformed ({0}); the database is damaged, rebuild its indexes or restore a backup"
)]
pub struct MalformedKey(&'static str);

/// A value an index orders by. Null sorts before booleans, those before numbers, those before text.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// JSON null, or the field is absent.
    Null,
    /// False sorts before true.
    Bool(bool),
    /// An integer, exact to 64 bits.
    Integer(i64),
    /// An integer beyond `i64`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Text, ordered by its UTF-8 bytes.
    Text(String),
}

/// A run of values in index order, kept as the bytes that indexes order by: the first that belongs to it, and the
/// first that no longer does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueRange {
    lower: Vec<u8>,
    upper: Vec<u8>,
}

impl ValueRange {
    /// Every value but null.
    pub fn present() -> Self {
        Self {
            lower: vec![FALSE],
            upper: vec![u8::MAX],
        }
    }

    /// False and true.
    pub fn booleans() -> Self {
        Self {
            lower: vec![FALSE],
            upper: vec![TRUE + 1],
        }
    }

    /// Every number.
    pub fn numbers() -> Self {
        Self {
            lower: vec![NUMBER],
            upper: vec![NUMBER + 1],
        }
    }

    /// Every text.
    pub fn texts() -> Self {
        Self {
            lower: vec![TEXT],
            upper: vec![TEXT + 1],
        }
    }

    /// One value.
    pub fn at(value: &FieldValue) -> Self {
        Self {
            lower: value_bytes(value),
            upper: after_value(value),
        }
    }

    /// Leaves out what comes before `value`.
    #[must_use]
    pub fn from(self, value: &FieldValue) -> Self {
        Self {
            lower: self.lower.max(value_bytes(value)),
            ..self
        }
    }

    /// Leaves out `value` and what comes before it.
    #[must_use]
    pub fn after(self, value: &FieldValue) -> Self {
        Self {
            lower: self.lower.max(after_value(value)),
            ..self
        }
    }

    /// Leaves out `value` and what comes after it.
    #[must_use]
    pub fn before(self, value: &FieldValue) -> Self {
        Self {
            upper: self.upper.min(value_bytes(value)),
            ..self
        }
    }

    /// Leaves out what comes after `value`.
    #[must_use]
    pub fn through(self, value: &FieldValue) -> Self {
        Self {
            upper: self.upper.min(after_value(value)),
            ..self
        }
    }

    /// What belongs to both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            lower: (&self.lower).max(&other.lower).clone(),
            upper: (&self.upper).min(&other.upper).clone(),
        }
    }

    /// One range of both, where `later`, which does not begin before this one, begins within or right after it.
    pub fn joined(&self, later: &Self) -> Option<Self> {
        let meet = later.lower <= self.upper;
        meet.then(|| Self {
            lower: self.lower.clone(),
            upper: (&self.upper).max(&later.upper).clone(),
        })
    }

    /// For a range of numbers, those that round to the same floats.
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

    /// Whether it leaves out something at the beginning of `all`.
    pub fn starts_after(&self, all: &Self) -> bool {
        self.lower > all.lower
    }

    /// Whether it leaves out something at the end of `all`.
    pub fn ends_before(&self, all: &Self) -> bool {
        self.upper < all.upper
    }

    /// Whether no value belongs to it.
    pub fn is_empty(&self) -> bool {
        self.lower >= self.upper
    }

    /// Whether `value` belongs to one of some ranges, which are sorted and do not overlap.
    pub fn any_contains(ranges: &[Self], value: &FieldValue) -> bool {
        let bytes = value_bytes(value);
        let next = ranges.partition_point(|range| range.upper <= bytes);
        ranges.get(next).is_some_and(|range| range.lower <= bytes)
    }

    /// From the beginning of this one to the end of `last`.
    #[must_use]
    pub fn to(&self, last: &Self) -> Self {
        Self {
            lower: self.lower.clone(),
            upper: last.upper.clone(),
        }
    }

    /// The one value that belongs to it, where it was made [`at`](Self::at) one.
    pub fn single(&self) -> Option<FieldValue> {
        let value = self.first()?;
        (*self == Self::at(&value)).then_some(value)
    }

    /// The value at which it begins. That of a range that begins [`after`](Self::after) a whole number is the next
    /// one; after a text, the text itself.
    pub fn first(&self) -> Option<FieldValue> {
        bound_value(&self.lower)
    }

    /// The value at which it ends, itself not included; that of a range [`through`](Self::through) a text is the text.
    pub fn end(&self) -> Option<FieldValue> {
        bound_value(&self.upper)
    }

    /// The entries of a field in `field_index` whose value belongs to it: the first key, and the first key after.
    pub fn field_index_keys(&self, tenant: &str, table: &str, field: &str) -> (Vec<u8>, Vec<u8>) {
        let prefix = field_prefix(tenant, table, field);
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

/// The first bytes after those of every key that goes on from `value`: none is the beginning of another.
fn after_value(value: &FieldValue) -> Vec<u8> {
    let mut bytes = value_bytes(value);
    increment(&mut bytes);
    bytes
}

/// Makes of some bytes the first that come after all that begin with them. Bytes of values are never all `FF`.
fn increment(bytes: &mut Vec<u8>) {
    while bytes.last() == Some(&u8::MAX) {
        bytes.pop();
    }
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
}

/// Builds a key part by part. Also builds the beginnings of keys that scans want.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct KeyBuilder {
    bytes: Vec<u8>,
}

impl KeyBuilder {
    /// A key with no part yet.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(USUAL_LENGTH);
        bytes.push(KEY_VERSION);
        Self { bytes }
    }

    /// Adds text or bytes of any length and content.
    pub fn text(mut self, part: impl AsRef<[u8]>) -> Self {
        push_escaped(&mut self.bytes, part.as_ref());
        self
    }

    /// Adds an id.
    pub fn id(mut self, id: Uuid) -> Self {
        self.bytes.extend_from_slice(id.as_bytes());
        self
    }

    /// Adds a typed value.
    pub fn value(mut self, value: &FieldValue) -> Self {
        push_value(&mut self.bytes, value);
        self
    }

    /// The bytes.
    pub fn build(self) -> Vec<u8> {
        self.bytes
    }
}

impl Default for KeyBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes a key apart in the order it was built.
#[derive(Debug, Clone)]
pub struct KeyReader<'a> {
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Begins to read `key`.
    pub fn new(key: &'a [u8]) -> Result<Self, MalformedKey> {
        match key.split_first() {
            Some((&KEY_VERSION, rest)) => Ok(Self { rest }),
            Some(_) => Err(MalformedKey("unknown key version")),
            None => Err(MalformedKey("empty")),
        }
    }

    /// Reads a part of any content.
    pub fn bytes(&mut self) -> Result<Vec<u8>, MalformedKey> {
        let mut part = Vec::new();
        loop {
            let position = self
                .rest
                .iter()
                .position(|&byte| byte == 0)
                .ok_or(MalformedKey("a part has no end"))?;
            part.extend_from_slice(&self.rest[..position]);
            let marker = self.rest.get(position + 1).copied();
            self.rest = self.rest.get(position + 2..).unwrap_or_default();
            match marker {
                Some(ESCAPED) => part.push(0),
                Some(END) => return Ok(part),
                _ => return Err(MalformedKey("a zero byte is followed by neither 01 nor FF")),
            }
        }
    }

    /// Reads a part that is text.
    pub fn text(&mut self) -> Result<String, MalformedKey> {
        String::from_utf8(self.bytes()?).map_err(|_| MalformedKey("a part is not UTF-8"))
    }

    /// Reads an id.
    pub fn id(&mut self) -> Result<Uuid, MalformedKey> {
        Ok(Uuid::from_bytes(self.array::<ID_LENGTH>()?))
    }

    /// Reads a typed value.
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

    /// Insists that nothing is left.
    pub fn finish(self) -> Result<(), MalformedKey> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(MalformedKey("bytes follow the last part"))
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedKey> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(MalformedKey("too short"))?;
        self.rest = rest;
        Ok(*head)
    }
}

/// The beginning of every key of a tenant's table, in the families ordered by tenant and table.
pub fn table_prefix(tenant: &str, table: &str) -> Vec<u8> {
    KeyBuilder::new().text(tenant).text(table).build()
}

/// The beginning of every key of a tenant.
pub fn tenant_prefix(tenant: &str) -> Vec<u8> {
    KeyBuilder::new().text(tenant).build()
}

/// Key in `schemas`.
pub fn schema_key(tenant: &str, table: &str) -> Vec<u8> {
    table_prefix(tenant, table)
}

/// The tenant and the table in a key of `schemas`.
pub fn parse_schema_key(key: &[u8]) -> Result<(String, String), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    let parts = (reader.text()?, reader.text()?);
    reader.finish()?;
    Ok(parts)
}

/// The table in a key of any family that is ordered by tenant and table.
pub fn parse_table(key: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    reader.bytes()?;
    reader.text()
}

/// Key in `entities` and in `pending_embeddings`.
pub fn entity_key(tenant: &str, table: &str, id: Uuid) -> Vec<u8> {
    KeyBuilder::new().text(tenant).text(table).id(id).build()
}

/// The table and the id in a key of `entities` or `pending_embeddings`.
pub fn parse_entity_key(key: &[u8]) -> Result<(String, String, Uuid), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    let parts = (reader.text()?, reader.text()?, reader.id()?);
    reader.finish()?;
    Ok(parts)
}

/// Key in `key_index`.
pub fn key_index_key(tenant: &str, table: &str, key: &str) -> Vec<u8> {
    KeyBuilder::new().text(tenant).text(table).text(key).build()
}

/// The beginning of a field's entries in `field_index`.
pub fn field_prefix(tenant: &str, table: &str, field: &str) -> Vec<u8> {
    KeyBuilder::new()
        .text(tenant)
        .text(table)
        .text(field)
        .build()
}

/// The beginning of the entries of one value of a field in `field_index`.
pub fn field_value_prefix(tenant: &str, table: &str, field: &str, value: &FieldValue) -> Vec<u8> {
    KeyBuilder::new()
        .text(tenant)
        .text(table)
        .text(field)
        .value(value)
        .build()
}

/// Key in `field_index`.
pub fn field_index_key(
    tenant: &str,
    table: &str,
    field: &str,
    value: &FieldValue,
    id: Uuid,
) -> Vec<u8> {
    KeyBuilder::new()
        .text(tenant)
        .text(table)
        .text(field)
        .value(value)
        .id(id)
        .build()
}

/// The value and the id in a key of `field_index`.
pub fn parse_field_index_key(key: &[u8]) -> Result<(FieldValue, Uuid), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    for _ in 0..3 {
        reader.bytes()?;
    }
    let parts = (reader.value()?, reader.id()?);
    reader.finish()?;
    Ok(parts)
}

/// Key in `embeddings`.
pub fn embedding_key(tenant: &str, table: &str, field: &str, id: Uuid) -> Vec<u8> {
    KeyBuilder::new()
        .text(tenant)
        .text(table)
        .text(field)
        .id(id)
        .build()
}

/// The id in a key of `embeddings`.
pub fn parse_embedding_key(key: &[u8]) -> Result<Uuid, MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    for _ in 0..3 {
        reader.bytes()?;
    }
    let id = reader.id()?;
    reader.finish()?;
    Ok(id)
}

/// The field in a key of `embeddings`.
pub fn parse_embedding_field(key: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    reader.bytes()?;
    reader.bytes()?;
    reader.text()
}

/// Key in `meta` of the generation of a field's vectors.
pub fn generation_key(tenant: &str, table: &str, field: &str) -> Vec<u8> {
    KeyBuilder::new()
        .text("vectors")
        .text(tenant)
        .text(table)
        .text(field)
        .build()
}

/// Key in `meta` of a change of schema that the table's entities do not all follow yet.
pub fn unfinished_key(tenant: &str, table: &str) -> Vec<u8> {
    KeyBuilder::new()
        .text("unfinished")
        .text(tenant)
        .text(table)
        .build()
}

/// Key in `meta` of a table whose rules have changed since its first schema: it may hold what its schema forbids.
pub fn changed_rules_key(tenant: &str, table: &str) -> Vec<u8> {
    KeyBuilder::new()
        .text("changed_rules")
        .text(tenant)
        .text(table)
        .build()
}

/// The beginning of every [`unfinished_key`].
pub fn unfinished_prefix() -> Vec<u8> {
    KeyBuilder::new().text("unfinished").build()
}

/// The tenant and the table of an [`unfinished_key`].
pub fn parse_unfinished_key(key: &[u8]) -> Result<(String, String), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    reader.bytes()?;
    let parts = (reader.text()?, reader.text()?);
    reader.finish()?;
    Ok(parts)
}

/// Key in `resources`.
pub fn resource_key(tenant: &str, id: &str) -> Vec<u8> {
    KeyBuilder::new().text(tenant).text(id).build()
}

fn push_escaped(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.reserve(part.len() + 2);
    for &byte in part {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(ESCAPED);
        }
    }
    bytes.extend_from_slice(&[0, END]);
}

fn push_value(bytes: &mut Vec<u8>, value: &FieldValue) {
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

/// The float nearest to an integer, and what the integer exceeds it by. Rounding keeps order, so comparing the float
/// first and the difference second compares the integers, and compares them with floats.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the loss is the second part"
)]
fn nearest_float(number: i128) -> (f64, i64) {
    let float = number as f64;
    (float, (number - float as i128) as i64)
}

/// A float as it is stored: negative zero is zero.
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

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            Just(FieldValue::Null),
            any::<bool>().prop_map(FieldValue::Bool),
            any::<i64>().prop_map(FieldValue::Integer),
            (-3_i64..3).prop_map(FieldValue::Integer),
            (i64::MAX as u64 + 1..).prop_map(FieldValue::Unsigned),
            (-9.0..9.0_f64)
                .prop_filter("integers are stored as integers", |n| n.fract() != 0.0)
                .prop_map(FieldValue::Float),
            any::<String>().prop_map(FieldValue::Text),
            "[\u{0}ab]{0,3}".prop_map(FieldValue::Text),
        ]
    }

    /// Compares by meaning, in a way that shares nothing with the encoding.
    fn compare(left: &FieldValue, right: &FieldValue) -> Ordering {
        fn rank(value: &FieldValue) -> u8 {
            match value {
                FieldValue::Null => 0,
                FieldValue::Bool(_) => 1,
                FieldValue::Integer(_) | FieldValue::Unsigned(_) | FieldValue::Float(_) => 2,
                FieldValue::Text(_) => 3,
            }
        }
        fn integer(value: &FieldValue) -> Option<i128> {
            match value {
                FieldValue::Integer(number) => Some(i128::from(*number)),
                FieldValue::Unsigned(number) => Some(i128::from(*number)),
                _ => None,
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the floats made here are small"
        )]
        fn against(float: f64, integer: i128) -> Ordering {
            let floor = float.floor() as i128;
            floor.cmp(&integer).then(if float.fract() == 0.0 {
                Ordering::Equal
            } else {
                Ordering::Greater
            })
        }
        match (left, right) {
            (FieldValue::Bool(left), FieldValue::Bool(right)) => left.cmp(right),
            (FieldValue::Text(left), FieldValue::Text(right)) => {
                left.as_bytes().cmp(right.as_bytes())
            }
            (FieldValue::Float(left), FieldValue::Float(right)) => left.total_cmp(right),
            (FieldValue::Float(float), other) if rank(other) == 2 => {
                against(*float, integer(other).unwrap())
            }
            (other, FieldValue::Float(float)) if rank(other) == 2 => {
                against(*float, integer(other).unwrap()).reverse()
            }
            (left, right) if rank(left) == 2 && rank(right) == 2 => {
                integer(left).cmp(&integer(right))
            }
            _ => rank(left).cmp(&rank(right)),
        }
    }

    #[test]
    fn numbers_beyond_the_precision_of_floats_stay_apart() {
        let key = |number| {
            KeyBuilder::new()
                .value(&FieldValue::Integer(number))
                .build()
        };
        assert!(key((1 << 53) + 1) > key(1 << 53));
        assert!(key(i64::MAX) > key(i64::MAX - 1));
    }

    #[test]
    fn an_integer_and_the_float_equal_to_it_have_one_key() {
        let key = |value| KeyBuilder::new().value(&value).build();
        assert_eq!(key(FieldValue::Float(2.0)), key(FieldValue::Integer(2)));
        assert_eq!(key(FieldValue::Float(-0.0)), key(FieldValue::Integer(0)));
    }

    #[test]
    fn keys_keep_their_bytes() {
        let id = Uuid::from_bytes([7; 16]);
        assert_eq!(
            entity_key("t", "a\0", id),
            [&[1, b't', 0, 1, b'a', 0, 0xff, 0, 1][..], &[7; 16]].concat()
        );
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_went_in(value in values()) {
            let key = KeyBuilder::new().value(&value).build();
            let mut reader = KeyReader::new(&key).unwrap();
            prop_assert_eq!(reader.value().unwrap(), value);
            reader.finish().unwrap();
        }

        #[test]
        fn values_sort_by_meaning(left in values(), right in values()) {
            let key = |value: &FieldValue| KeyBuilder::new().value(value).build();
            prop_assert_eq!(key(&left).cmp(&key(&right)), compare(&left, &right));
        }

        #[test]
        fn a_range_of_values_holds_what_lies_within_its_bounds(value in values(), lower in values(), upper in values()) {
            let order = |bound| compare(&value, bound);
            let all = || ValueRange { lower: vec![0], upper: vec![u8::MAX] };
            let contains = |range: ValueRange| ValueRange::any_contains(&[range], &value);
            prop_assert_eq!(contains(ValueRange::at(&lower)), order(&lower) == Ordering::Equal);
            prop_assert_eq!(contains(all().from(&lower).before(&upper)), order(&lower).is_ge() && order(&upper).is_lt());
            prop_assert_eq!(contains(all().after(&lower).through(&upper)), order(&lower).is_gt() && order(&upper).is_le());
            prop_assert_eq!(contains(ValueRange::present()), value != FieldValue::Null);
            prop_assert_eq!(ValueRange::at(&value).single(), Some(value.clone()));
            prop_assert_eq!(all().from(&value).first(), Some(value.clone()));
            prop_assert_eq!(all().before(&value).end(), Some(value));
        }

        #[test]
        fn parts_come_back_as_they_went_in(parts: Vec<Vec<u8>>, id: [u8; 16]) {
            let key = parts.iter().fold(KeyBuilder::new(), KeyBuilder::text).id(Uuid::from_bytes(id)).build();
            let mut reader = KeyReader::new(&key).unwrap();
            for part in &parts {
                prop_assert_eq!(&reader.bytes().unwrap(), part);
            }
            prop_assert_eq!(reader.id().unwrap().into_bytes(), id);
            reader.finish().unwrap();
        }

        #[test]
        fn parts_sort_as_tuples(left in prop::collection::vec("[\u{0}\u{1}:a]{0,3}", 2), right in prop::collection::vec("[\u{0}\u{1}:a]{0,3}", 2)) {
            let key = |parts: &[String]| parts.iter().fold(KeyBuilder::new(), KeyBuilder::text).build();
            prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right));
        }

        #[test]
        fn no_tenants_prefix_covers_another_tenants_key(a in "[\u{0}\u{1}:a]{0,4}", b in "[\u{0}\u{1}:a]{0,4}", table: String) {
            prop_assume!(a != b);
            let key = entity_key(&b, &table, Uuid::nil());
            prop_assert!(!key.starts_with(&tenant_prefix(&a)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(key: Vec<u8>) {
            let _ = parse_entity_key(&key);
            let _ = parse_field_index_key(&key);
            let _ = parse_embedding_key(&key);
        }
    }
}
