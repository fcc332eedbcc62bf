//! Registered schemas: the shape of a table's entities, their key field, and the indexed and
//! embedded fields. A schema is a JSON Schema, hand-written or from Pydantic's
//! `model_json_schema()`, with percolate's keywords `key_field`, `indexed_fields`,
//! `embedding_fields` and `embed` at the top level.
//!
//! A schema is compiled once, when it is registered or the database is opened. There is no I/O
//! here.

pub(crate) mod depth;
pub mod entity;
pub(crate) mod system;
mod system_names;
mod types;

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::depth::MAX_DEPTH;
use self::system_names::is_system_field;
use crate::otel::ErrorType;

const KEY_FIELD: &str = "key_field";
const INDEXED_FIELDS: &str = "indexed_fields";
const EMBEDDING_FIELDS: &str = "embedding_fields";
const EMBED: &str = "embed";
const PROPERTIES: &str = "properties";
const REQUIRED: &str = "required";

/// The error for a schema that cannot be registered, or a change that its entities do not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The schema is not a JSON object.
    #[error("the schema of `{table}` is not a JSON object")]
    NotAnObject {
        /// The table.
        table: String,
    },
    /// The schema is not a valid JSON Schema.
    #[error("the schema of `{table}` is not a valid JSON Schema: {reason}")]
    Invalid {
        /// The table.
        table: String,
        /// The error of the JSON Schema compiler.
        reason: String,
    },
    /// The schema is nested deeper than [`MAX_DEPTH`].
    #[error(
        "cannot register the schema of `{table}`: it is nested deeper than {limit} levels at `{place}`. Move inner \
         parts to `$defs`, and refer to them with `$ref`"
    )]
    TooDeep {
        /// The table.
        table: String,
        /// The place in the schema, a JSON pointer that may be cut.
        place: String,
        /// The number of allowed levels.
        limit: usize,
    },
    /// A keyword of percolate has a wrong value.
    #[error("`{word}` in the schema of `{table}` must be {expected}")]
    WrongKind {
        /// The table.
        table: String,
        /// `key_field`, `indexed_fields`, `embedding_fields` or `embed`.
        word: &'static str,
        /// The expected value.
        expected: &'static str,
    },
    /// A keyword of percolate names a field that the schema does not have.
    #[error(
        "`{word}` in the schema of `{table}` names `{field}`, which is not among its properties: {known}"
    )]
    UnknownField {
        /// The table.
        table: String,
        /// `key_field`, `indexed_fields` or `embedding_fields`.
        word: &'static str,
        /// The unknown field.
        field: String,
        /// The fields of the schema.
        known: String,
    },
    /// The schema uses the name of a system field for data.
    #[error(
        "`{word}` in the schema of `{table}` names `{field}`, which is reserved: `_id`, `_created_at`, `_updated_at`, \
         `_vectors` and `_embedded_by` are fields of the database. Rename the field"
    )]
    ReservedName {
        /// The table.
        table: String,
        /// The keyword that names the field.
        word: &'static str,
        /// The reserved name.
        field: String,
    },
    /// A keyword is nearly one of percolate's.
    #[error(
        "the schema of `{table}` has the unknown keyword `{given}`; did you mean `{word}`? A keyword of your own that \
         is as similar can begin with `x-`"
    )]
    UnknownWord {
        /// The table.
        table: String,
        /// The unknown keyword.
        given: String,
        /// The keyword of percolate.
        word: &'static str,
    },
    /// A keyword of percolate names a field of an inner object.
    #[error(
        "`{word}` in the schema of `{table}` names `{field}`, which is not a property. Fields of inner objects cannot be \
         named here; copy the value to a field of the entity"
    )]
    NestedField {
        /// The table.
        table: String,
        /// `key_field`, `indexed_fields` or `embedding_fields`.
        word: &'static str,
        /// The named field.
        field: String,
    },
    /// The name of the table is empty.
    #[error("a table needs a name")]
    NoName,
    /// The key field of a table with entities cannot change, because ids are derived from it.
    #[error(
        "the key field of `{table}` cannot change while it holds entities; purge them, or register another table"
    )]
    KeyFieldChanged {
        /// The table.
        table: String,
    },
}

