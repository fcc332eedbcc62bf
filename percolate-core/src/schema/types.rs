//! The JSON types that a schema allows at one place of the data.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Schema;

/// The number of nodes that are read for one place of the data. A schema may refer to itself.
const MAX_NODES: usize = 256;

/// The types that a schema node names.
#[derive(Debug, Default)]
struct Types<'a> {
    names: BTreeSet<&'a str>,
    /// Whether other types may be allowed too.
    open: bool,
}

impl Schema {
    /// Returns whether the schema names null among the types of a field.
    pub(crate) fn allows_null(&self, field: &str) -> bool {
        self.types_at(&[field]).names.contains("null")
    }

    /// Returns whether the schema allows only text, or text and null, at a place of the data: the
    /// names of fields and the indexes of elements that lead there.
    ///
    /// ```
    /// use percolate_core::schema::Schema;
    /// use serde_json::json;
    ///
    /// let properties = json!({ "price": { "type": ["string", "null"] }, "year": { "type": "integer" } });
    /// let schema = Schema::parse("articles", json!({ "properties": properties }))?;
    /// assert!(schema.is_text_at(&["price"]));
    /// assert!(!schema.is_text_at(&["year"]) && !schema.is_text_at(&["other"]));
    /// # Ok::<(), percolate_core::schema::SchemaError>(())
    /// ```
    pub fn is_text_at(&self, place: &[impl AsRef<str>]) -> bool {
        let types = self.types_at(place);
        let is_text = |name: &&str| ["string", "null"].contains(name);
        !types.open && types.names.contains("string") && types.names.iter().all(is_text)
    }

    /// Returns whether the schema names the types of a field, and text is not one of them.
    #[cfg(feature = "sql")]
    pub(crate) fn excludes_text(&self, field: &str) -> bool {
        let types = self.types_at(&[field]);
        !types.open && !types.names.is_empty() && !types.names.contains("string")
    }

    fn types_at(&self, place: &[impl AsRef<str>]) -> Types<'_> {
        let (root, mut nodes) = (self.source(), MAX_NODES);
        let node = place.iter().try_fold(root, |node, step| {
            child(node, step.as_ref(), root, &mut nodes)
        });
        match node {
            Some(node) => types_of(node, root, &mut nodes),
            None => Types {
                open: true,
                ..Types::default()
            },
        }
    }
}

/// Returns the schema of a field or an element. Reads at most `nodes` nodes.
fn child<'a>(node: &'a Value, step: &str, root: &'a Value, nodes: &mut usize) -> Option<&'a Value> {
    *nodes = nodes.checked_sub(1)?;
    let named = node.get("properties").and_then(|named| named.get(step));
    let listed = || {
        let position: usize = step.parse().ok()?;
        let listed = node
            .get("prefixItems")
            .and_then(|items| items.get(position));
        listed.or_else(|| node.get("items"))
    };
    let chosen = || choices(node, root).find_map(|choice| child(choice, step, root, nodes));
    named
        .or_else(listed)
        .or_else(|| node.get("additionalProperties"))
        .or_else(chosen)
}

fn types_of<'a>(node: &'a Value, root: &'a Value, nodes: &mut usize) -> Types<'a> {
    let mut types = Types::default();
    let Some(left) = nodes.checked_sub(1) else {
        types.open = true;
        return types;
    };
    *nodes = left;
    let values = match (node.get("const"), node.get("enum")) {
        (Some(value), _) => std::slice::from_ref(value),
        (None, Some(Value::Array(values))) => values,
        _ => &[],
    };
    match node.get("type") {
        Some(Value::String(name)) => types.names.extend([name.as_str()]),
        Some(Value::Array(names)) => types.names.extend(names.iter().filter_map(Value::as_str)),
        _ if !values.is_empty() => {
            for value in values {
                types.names.insert(type_name(value));
            }
        }
        _ => {
            let mut choices = choices(node, root).peekable();
            types.open = choices.peek().is_none();
            for choice in choices {
                let chosen = types_of(choice, root, nodes);
                types.names.extend(chosen.names);
                types.open |= chosen.open;
            }
        }
    }
    types
}

/// Returns the target of a reference, and the nodes of which data must match one.
fn choices<'a>(node: &'a Value, root: &'a Value) -> impl Iterator<Item = &'a Value> {
    let target = node
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|target| root.pointer(target.strip_prefix('#')?));
    let several = ["anyOf", "oneOf"].into_iter();
    let several = several
        .filter_map(|word| node.get(word)?.as_array())
        .flatten();
    let all = node.get("allOf").and_then(Value::as_array);
    let only = all.filter(|all| all.len() == 1).into_iter().flatten();
    target.into_iter().chain(several).chain(only)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_allowed_where_the_schema_names_it() {
        let schema = Schema::parse(
            "t",
            json!({
                "$defs": { "Colour": { "enum": ["red", null] }, "Loop": { "anyOf": [{ "$ref": "#/$defs/Loop" }, { "$ref": "#/$defs/Loop" }] } },
                "properties": {
                    "listed": { "type": ["integer", "null"] },
                    "chosen": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                    "referred": { "allOf": [{ "$ref": "#/$defs/Colour" }] },
                    "text": { "type": "string" },
                    "anything": {},
                    "endless": { "$ref": "#/$defs/Loop" },
                },
            }),
        )
        .unwrap();
        for field in ["listed", "chosen", "referred"] {
            assert!(schema.allows_null(field), "{field}");
        }
        for field in ["text", "anything", "endless", "other"] {
            assert!(!schema.allows_null(field), "{field}");
        }
    }

    #[test]
    fn text_is_the_only_type_where_the_schema_leaves_no_other() {
        let schema = Schema::parse(
            "t",
            json!({
                "$defs": { "Item": { "properties": { "price": { "type": "string" } } } },
                "properties": {
                    "items": { "type": "array", "items": { "$ref": "#/$defs/Item" } },
                    "item": { "anyOf": [{ "$ref": "#/$defs/Item" }, { "type": "null" }] },
                    "number": { "anyOf": [{ "type": "number" }, { "type": "string" }] },
                    "part": { "anyOf": [{ "type": "string" }, {}] },
                },
                "additionalProperties": { "type": "string" },
            }),
        )
        .unwrap();
        for place in [&["items", "0", "price"][..], &["item", "price"], &["other"]] {
            assert!(schema.is_text_at(place), "{place:?}");
        }
        for place in [&["items"][..], &["item"], &["number"], &["part"], &[]] {
            assert!(!schema.is_text_at(place), "{place:?}");
        }
    }
}
