//! The keys of the store.

use std::cmp::Ordering;
use std::ops::Bound;

use percolate_core::storage::keys::{self, FieldValue, Table, ValueRange};
use percolate_core::uuid::Uuid;

use crate::input::Input;

/// Builds keys of two entities and parses any bytes as keys.
///
/// Keys are parsed to what they were built from, and sort as that sorts; the keys of a table or a
/// field are those with its prefix; a range of values has the keys of its values. Bytes that are
/// parsed are the key of the result.
pub fn keys(data: &[u8]) {
    any_bytes(data);
    let mut input = Input::new(data);
    let left = Parts::read(&mut input, None);
    let right = Parts::read(&mut input, Some(&left));
    left.check_alone();
    right.check_alone();
    left.check_with(&right);
}

fn any_bytes(bytes: &[u8]) {
    if let Ok((tenant, table, id)) = keys::parse_entity_key(bytes) {
        assert_eq!(keys::entity_key(Table::new(&tenant, &table), id), bytes);
    }
    if let Ok((tenant, table)) = keys::parse_schema_key(bytes) {
        assert_eq!(keys::schema_key(Table::new(&tenant, &table)), bytes);
    }
    if let Ok((value, id)) = keys::parse_field_index_key(bytes) {
        let table = Table::new("t", "t");
        let again = keys::field_index_key(table, "f", &value, id);
        assert_eq!(
            keys::parse_field_index_key(&again).map(|parts| parts.1),
            Ok(id)
        );
    }
    _ = keys::parse_embedding_key(bytes);
    _ = keys::parse_embedding_field(bytes);
    _ = keys::parse_unfinished_key(bytes);
    _ = keys::parse_table(bytes);
}

struct Parts {
    tenant: String,
    table: String,
    field: String,
    value: FieldValue,
    id: Uuid,
}

impl Parts {
    /// Reads parts. Some are those of `other`.
    fn read(input: &mut Input<'_>, other: Option<&Self>) -> Self {
        let mut text = |known: Option<&String>| match known {
            Some(known) if input.one_in(2) => known.clone(),
            _ => input.text(12),
        };
        let tenant = text(other.map(|other| &other.tenant));
        let table = text(other.map(|other| &other.table));
        let field = text(other.map(|other| &other.field));
        Self {
            tenant,
            table,
            field,
            value: value(input),
            id: Uuid::from_bytes(input.array()),
        }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.tenant, &self.table)
    }

    fn entity_key(&self) -> Vec<u8> {
        keys::entity_key(self.table(), self.id)
    }

    fn index_key(&self) -> Vec<u8> {
        keys::field_index_key(self.table(), &self.field, &self.value, self.id)
    }

    fn check_alone(&self) {
        let names = (self.tenant.clone(), self.table.clone());
        let (tenant, table) = names.clone();
        assert_eq!(
            keys::parse_entity_key(&self.entity_key()),
            Ok((tenant, table, self.id))
        );
        assert_eq!(
            keys::parse_schema_key(&keys::schema_key(self.table())),
            Ok(names.clone())
        );
        assert_eq!(
            keys::parse_unfinished_key(&keys::unfinished_key(self.table())),
            Ok(names)
        );
        let embedding = keys::embedding_key(self.table(), &self.field, self.id);
        assert_eq!(keys::parse_embedding_key(&embedding), Ok(self.id));
        assert_eq!(
            keys::parse_embedding_field(&embedding),
            Ok(self.field.clone())
        );
        let (value, id) = keys::parse_field_index_key(&self.index_key()).expect("it is a key");
        assert_eq!(
            (compare(&value, &self.value), id),
            (Ordering::Equal, self.id)
        );
        assert!(embedding.starts_with(&keys::field_prefix(self.table(), &self.field)));
        assert!(self.index_key().starts_with(&keys::field_value_prefix(
            self.table(),
            &self.field,
            &self.value
        )));
    }

    fn check_with(&self, other: &Self) {
        let names = |parts: &Self| (parts.tenant.clone(), parts.table.clone());
        assert_eq!(
            self.entity_key().cmp(&other.entity_key()),
            (names(self), self.id).cmp(&(names(other), other.id)),
            "order of entities"
        );
        let field = |parts: &Self| (names(parts), parts.field.clone());
        assert_eq!(
            self.index_key().cmp(&other.index_key()),
            field(self)
                .cmp(&field(other))
                .then(compare(&self.value, &other.value))
                .then(self.id.cmp(&other.id)),
            "order of {:?} and {:?}",
            self.value,
            other.value
        );
        assert_eq!(
            other
                .entity_key()
                .starts_with(&keys::table_prefix(self.table())),
            names(self) == names(other)
        );
        assert_eq!(
            other
                .entity_key()
                .starts_with(&keys::tenant_prefix(&self.tenant)),
            self.tenant == other.tenant
        );
        assert_eq!(
            other
                .index_key()
                .starts_with(&keys::field_prefix(self.table(), &self.field)),
            field(self) == field(other)
        );
        self.check_range(other);
    }

    /// Checks the range of values from this one to the other.
    fn check_range(&self, other: &Self) {
        for (lower, upper) in [
            (Bound::Included(&self.value), Bound::Included(&other.value)),
            (Bound::Excluded(&self.value), Bound::Excluded(&other.value)),
            (Bound::Included(&self.value), Bound::Unbounded),
            (Bound::Unbounded, Bound::Excluded(&other.value)),
        ] {
            let Some(range) = ValueRange::between(lower, upper) else {
                panic!("a range with a bound exists");
            };
            let (start, end) = range.field_index_keys(self.table(), &self.field);
            for value in [&self.value, &other.value] {
                let key = keys::field_index_key(self.table(), &self.field, value, self.id);
                let is_within = !range.is_empty() && start <= key && key < end;
                let above = match lower {
                    Bound::Included(bound) => compare(bound, value).is_le(),
                    Bound::Excluded(bound) => compare(bound, value).is_lt(),
                    Bound::Unbounded => true,
                };
                let below = match upper {
                    Bound::Included(bound) => compare(value, bound).is_le(),
                    Bound::Excluded(bound) => compare(value, bound).is_lt(),
                    Bound::Unbounded => true,
                };
                let same_type = [lower, upper].iter().all(|bound| match bound {
                    Bound::Included(bound) | Bound::Excluded(bound) => rank(bound) == rank(value),
                    Bound::Unbounded => true,
                });
                assert_eq!(
                    is_within,
                    above && below && same_type,
                    "{value:?} within {lower:?} and {upper:?}"
                );
            }
        }
    }
}

