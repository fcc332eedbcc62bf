//! Keys are read back as written and sort by meaning.

use std::cmp::Ordering;

use proptest::prelude::*;

use uuid::Uuid;

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
        (FieldValue::Text(left), FieldValue::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (FieldValue::Float(left), FieldValue::Float(right)) => left.total_cmp(right),
        (FieldValue::Float(float), other) if rank(other) == 2 => {
            against(*float, integer(other).unwrap())
        }
        (other, FieldValue::Float(float)) if rank(other) == 2 => {
            against(*float, integer(other).unwrap()).reverse()
        }
        (left, right) if rank(left) == 2 && rank(right) == 2 => integer(left).cmp(&integer(right)),
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
        entity_key(Table::new("t", "a\0"), id),
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
        let key = entity_key(Table::new(&b, &table), Uuid::nil());
        prop_assert!(!key.starts_with(&tenant_prefix(&a)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(key: Vec<u8>) {
        let _ = parse_entity_key(&key);
        let _ = parse_field_index_key(&key);
        let _ = parse_embedding_key(&key);
    }
}
