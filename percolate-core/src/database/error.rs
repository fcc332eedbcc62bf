//! What can go wrong with a database: everything the floors below report, and what only tables know.

use std::borrow::Cow;

use uuid::Uuid;

use crate::embeddings::EmbeddingError;
use crate::index::vectors::VectorError;
use crate::otel::ErrorType;
use crate::schema::entity::MalformedRecord;
use crate::schema::{EntityError, SchemaError};
use crate::storage::keys::MalformedKey;
use crate::storage::{MaintenanceError, OpenError, ReadError, WriteError};

/// Anything that can go wrong with a [`Database`](crate::Database).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store could not be looked after.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// A schema was refused.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// An entity was refused.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// No schema is registered for the table.
    #[error(
        "there is no table `{table}`; {}. Register its schema with `register_schema` first",
        Tables(known)
    )]
    UnknownTable {
        /// The table asked for.
        table: String,
        /// The tables there are.
        known: Vec<String>,
    },
    /// The field is not indexed.
    #[error(
        "`{field}` is not an indexed field of `{table}`; add it to `indexed_fields` in its schema"
    )]
    NotIndexed {
        /// The table.
        table: String,
        /// The field asked for.
        field: String,
    },
    /// `insert` found an entity with the same key.
    #[error(
        "`{table}` already holds an entity with this key, id {id}; use `upsert` or `update` to change it"
    )]
    Exists {
        /// The table.
        table: String,
        /// The entity that is there.
        id: Uuid,
    },
    /// There is no such entity to change.
    #[error("`{table}` holds no entity with the id {id}")]
    NotFound {
        /// The table.
        table: String,
        /// The id asked for.
        id: Uuid,
    },
    /// An update would change the key, and with it the id.
    #[error(
        "an update cannot change the key of an entity of `{table}`; delete it and insert a new one"
    )]
    KeyChanged {
        /// The table.
        table: String,
    },
    /// A stored entity cannot be understood.
    #[error(transparent)]
    MalformedRecord(#[from] MalformedRecord),
    /// A stored key cannot be understood.
    #[error(transparent)]
    MalformedKey(#[from] MalformedKey),
    /// The tokio runtime is shutting down.
    #[error("the work was not done because the tokio runtime is shutting down")]
    ShuttingDown,
    /// Text could not be embedded.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// A vector index failed.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// A query was refused, or failed.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Query(#[from] crate::query::error::QueryError),
}

/// Prints the tables there are.
struct Tables<'a>(&'a [String]);

impl std::fmt::Display for Tables<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("there are none yet");
        }
        write!(formatter, "there are `{}`", self.0.join("`, `"))
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::Open(error) => error.error_type(),
            Self::Read(error) => error.error_type(),
            Self::Write(error) => error.error_type(),
            Self::Maintenance(error) => error.error_type(),
            Self::Schema(error) => error.error_type(),
            Self::Entity(error) => error.error_type(),
            Self::UnknownTable { .. } => Cow::Borrowed("UnknownTable"),
            Self::NotIndexed { .. } => Cow::Borrowed("NotIndexed"),
            Self::Exists { .. } => Cow::Borrowed("Exists"),
            Self::NotFound { .. } => Cow::Borrowed("NotFound"),
            Self::KeyChanged { .. } => Cow::Borrowed("KeyChanged"),
            Self::MalformedRecord(_) => Cow::Borrowed("MalformedRecord"),
            Self::MalformedKey(_) => Cow::Borrowed("MalformedKey"),
            Self::ShuttingDown => Cow::Borrowed("ShuttingDown"),
            Self::Embedding(error) => error.error_type(),
            Self::Vector(error) => error.error_type(),
            #[cfg(feature = "sql")]
            Self::Query(error) => error.error_type(),
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Open(error) => error.status_code(),
            Self::Read(error) => error.status_code(),
            Self::Write(error) => error.status_code(),
            Self::Maintenance(error) => error.status_code(),
            _ => None,
        }
    }
}
