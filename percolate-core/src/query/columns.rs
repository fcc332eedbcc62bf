//! The columns of a table, derived from its JSON Schema, written by hand or by Pydantic.
//!
//! A column has a type only if the schema allows exactly one. All other columns are text, as with
//! PostgreSQL's `->>`: strings as they are, other values as JSON. `docs/sql.md` lists the types.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use serde_json::{Map, Value};

use crate::schema::Schema;
use crate::schema::system::{self, is_system_field};

/// The number of nodes of a schema that are read for one column. A schema may refer to itself.
const MAX_NODES: usize = 256;

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Strings.
    Text,
    /// Any values: strings as they are, other values as JSON.
    Json,
    Integer,
    Float,
    Boolean,
    /// Text of the form `2026-11-22`.
    Date,
    /// Text in the format of RFC 3339.
    Timestamp,
    /// Lists of scalars of one kind.
    List(Box<Kind>),
}

/// The source of a column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Id,
    CreatedAt,
    UpdatedAt,
    /// A field of the data.
    Field(String),
    /// All of the data.
    Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) kind: Kind,
}

/// Returns the columns of `schema`: the id, its properties, the times of creation and change.
///
/// A schema without properties has columns for the fields that it names elsewhere, and the column
/// `data` for all of the data, which is prefixed with an underscore if a field has this name.
pub(super) fn columns_of(schema: &Schema) -> Vec<Column> {
    let properties = schema.source().get("properties").and_then(Value::as_object);
    let fields: Vec<(&str, Kind)> = match properties {
        Some(properties) => properties
            .iter()
            .map(|(name, node)| (name.as_str(), kind_of(node, schema)))
            // Schemas of older versions can have properties with the names of system fields.
            .filter(|(name, _)| !is_system_field(name))
            .collect(),
        None => named_fields(schema)
            .into_iter()
            .map(|name| (name, Kind::Json))
            .filter(|(name, _)| !is_system_field(name))
            .collect(),
    };
    let column = |name: &str, source, kind| Column {
        name: name.to_owned(),
        source,
        kind,
    };
    let mut columns = vec![column(system::ID, Source::Id, Kind::Text)];
    columns.extend(fields.iter().map(|(name, kind)| Column {
        name: (*name).to_owned(),
        source: Source::Field((*name).to_owned()),
        kind: kind.clone(),
    }));
    if properties.is_none() {
        let mut name = "data".to_owned();
        while fields.iter().any(|(field, _)| *field == name) {
            name.insert(0, '_');
        }
        columns.push(column(&name, Source::Data, Kind::Json));
    }
    for (name, source) in [
        (system::CREATED_AT, Source::CreatedAt),
        (system::UPDATED_AT, Source::UpdatedAt),
    ] {
        columns.push(column(name, source, Kind::Timestamp));
    }
    columns
}

/// Returns the Arrow schema of columns. Any field may be null, because data may be older than the
/// schema.
pub(super) fn arrow_schema<'a>(columns: impl IntoIterator<Item = &'a Column>) -> SchemaRef {
    let field = |column: &Column| {
        Field::new(
            &column.name,
            column.kind.data_type(),
            matches!(column.source, Source::Field(_)),
        )
    };
    Arc::new(ArrowSchema::new(
        columns.into_iter().map(field).collect::<Vec<_>>(),
    ))
}

impl Kind {
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::List(kind) => DataType::new_list(kind.data_type(), true),
        }
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::Json | Self::List(_))
    }
}

fn named_fields(schema: &Schema) -> Vec<&str> {
    let lists = [schema.indexed_fields(), schema.embedding_fields()];
    let mut fields: Vec<&str> = lists
        .into_iter()
        .flatten()
        .map(String::as_str)
        .chain(schema.key_field())
        .collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn kind_of(node: &Value, schema: &Schema) -> Kind {
    let mut nodes = MAX_NODES;
    node_kind(node, schema.source(), &mut nodes).unwrap_or(Kind::Json)
}

/// Returns the kind of a schema node, or `None` if the node allows only null.
fn node_kind(node: &Value, root: &Value, nodes: &mut usize) -> Option<Kind> {
    let (Some(node), Some(left)) = (node.as_object(), nodes.checked_sub(1)) else {
        return Some(Kind::Json);
    };
    *nodes = left;
    if let Some(target) = node.get("$ref").and_then(Value::as_str) {
        let target = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer));
        return target.map_or(Some(Kind::Json), |target| node_kind(target, root, nodes));
    }
    for (word, alone) in [("anyOf", false), ("oneOf", false), ("allOf", true)] {
        if let Some(Value::Array(choices)) = node.get(word) {
            return match choices.len() {
                2.. if alone => Some(Kind::Json),
                _ => unite(choices.iter().map(|choice| node_kind(choice, root, nodes))),
            };
        }
    }
    match node.get("type") {
        Some(Value::String(name)) => typed(name, node, root, nodes),
        Some(Value::Array(names)) => unite(
            names
                .iter()
                .map(|name| typed(name.as_str().unwrap_or_default(), node, root, nodes)),
        ),
        _ => match (node.get("const"), node.get("enum")) {
            (Some(value), _) => value_kind(value),
            (_, Some(Value::Array(values))) => unite(values.iter().map(value_kind)),
            _ => Some(Kind::Json),
        },
    }
}