impl ErrorType for SchemaError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotAnObject { .. } => "SchemaNotAnObject",
            Self::Invalid { .. } => "SchemaInvalid",
            Self::TooDeep { .. } => "SchemaTooDeep",
            Self::WrongKind { .. } => "SchemaWrongKind",
            Self::UnknownField { .. } => "SchemaUnknownField",
            Self::ReservedName { .. } => "SchemaReservedName",
            Self::UnknownWord { .. } => "SchemaUnknownWord",
            Self::NestedField { .. } => "SchemaNestedField",
            Self::NoName => "SchemaNoName",
            Self::KeyFieldChanged { .. } => "SchemaKeyFieldChanged",
        })
    }
}

/// The error for data that does not match the schema. Messages name fields and never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntityError {
    /// The data is not a JSON object.
    #[error("an entity of `{table}` must be a JSON object")]
    NotAnObject {
        /// The table.
        table: String,
    },
    /// The data is nested deeper than [`MAX_DEPTH`].
    #[error(
        "cannot store an entity in `{table}`: its data is nested deeper than {limit} levels at `{place}`. Store the \
         inner part as text, or as an entity of its own"
    )]
    TooDeep {
        /// The table.
        table: String,
        /// The place in the data, a JSON pointer that may be cut.
        place: String,
        /// The number of allowed levels.
        limit: usize,
    },
    /// The data does not match the schema.
    #[error("the entity does not fit the schema of `{table}`: {reasons}")]
    Invalid {
        /// The table.
        table: String,
        /// The violated rules, with their places in the data.
        reasons: String,
    },
    /// The key field is missing, or its value is neither text nor an integer.
    #[error("the key field `{field}` of `{table}` must hold text or a whole number")]
    NoKey {
        /// The table.
        table: String,
        /// The key field.
        field: String,
    },
    /// `_id` in the data is not a UUID.
    #[error("`_id` of an entity of `{table}` must be a UUID. Give an id of your own another name")]
    InvalidId {
        /// The table.
        table: String,
    },
    /// `_created_at` or `_updated_at` of a row to import is not a time.
    #[error("`{field}` of an entity of `{table}` must be a time in RFC 3339, before the year 9999")]
    InvalidTime {
        /// The table.
        table: String,
        /// `_created_at` or `_updated_at`.
        field: &'static str,
    },
    /// `_vectors` or `_embedded_by` does not have the form that an export writes.
    #[error("`{field}` of an entity of `{table}` must be an object that maps {expected}")]
    InvalidVectors {
        /// The table.
        table: String,
        /// `_vectors` or `_embedded_by`.
        field: &'static str,
        /// What the object maps.
        expected: &'static str,
    },
    /// `_id` in the data is not the id of the entity that the key or the update names.
    #[error(
        "`_id` in the data is not {id}, the id of the entity of `{table}` to write. Remove `_id` from the data, or write \
         to the entity that it names"
    )]
    OtherId {
        /// The table.
        table: String,
        /// The id of the entity to write.
        id: Uuid,
    },
}

impl ErrorType for EntityError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotAnObject { .. } => "EntityNotAnObject",
            Self::TooDeep { .. } => "EntityTooDeep",
            Self::Invalid { .. } => "EntityInvalid",
            Self::NoKey { .. } => "EntityNoKey",
            Self::InvalidId { .. } => "EntityInvalidId",
            Self::InvalidTime { .. } => "EntityInvalidTime",
            Self::InvalidVectors { .. } => "EntityInvalidVectors",
            Self::OtherId { .. } => "EntityOtherId",
        })
    }
}

/// When the texts of a table are embedded: the keyword `embed` of its schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Embed {
    /// `"queued"`, the default: a write marks the entity, and
    /// [`generate_embeddings`](crate::Database::generate_embeddings) or the background worker embeds
    /// it.
    #[default]
    Queued,
    /// `"on_write"`: a write embeds the texts that it changes first, and stores the vectors with the
    /// entity. It fails if the provider fails.
    OnWrite,
}

/// The compiled schema of a table.
pub struct Schema {
    table: String,
    source: Value,
    key_field: Option<String>,
    indexed_fields: Vec<String>,
    embedding_fields: Vec<String>,
    embed: Embed,
    validator: jsonschema::Validator,
}

