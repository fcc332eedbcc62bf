//! The limit of nesting in stored JSON. It is checked before anything is written, because the parser
//! refuses text that is nested deeper than 127 levels, and what was written could not be read again.

use std::fmt::Write as _;

use serde_json::Value;

/// The number of levels to which the lists and objects of an entity, or of a schema, may be nested.
/// The entity or schema itself is the first level.
///
/// Everything within this limit can be read again, also as part of a larger JSON text.
pub const MAX_DEPTH: usize = 100;

/// The length in bytes at which the text of a place is cut.
const SHOWN: usize = 80;

/// Returns the place of the first value that is nested too deeply, as a JSON pointer cut to a
/// readable length. The recursion ends at [`MAX_DEPTH`], however deep the value is.
pub(crate) fn too_deep(value: &Value) -> Option<String> {
    let mut steps = exceeding(value, MAX_DEPTH)?;
    let mut place = String::new();
    while let Some(step) = steps.pop() {
        match step {
            Step::Field(name) => {
                place.push('/');
                place.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Step::Position(at) => _ = write!(place, "/{at}"),
        }
        if place.len() > SHOWN {
            place.truncate(place.floor_char_boundary(SHOWN));
            place.push('…');
            break;
        }
    }
    Some(place)
}

/// A step from a value to one of its parts.
enum Step<'a> {
    Field(&'a str),
    Position(usize),
}

/// Returns the steps to the first list or object below `left` levels, the last step first.
fn exceeding(value: &Value, left: usize) -> Option<Vec<Step<'_>>> {
    if !value.is_array() && !value.is_object() {
        return None;
    }
    let Some(left) = left.checked_sub(1) else {
        return Some(Vec::new());
    };
    let below = |part, step| {
        let mut steps = exceeding(part, left)?;
        steps.push(step);
        Some(steps)
    };
    match value {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(at, item)| below(item, Step::Position(at)))
        }
        Value::Object(fields) => {
            let mut fields = fields.iter();
            fields.find_map(|(name, field)| below(field, Step::Field(name)))
        }
        _ => None,
    }
}

/// Drops a value of any depth. The destructor of [`Value`] is recursive.
pub(crate) fn discard(value: Value) {
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(fields) => rest.extend(fields.into_iter().map(|(_, field)| field)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({}), |inner, level| {
            if level % 2 == 0 {
                json!({ "a/b": inner })
            } else {
                json!([0, inner])
            }
        })
    }

    #[test]
    fn the_limit_counts_lists_and_objects() {
        assert_eq!(too_deep(&nested(MAX_DEPTH)), None);
        let place = too_deep(&nested(MAX_DEPTH + 1)).unwrap();
        assert!(place.starts_with("/a~1b/1/a~1b/1/"), "{place}");
        assert!(place.ends_with('…') && place.len() <= SHOWN + 3, "{place}");
    }

    #[test]
    fn a_place_is_cut_between_characters() {
        let value = (0..MAX_DEPTH).fold(json!([]), |inner, _| json!({ "äöü": inner }));
        let place = too_deep(&value).unwrap();
        assert!(place.starts_with("/äöü/äöü"), "{place}");
    }

    #[test]
    fn any_depth_is_checked_and_dropped_without_overflowing_the_stack() {
        let mut value = json!(1);
        for _ in 0..200_000 {
            value = Value::Array(vec![value]);
        }
        assert!(too_deep(&value).is_some());
        discard(value);
    }

    #[test]
    fn what_the_limit_allows_can_be_read() {
        let text = nested(MAX_DEPTH).to_string();
        let wrapped = format!("[{{\"data\": {text}}}]");
        assert!(serde_json::from_str::<Value>(&wrapped).is_ok());
    }
}
