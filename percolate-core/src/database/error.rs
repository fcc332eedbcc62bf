//! The errors of a database: those of the modules below it, and those of tables and entities.

use std::borrow::Cow;

use uuid::Uuid;

use super::import::report::{ImportReport, Refused};
use crate::embeddings::EmbeddingError;
use crate::index::vectors::VectorError;
use crate::otel::ErrorType;
use crate::schema::entity::{MalformedRecord, Timestamp};
use crate::schema::{EntityError, SchemaError};
use crate::storage::keys::MalformedKey;
use crate::storage::{MaintenanceError, OpenError, ReadError, StatusCode, WriteError};

/// An error of a [`Database`](crate::Database).
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
    /// Maintenance of the store failed.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// A schema is invalid.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// An entity does not match its schema.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// No schema is registered for the table.
    #[error(
        "table `{table}` does not exist; {}. Register its schema with `register_schema` first",
        Tables(known)
    )]
    UnknownTable {
        /// The name of the missing table.
        table: String,
        /// The tables that exist.
        known: Vec<String>,
    },
    /// The stored schema of the table cannot be read. Other tables are not affected.
    #[error(
        "cannot use table `{table}`: {reason}. Its entities are kept; register a schema with the same key field to \
         use them"
    )]
    UnusableTable {
        /// The table.
        table: String,
        /// The error of the stored schema.
        reason: SchemaError,
    },
    /// The field is not indexed.
    #[error(
        "cannot search table `{table}` by `{field}`: the field is not indexed. Add it to `indexed_fields` in the schema"
    )]
    NotIndexed {
        /// The table.
        table: String,
        /// The field that is not indexed.
        field: String,
    },
    /// No field of the table is embedded.
    #[error("cannot search table `{table}` by meaning: the schema has no `embedding_fields`")]
    NotEmbedded {
        /// The table.
        table: String,
    },
    /// A vector was supplied for a field that is not embedded.
    #[error(
        "cannot store a vector for `{field}` of `{table}`: the field is not among the `embedding_fields` of the schema, \
         which are: {}",
        Fields(known)
    )]
    NotEmbeddedField {
        /// The table.
        table: String,
        /// The field of the vector.
        field: String,
        /// The embedded fields.
        known: Vec<String>,
    },
    /// The table has no key field.
    #[error(
        "cannot find an entity of `{table}` by its key: the schema has no `key_field`. Use the id of the entity"
    )]
    NoKeyField {
        /// The table.
        table: String,
    },
    /// `upsert` has neither a key nor an id: the table has no key field, and the data has no `_id`.
    #[error(
        "cannot upsert into `{table}`: the schema has no `key_field`, and the data has no `_id`. Use `insert` to create \
         an entity"
    )]
    NoIdentity {
        /// The table.
        table: String,
    },
    /// `insert` found an entity with the same key or id.
    #[error(
        "cannot insert into `{table}`: entity {id}, with the same key or `_id`, exists. Use `upsert` or `update` to \
         change it"
    )]
    Exists {
        /// The table.
        table: String,
        /// The id of the existing entity.
        id: Uuid,
    },
    /// The entity to change does not exist.
    #[error(
        "cannot change {} of `{table}`: it does not exist. `insert` and `upsert` create entities",
        Named(*id, key.as_deref())
    )]
    NotFound {
        /// The table.
        table: String,
        /// The id of the missing entity.
        id: Uuid,
        /// The key by which the entity was named.
        key: Option<String>,
    },
    /// The entity was written after the caller read it.
    #[error(
        "cannot change entity {id} of `{table}`: it was written at {at}, after it was read. Read it again and repeat the \
         change"
    )]
    Changed {
        /// The table.
        table: String,
        /// The id of the entity.
        id: Uuid,
        /// The time of its last write.
        at: Timestamp,
    },
    /// The writes of a batch are to the tables of another tenant.
    #[error(
        "cannot add writes of the tenant `{other}` to a batch of the tenant `{tenant}`; commit them with a handle of \
         `{other}`"
    )]
    OtherTenant {
        /// The tenant of the handle.
        tenant: String,
        /// The tenant of the writes.
        other: String,
    },
    /// Other writers kept changing the entities that match the condition of a write.
    #[error(
        "gave up writing {left} entities of `{table}` that match the condition, because others kept changing them; \
         {written} were written. Repeat the write"
    )]
    Contended {
        /// The table.
        table: String,
        /// The number of entities that were written.
        written: usize,
        /// The number of entities that matched and were not written.
        left: usize,
    },
    /// An update would change the key, and therefore the id.
    #[error(
        "cannot change the key of an entity of `{table}` with an update; delete the entity and insert a new one"
    )]
    KeyChanged {
        /// The table.
        table: String,
    },
    /// Two entities of one batch have the same key or `_id`.
    #[error("it has the same key or `_id` as the entity at index {first}")]
    Repeated {
        /// The index of the first of them in the batch.
        first: usize,
    },
    /// An entity of a batch cannot be written. Nothing was written.
    #[error("cannot write the entity at index {index}{}: {error}", Keyed(key.as_deref()))]
    InBatch {
        /// The index of the entity in the batch.
        index: usize,
        /// The key of the entity, if it has one.
        key: Option<String>,
        /// The error of the entity.
        error: Box<Error>,
    },
    /// Rows of an import were refused, and the import was aborted. Nothing was written, unless the
    /// report has a number of written rows.
    #[error("cannot import into `{table}`: {}", Refused(report))]
    RowsRefused {
        /// The table.
        table: String,
        /// The numbers of rows, and the first refused ones.
        report: Box<ImportReport>,
    },
    /// An import failed after some of its rows were written.
    #[error("the import into `{table}` stopped after {written} rows were written: {error}")]
    ImportStopped {
        /// The table.
        table: String,
        /// The number of rows that were written.
        written: usize,
        /// The error that stopped it.
        error: Box<Error>,
    },
    /// The source of an import could not be read.
    #[error("cannot read the rows to import into `{table}`: {error}")]
    Import {
        /// The table.
        table: String,
        /// The error of the source.
        #[source]
        error: std::io::Error,
    },
    /// An export could not be written.
    #[error("cannot write the export of `{table}`: {error}")]
    Export {
        /// The table.
        table: String,
        /// The error of the writer.
        #[source]
        error: std::io::Error,
    },
    /// A stored entity cannot be decoded.
    #[error(
        "cannot read entity {id} of `{table}`: {reason}. `delete` and `purge` remove it, `upsert` replaces it, and a \
         handle of `skip_malformed` reads the others"
    )]
    MalformedRecord {
        /// The table.
        table: String,
        /// The id of the entity.
        id: Uuid,
        /// The reason.
        reason: MalformedRecord,
    },
    /// A stored key cannot be decoded.
    #[error(transparent)]
    MalformedKey(#[from] MalformedKey),
    /// The tokio runtime is shutting down.
    #[error("the operation was not run because the tokio runtime is shutting down")]
    ShuttingDown,
    /// The database was not closed by the deadline. Closing continues, and the directory is locked
    /// until it ends.
    #[error(
        "the database at {} was not closed within {} s: RocksDB still waits for the disk, or for its background \
         work; the directory is locked until it has ended, and the last writes may not be durable",
        path.display(), deadline.as_secs_f64()
    )]
    CloseTimeout {
        /// The directory of the database.
        path: std::path::PathBuf,
        /// The deadline.
        deadline: std::time::Duration,
    },
    /// The operation was ended before it was complete.
    #[error("the operation was cancelled")]
    Cancelled,
    /// Text could not be embedded.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// The texts of a write could not be embedded, and their table embeds them on write. Nothing was
    /// written.
    #[error(
        "cannot write to `{table}`, whose schema embeds texts on write: {error}. Nothing was written"
    )]
    EmbeddingOnWrite {
        /// The table.
        table: String,
        /// The error of the provider.
        #[source]
        error: EmbeddingError,
    },
    /// A vector index failed.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// A query was rejected or failed.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Query(#[from] crate::query::error::QueryError),
}