impl Schema {
    /// Parses and compiles the schema of `table`.
    ///
    /// ```
    /// use percolate_core::schema::Schema;
    /// use serde_json::json;
    ///
    /// let schema = Schema::parse("articles", json!({
    ///     "type": "object",
    ///     "properties": { "slug": { "type": "string" }, "year": { "type": "integer" }, "body": { "type": "string" } },
    ///     "required": ["slug"],
    ///     "key_field": "slug",
    ///     "indexed_fields": ["year"],
    ///     "embedding_fields": ["body"],
    /// }))?;
    /// assert_eq!(schema.key_field(), Some("slug"));
    /// assert!(schema.check(&json!({ "slug": "a", "year": "last" })).is_err());
    /// # Ok::<(), percolate_core::schema::SchemaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SchemaError`] if the schema is invalid, is nested deeper than [`MAX_DEPTH`], has a keyword
    /// that is nearly one of percolate's, or uses a reserved name: `_id`, `_created_at`,
    /// `_updated_at`, `_vectors` or `_embedded_by`.
    pub fn parse(table: &str, source: Value) -> Result<Self, SchemaError> {
        if let Err(error) = Self::check_source(table, &source) {
            depth::discard(source);
            return Err(error);
        }
        Self::compile(table, source)
    }

    /// Checks the depth and the names of a schema before it is copied, compiled or stored. Stored
    /// schemas are not checked, because older versions allowed what this refuses.
    pub(crate) fn check_source(table: &str, source: &Value) -> Result<(), SchemaError> {
        if let Some(place) = depth::too_deep(source) {
            return Err(SchemaError::TooDeep {
                table: table.to_owned(),
                place,
                limit: MAX_DEPTH,
            });
        }
        let table = || table.to_owned();
        if let Some((word, field)) = reserved_name(source) {
            return Err(SchemaError::ReservedName {
                table: table(),
                word,
                field: field.to_owned(),
            });
        }
        if let Some((given, word)) = misspelled_word(source) {
            return Err(SchemaError::UnknownWord {
                table: table(),
                given: given.to_owned(),
                word,
            });
        }
        if let Some((word, field)) = nested_field(source) {
            return Err(SchemaError::NestedField {
                table: table(),
                word,
                field: field.to_owned(),
            });
        }
        Ok(())
    }

    /// Compiles a schema whose depth was checked, or that was read from the store.
    pub(crate) fn compile(table: &str, source: Value) -> Result<Self, SchemaError> {
        if table.is_empty() {
            return Err(SchemaError::NoName);
        }
        let words = Words::new(table, &source)?;
        let key_field = words.field(KEY_FIELD)?;
        let indexed_fields = words.fields(INDEXED_FIELDS)?;
        let embedding_fields = words.fields(EMBEDDING_FIELDS)?;
        let embed = words.embed()?;
        let validator =
            jsonschema::validator_for(&source).map_err(|error| SchemaError::Invalid {
                table: table.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            table: table.to_owned(),
            source,
            key_field,
            indexed_fields,
            embedding_fields,
            embed,
            validator,
        })
    }

    /// Returns the table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns the schema as JSON.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Returns the key field. The value of this field determines the id of an entity.
    pub fn key_field(&self) -> Option<&str> {
        self.key_field.as_deref()
    }

    /// Returns the fields with an index by value.
    pub fn indexed_fields(&self) -> &[String] {
        &self.indexed_fields
    }

    /// Returns the fields with vectors for semantic search.
    pub fn embedding_fields(&self) -> &[String] {
        &self.embedding_fields
    }

    /// Returns when the texts of the table are embedded.
    pub fn embed(&self) -> Embed {
        self.embed
    }

    /// Returns whether both schemas accept the same entities: only percolate's keywords differ.
    pub(crate) fn has_rules_of(&self, other: &Self) -> bool {
        let rules = |schema: &Self| {
            let mut rules = schema.source.as_object().cloned().unwrap_or_default();
            rules.retain(|word, _| !OWN_WORDS.contains(&word.as_str()));
            rules
        };
        rules(self) == rules(other)
    }

    /// Checks data against the schema, and its depth against [`MAX_DEPTH`].
    pub fn check(&self, data: &Value) -> Result<(), EntityError> {
        self.check_shape(data)?;
        self.check_rules(data)
    }