fn value(input: &mut Input<'_>) -> FieldValue {
    match input.byte() % 7 {
        0 => FieldValue::Null,
        1 => FieldValue::Bool(input.one_in(2)),
        2 => FieldValue::Integer(i64::from_be_bytes(input.array())),
        3 => FieldValue::Unsigned(u64::from_be_bytes(input.array())),
        4 => {
            let number = f64::from_be_bytes(input.array());
            FieldValue::Float(if number.is_finite() { number } else { 0.5 })
        }
        // Near the numbers where floats skip integers.
        5 => FieldValue::Integer((1 << 53) + i64::from(input.byte())),
        _ => FieldValue::Text(input.text(12)),
    }
}

fn rank(value: &FieldValue) -> u8 {
    match value {
        FieldValue::Null => 0,
        FieldValue::Bool(_) => 1,
        FieldValue::Integer(_) | FieldValue::Unsigned(_) | FieldValue::Float(_) => 2,
        FieldValue::Text(_) => 3,
    }
}

/// The order of values, compared without their encoding.
fn compare(left: &FieldValue, right: &FieldValue) -> Ordering {
    match (left, right) {
        (FieldValue::Bool(left), FieldValue::Bool(right)) => left.cmp(right),
        (FieldValue::Text(left), FieldValue::Text(right)) => left.cmp(right),
        (FieldValue::Float(left), FieldValue::Float(right)) => {
            left.partial_cmp(right).expect("numbers are finite")
        }
        (FieldValue::Float(left), right) if rank(right) == 2 => {
            with_float(integer(right), *left).reverse()
        }
        (left, FieldValue::Float(right)) if rank(left) == 2 => with_float(integer(left), *right),
        (left, right) if (rank(left), rank(right)) == (2, 2) => integer(left).cmp(&integer(right)),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn integer(value: &FieldValue) -> i128 {
    match value {
        FieldValue::Integer(number) => i128::from(*number),
        FieldValue::Unsigned(number) => i128::from(*number),
        _ => panic!("{value:?} is not an integer"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "larger floats become the largest integer, which is larger than all others"
)]
fn with_float(integer: i128, float: f64) -> Ordering {
    let whole = float.floor();
    integer.cmp(&(whole as i128)).then(if float > whole {
        Ordering::Less
    } else {
        Ordering::Equal
    })
}