fn typed(name: &str, node: &Map<String, Value>, root: &Value, nodes: &mut usize) -> Option<Kind> {
    Some(match name {
        "null" => return None,
        "string" => match node.get("format").and_then(Value::as_str) {
            Some("date-time") => Kind::Timestamp,
            Some("date") => Kind::Date,
            _ => Kind::Text,
        },
        "integer" => Kind::Integer,
        "number" => Kind::Float,
        "boolean" => Kind::Boolean,
        "array" => match node
            .get("items")
            .and_then(|items| node_kind(items, root, nodes))
        {
            Some(kind) if kind.is_scalar() && !node.contains_key("prefixItems") => {
                Kind::List(Box::new(kind))
            }
            _ => Kind::Json,
        },
        _ => Kind::Json,
    })
}

fn value_kind(value: &Value) -> Option<Kind> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(number) if number.is_f64() => Kind::Float,
        Value::Number(_) => Kind::Integer,
        Value::String(_) => Kind::Text,
        Value::Array(_) | Value::Object(_) => Kind::Json,
    })
}

/// Returns the kind that can represent the values of all choices.
fn unite(choices: impl Iterator<Item = Option<Kind>>) -> Option<Kind> {
    choices.flatten().reduce(|left, right| match (left, right) {
        (left, right) if left == right => left,
        (Kind::Integer, Kind::Float) | (Kind::Float, Kind::Integer) => Kind::Float,
        _ => Kind::Json,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(source: Value) -> Vec<(String, Kind)> {
        let columns = columns_of(&Schema::parse("t", source).unwrap());
        columns
            .into_iter()
            .map(|column| (column.name, column.kind))
            .collect()
    }

    fn kind(property: &Value) -> Kind {
        columns(json!({ "properties": { "field": property } }))[1]
            .1
            .clone()
    }

    #[test]
    fn a_type_is_taken_where_the_schema_leaves_no_choice() {
        assert_eq!(
            kind(&json!({ "type": "string", "format": "uri" })),
            Kind::Text
        );
        assert_eq!(kind(&json!({ "type": "integer" })), Kind::Integer);
        assert_eq!(kind(&json!({ "type": ["null", "number"] })), Kind::Float);
        assert_eq!(kind(&json!({ "type": ["integer", "number"] })), Kind::Float);
        assert_eq!(kind(&json!({ "type": "boolean" })), Kind::Boolean);
        assert_eq!(
            kind(&json!({ "type": "string", "format": "date" })),
            Kind::Date
        );
        assert_eq!(kind(&json!({ "enum": ["a", "b", null] })), Kind::Text);
        assert_eq!(kind(&json!({ "const": 1 })), Kind::Integer);
        for any in [
            json!(true),
            json!({}),
            json!({ "type": "object" }),
            json!({ "type": ["string", "integer"] }),
        ] {
            assert_eq!(kind(&any), Kind::Json);
        }
    }

    #[test]
    fn lists_of_scalars_are_lists_and_others_are_json() {
        let list = |items: Value| kind(&json!({ "type": "array", "items": items }));
        assert_eq!(
            list(json!({ "type": "string" })),
            Kind::List(Box::new(Kind::Text))
        );
        assert_eq!(list(json!({ "type": "object" })), Kind::Json);
        assert_eq!(
            list(json!({ "type": "array", "items": { "type": "string" } })),
            Kind::Json
        );
        assert_eq!(kind(&json!({ "type": "array" })), Kind::Json);
    }

    #[test]
    fn what_pydantic_writes_is_resolved() {
        let columns = columns(json!({
            "$defs": {
                "Colour": { "enum": ["red", "green"], "title": "Colour", "type": "string" },
                "Author": { "properties": { "name": { "type": "string" } }, "type": "object" },
                "Node": { "anyOf": [{ "$ref": "#/$defs/Node" }, { "type": "null" }] },
            },
            "properties": {
                "author": { "$ref": "#/$defs/Author" },
                "colour": { "allOf": [{ "$ref": "#/$defs/Colour" }], "default": "red" },
                "due": { "anyOf": [{ "format": "date-time", "type": "string" }, { "type": "null" }], "default": null },
                "endless": { "$ref": "#/$defs/Node" },
                "year": { "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null },
            },
        }));
        let kinds: Vec<_> = columns.into_iter().map(|(_, kind)| kind).collect();
        let (text, json, time) = (Kind::Text, Kind::Json, Kind::Timestamp);
        let expected = [
            text.clone(),
            json.clone(),
            text,
            time.clone(),
            json,
            Kind::Integer,
            time.clone(),
            time,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_many_times_is_read_once() {
        let refers = vec![json!({ "$ref": "#/$defs/Expression" }); 8];
        let columns = columns(json!({
            "$defs": { "Expression": { "anyOf": refers } },
            "properties": { "expression": { "$ref": "#/$defs/Expression" } },
        }));
        assert_eq!(columns[1].1, Kind::Json);
    }

    #[test]
    fn a_property_keeps_its_name_and_the_data_column_gets_another() {
        let names = |source| {
            columns(source)
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        let source = json!({ "properties": { "id": {}, "created_at": {} } });
        let expected = ["_id", "created_at", "id", "_created_at", "_updated_at"];
        assert_eq!(names(source), expected);
        let bare = json!({ "key_field": "slug", "indexed_fields": ["year", "data"] });
        assert_eq!(
            names(bare),
            [
                "_id",
                "data",
                "slug",
                "year",
                "_data",
                "_created_at",
                "_updated_at"
            ]
        );
    }

    #[test]
    fn the_system_value_has_the_column_where_an_old_schema_declares_its_name() {
        let source = json!({ "properties": { "_id": {}, "a": {} } });
        let columns = columns_of(&Schema::compile("t", source).unwrap());
        let sources: Vec<_> = columns.into_iter().map(|column| column.source).collect();
        let field = Source::Field("a".to_owned());
        let expected = [Source::Id, field, Source::CreatedAt, Source::UpdatedAt];
        assert_eq!(sources, expected);
    }
}