    /// Checks data against the schema. Its depth was checked, because validation is recursive.
    pub(crate) fn check_rules(&self, data: &Value) -> Result<(), EntityError> {
        if self.validator.is_valid(data) {
            return Ok(());
        }
        Err(EntityError::Invalid {
            table: self.table.clone(),
            reasons: self.reasons(data),
        })
    }

    /// Checks that data is an object, and its depth, before it is copied or validated, both of which
    /// are recursive.
    pub(crate) fn check_shape<'a>(
        &self,
        data: &'a Value,
    ) -> Result<&'a Map<String, Value>, EntityError> {
        let fields = data.as_object().ok_or_else(|| EntityError::NotAnObject {
            table: self.table.clone(),
        })?;
        match depth::too_deep(data) {
            None => Ok(fields),
            Some(place) => Err(EntityError::TooDeep {
                table: self.table.clone(),
                place,
                limit: MAX_DEPTH,
            }),
        }
    }

    /// Returns the key of an entity, `None` if the table has no key field.
    pub fn key_of(&self, data: &Value) -> Result<Option<String>, EntityError> {
        let Some(field) = &self.key_field else {
            return Ok(None);
        };
        match data.get(field) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
            _ => Err(EntityError::NoKey {
                table: self.table.clone(),
                field: field.clone(),
            }),
        }
    }

    /// Returns the first violated rules, without values.
    fn reasons(&self, data: &Value) -> String {
        const SHOWN: usize = 3;
        let mut reasons: Vec<String> = Vec::new();
        let mut errors = self.validator.iter_errors(data);
        for error in errors.by_ref().take(SHOWN) {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "/" } else { &place };
            reasons.push(format!("at `{place}`: {}", error.masked()));
        }
        let more = errors.count();
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        reasons.join("; ")
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Schema")
            .field("table", &self.table)
            .field("key_field", &self.key_field)
            .field("indexed_fields", &self.indexed_fields)
            .field("embedding_fields", &self.embedding_fields)
            .field("embed", &self.embed)
            .finish_non_exhaustive()
    }
}

/// The keywords of percolate.
const OWN_WORDS: [&str; 4] = [KEY_FIELD, INDEXED_FIELDS, EMBEDDING_FIELDS, EMBED];

/// The keywords of percolate that name fields.
const FIELD_WORDS: [&str; 3] = [KEY_FIELD, INDEXED_FIELDS, EMBEDDING_FIELDS];

/// The largest number of edits between a keyword of percolate and a misspelling of it.
const EDITS: usize = 2;

/// Returns the first use of the name of a system field at the top level of a schema, with the
/// keyword that it is in.
fn reserved_name(source: &Value) -> Option<(&'static str, &str)> {
    let words = [PROPERTIES, REQUIRED].into_iter().chain(FIELD_WORDS);
    words.into_iter().find_map(|word| {
        let name = names_in(source, word).find(|name| is_system_field(name))?;
        Some((word, name))
    })
}

/// Returns the names of fields that a keyword contains.
fn names_in<'a>(source: &'a Value, word: &str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    match source.get(word) {
        Some(Value::Object(properties)) => Box::new(properties.keys().map(String::as_str)),
        Some(Value::Array(names)) => Box::new(names.iter().filter_map(Value::as_str)),
        name => Box::new(name.and_then(Value::as_str).into_iter()),
    }
}

/// Returns the first keyword that is nearly one of percolate's, and the latter. Case and separators
/// do not count.
fn misspelled_word(source: &Value) -> Option<(&str, &'static str)> {
    let letters = |word: &str| {
        let letters = word.chars().filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    let nearest = |given: &str| {
        let edits = |word: &&str| strsim::osa_distance(&letters(given), &letters(word));
        let nearest = OWN_WORDS.into_iter().min_by_key(edits)?;
        (edits(&nearest) <= EDITS).then_some(nearest)
    };
    let mut unknown = source
        .as_object()?
        .keys()
        .map(String::as_str)
        .filter(|given| !OWN_WORDS.contains(given) && !given.starts_with("x-"));
    unknown.find_map(|given| Some((given, nearest(given)?)))
}

/// Returns the first field with a full stop in its name that a keyword of percolate contains,
/// although the schema has no such property.
fn nested_field(source: &Value) -> Option<(&'static str, &str)> {
    let is_property = |name: &str| source.get(PROPERTIES)?.get(name);
    FIELD_WORDS.into_iter().find_map(|word| {
        let mut names = names_in(source, word);
        let name = names.find(|name| name.contains('.') && is_property(name).is_none())?;
        Some((word, name))
    })
}

/// Reads percolate's keywords from the top level of a schema.
struct Words<'a> {
    table: &'a str,
    schema: &'a Map<String, Value>,
}