/// Prints the name of an entity: its key if it was named by it, else its id.
struct Named<'a>(Uuid, Option<&'a str>);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            Some(key) => write!(formatter, "the entity with the key {key:?}"),
            None => write!(formatter, "entity {}", self.0),
        }
    }
}

/// Prints the key of an entity, cut if it is long.
struct Keyed<'a>(Option<&'a str>);

impl std::fmt::Display for Keyed<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 80;
        match self.0 {
            None => Ok(()),
            Some(key) if key.len() <= SHOWN => write!(formatter, ", with the key {key:?}"),
            Some(key) => {
                let cut = &key[..key.floor_char_boundary(SHOWN)];
                write!(formatter, ", with the key {cut:?}…")
            }
        }
    }
}

/// Prints the names of fields.
struct Fields<'a>(&'a [String]);

impl std::fmt::Display for Fields<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("none");
        }
        write!(formatter, "`{}`", self.0.join("`, `"))
    }
}

/// Prints the tables that exist.
struct Tables<'a>(&'a [String]);

impl std::fmt::Display for Tables<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("there are no tables yet");
        }
        write!(formatter, "the tables are `{}`", self.0.join("`, `"))
    }
}

impl Error {
    /// Returns whether the cause is another writer that has opened the database on the object store:
    /// this handle must be closed. A write that reads first reports it as an error of the read.
    pub fn is_fenced(&self) -> bool {
        self.status_code().as_deref() == Some(StatusCode::Fenced.as_str())
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
            Self::UnusableTable { .. } => Cow::Borrowed("UnusableTable"),
            Self::NotIndexed { .. } => Cow::Borrowed("NotIndexed"),
            Self::NotEmbedded { .. } => Cow::Borrowed("NotEmbedded"),
            Self::NotEmbeddedField { .. } => Cow::Borrowed("NotEmbeddedField"),
            Self::NoKeyField { .. } => Cow::Borrowed("NoKeyField"),
            Self::NoIdentity { .. } => Cow::Borrowed("NoIdentity"),
            Self::Exists { .. } => Cow::Borrowed("Exists"),
            Self::NotFound { .. } => Cow::Borrowed("NotFound"),
            Self::Repeated { .. } => Cow::Borrowed("Repeated"),
            Self::InBatch { error, .. } => error.error_type(),
            Self::RowsRefused { .. } => Cow::Borrowed("RowsRefused"),
            Self::ImportStopped { error, .. } => error.error_type(),
            Self::Import { .. } => Cow::Borrowed("Import"),
            Self::Export { .. } => Cow::Borrowed("Export"),
            Self::Changed { .. } => Cow::Borrowed("Changed"),
            Self::OtherTenant { .. } => Cow::Borrowed("OtherTenant"),
            Self::Contended { .. } => Cow::Borrowed("Contended"),
            Self::KeyChanged { .. } => Cow::Borrowed("KeyChanged"),
            Self::MalformedRecord { .. } => Cow::Borrowed("MalformedRecord"),
            Self::MalformedKey(_) => Cow::Borrowed("MalformedKey"),
            Self::ShuttingDown => Cow::Borrowed("ShuttingDown"),
            Self::CloseTimeout { .. } => Cow::Borrowed("CloseTimeout"),
            Self::Cancelled => Cow::Borrowed("cancelled"),
            Self::Embedding(error) | Self::EmbeddingOnWrite { error, .. } => error.error_type(),
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
            Self::InBatch { error, .. } | Self::ImportStopped { error, .. } => error.status_code(),
            _ => None,
        }
    }
}