impl<'a> Words<'a> {
    fn new(table: &'a str, source: &'a Value) -> Result<Self, SchemaError> {
        let schema = source.as_object().ok_or_else(|| SchemaError::NotAnObject {
            table: table.to_owned(),
        })?;
        Ok(Self { table, schema })
    }

    fn field(&self, word: &'static str) -> Result<Option<String>, SchemaError> {
        match self.schema.get(word) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(field)) => self.known(word, field).map(Some),
            Some(_) => Err(self.wrong_kind(word, "the name of a field")),
        }
    }

    fn fields(&self, word: &'static str) -> Result<Vec<String>, SchemaError> {
        const EXPECTED: &str = "a list of names of fields";
        let names = match self.schema.get(word) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(names)) => names,
            Some(_) => return Err(self.wrong_kind(word, EXPECTED)),
        };
        let name = |name: &Value| match name {
            Value::String(field) => self.known(word, field),
            _ => Err(self.wrong_kind(word, EXPECTED)),
        };
        let mut fields = names.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        fields.sort_unstable();
        fields.dedup();
        Ok(fields)
    }

    fn embed(&self) -> Result<Embed, SchemaError> {
        let word = match self.schema.get(EMBED) {
            None | Some(Value::Null) => return Ok(Embed::default()),
            Some(word) => word.as_str(),
        };
        match word {
            Some("queued") => Ok(Embed::Queued),
            Some("on_write") => Ok(Embed::OnWrite),
            _ => Err(self.wrong_kind(EMBED, "`\"queued\"` or `\"on_write\"`")),
        }
    }

    /// Checks that a named field is a property, if the schema lists properties.
    fn known(&self, word: &'static str, field: &str) -> Result<String, SchemaError> {
        let properties = self.schema.get(PROPERTIES).and_then(Value::as_object);
        match properties {
            Some(properties) if !properties.contains_key(field) => Err(SchemaError::UnknownField {
                table: self.table.to_owned(),
                word,
                field: field.to_owned(),
                known: properties
                    .keys()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
            _ => Ok(field.to_owned()),
        }
    }

    fn wrong_kind(&self, word: &'static str, expected: &'static str) -> SchemaError {
        SchemaError::WrongKind {
            table: self.table.to_owned(),
            word,
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_embedded_when_the_schema_says() {
        let embed = |embed: Value| {
            let schema = Schema::parse("t", json!({ "embed": embed }));
            schema.map(|schema| schema.embed())
        };
        assert_eq!(embed(json!("on_write")), Ok(Embed::OnWrite));
        assert_eq!(embed(json!("queued")), Ok(Embed::Queued));
        assert_eq!(embed(json!(null)), Ok(Embed::Queued));
        for wrong in [json!("on write"), json!(true), json!(["on_write"])] {
            let error = embed(wrong).unwrap_err().to_string();
            assert_eq!(
                error,
                r#"`embed` in the schema of `t` must be `"queued"` or `"on_write"`"#
            );
        }
        let misspelled = Schema::parse("t", json!({ "embedd": "on_write" }));
        assert!(matches!(
            misspelled,
            Err(SchemaError::UnknownWord { word: EMBED, .. })
        ));
    }

    #[test]
    fn a_schema_as_pydantic_writes_it_is_understood() {
        let schema = Schema::parse(
            "articles",
            json!({
                "$defs": { "Author": { "type": "object", "properties": { "name": { "type": "string" } }, "title": "Author" } },
                "properties": {
                    "slug": { "title": "Slug", "type": "string" },
                    "year": { "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null, "title": "Year" },
                    "author": { "$ref": "#/$defs/Author" },
                },
                "required": ["slug", "author"],
                "title": "Article",
                "type": "object",
                "key_field": "slug",
                "indexed_fields": ["year"],
            }),
        )
        .unwrap();
        schema
            .check(&json!({ "slug": "a", "year": null, "author": { "name": "n" } }))
            .unwrap();
        assert!(
            schema
                .check(&json!({ "slug": "a", "author": { "name": 1 } }))
                .is_err()
        );
    }

    #[test]
    fn a_misspelt_field_is_answered_with_the_properties() {
        let source = json!({ "properties": { "slug": {}, "year": {} }, "key_field": "slgu" });
        let error = Schema::parse("articles", source).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`key_field` in the schema of `articles` names `slgu`, which is not among its properties: `slug`, `year`"
        );
    }

    #[test]
    fn a_broken_rule_is_named_without_the_value_that_broke_it() {
        let schema = Schema::parse(
            "a",
            json!({ "properties": { "year": { "type": "integer" } } }),
        )
        .unwrap();
        let text = schema
            .check(&json!({ "year": "secret" }))
            .unwrap_err()
            .to_string();
        assert!(text.contains("/year") && text.contains("integer"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_key_is_text_or_a_whole_number() {
        let schema = Schema::parse("a", json!({ "key_field": "k" })).unwrap();
        assert_eq!(
            schema.key_of(&json!({ "k": 12 })).unwrap().as_deref(),
            Some("12")
        );
        assert!(schema.key_of(&json!({ "k": 1.5 })).is_err());
        assert!(schema.key_of(&json!({ "k": null })).is_err());
        assert!(schema.key_of(&json!({})).is_err());
    }

    #[test]
    fn a_reserved_name_is_refused_at_the_top_level_only() {
        for (word, names) in [
            ("properties", json!({ "a": {}, "_id": {} })),
            ("required", json!(["_id"])),
            ("key_field", json!("_id")),
            ("indexed_fields", json!(["a", "_created_at"])),
            ("embedding_fields", json!(["_updated_at"])),
        ] {
            let error = Schema::parse("t", json!({ word: names })).unwrap_err();
            assert!(
                matches!(&error, SchemaError::ReservedName { word: named, .. } if *named == word),
                "{error:?}"
            );
        }
        let inner = json!({ "properties": { "a": { "properties": { "_id": {} } }, "id": {} } });
        Schema::parse("t", inner).unwrap();
    }

    #[test]
    fn an_invalid_schema_is_refused() {
        let error = Schema::parse("a", json!({ "type": "strnig" })).unwrap_err();
        assert!(matches!(error, SchemaError::Invalid { .. }), "{error:?}");
    }

    #[test]
    fn a_keyword_that_is_nearly_one_of_percolates_is_refused() {
        for (given, expected) in [
            ("keyfield", KEY_FIELD),
            ("key_fields", KEY_FIELD),
            ("keyField", KEY_FIELD),
            ("indexed_field", INDEXED_FIELDS),
            ("index_fields", INDEXED_FIELDS),
            ("indexed-fields", INDEXED_FIELDS),
            ("embeding_fields", EMBEDDING_FIELDS),
        ] {
            let error = Schema::parse("t", json!({ given: "a" })).unwrap_err();
            let wanted = SchemaError::UnknownWord {
                table: "t".to_owned(),
                given: given.to_owned(),
                word: expected,
            };
            assert_eq!(error, wanted);
            assert!(error.to_string().contains(expected), "{error}");
        }
        for accepted in [
            "title",
            "x-key-field",
            "key",
            "indexes",
            "fields",
            "$comment",
        ] {
            Schema::parse("t", json!({ accepted: "a" })).unwrap();
        }
        // Schemas that older versions stored are read.
        Schema::compile("t", json!({ "keyfield": "a", "indexed_fields": ["a.b"] })).unwrap();
    }

    #[test]
    fn a_field_of_an_inner_object_cannot_be_named() {
        for word in [INDEXED_FIELDS, EMBEDDING_FIELDS] {
            let error = Schema::parse("t", json!({ word: ["a", "a.b"] })).unwrap_err();
            assert!(
                matches!(&error, SchemaError::NestedField { field, .. } if field == "a.b"),
                "{error:?}"
            );
            let named = json!({ "properties": { "a.b": {} }, word: ["a.b"] });
            Schema::parse("t", named).unwrap();
        }
        Schema::parse("t", json!({ "key_field": "a.b" })).unwrap_err();
    }
}
