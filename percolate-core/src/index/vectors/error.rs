//! [`VectorError`]: why a vector index failed.

use std::borrow::Cow;

use crate::otel::ErrorType;

/// An operation on a vector index failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// The length of a vector differs from the dimensions of the index.
    #[error(
        "a vector has {found} dimensions but the index has {expected}; rebuild the index with the current embedding provider"
    )]
    WrongDimensions {
        /// Dimensions of the index.
        expected: usize,
        /// Dimensions of the vector.
        found: usize,
    },
    /// The length of a query vector differs from the dimensions of the embedding provider.
    #[error(
        "cannot search with a vector of {found} numbers: the embedding provider has {expected} dimensions"
    )]
    QueryDimensions {
        /// Dimensions of the provider.
        expected: usize,
        /// Numbers in the vector.
        found: usize,
    },
    /// A query vector is all zeros, or contains NaN or an infinity. It has no cosine distance.
    #[error(
        "cannot search with a vector that is all zeros, or contains NaN or an infinity: it has no direction"
    )]
    QueryWithoutDirection,
    /// The length of a vector that was supplied with an entity differs from the dimensions of the
    /// embedding provider.
    #[error(
        "cannot store a vector of {found} numbers for `{field}`: the embedding provider has {expected} dimensions"
    )]
    SuppliedDimensions {
        /// The field of the vector.
        field: String,
        /// Dimensions of the provider.
        expected: usize,
        /// Numbers in the vector.
        found: usize,
    },
    /// A vector that was supplied with an entity is all zeros, or contains NaN or an infinity. No
    /// search could find it.
    #[error(
        "cannot store a vector for `{field}` that is all zeros, or contains NaN or an infinity: it has no direction"
    )]
    SuppliedWithoutDirection {
        /// The field of the vector.
        field: String,
    },
    /// A vector of an import was created by another embedding provider than that of the database.
    #[error(
        "cannot store the vector of `{field}`: `_embedded_by` names another embedding provider than that of the \
         database, `{provider}`. Vectors of different providers cannot be compared; leave the vectors out, so that the \
         texts are embedded again"
    )]
    OtherProvider {
        /// The field of the vector.
        field: String,
        /// The provider of the database.
        provider: String,
    },
    /// The length of a vector to export differs from the dimensions of the embedding provider.
    #[error(
        "cannot export a vector of {found} numbers of `{field}`: the embedding provider has {expected} dimensions. Open \
         the database with the provider of its vectors, or export it without vectors"
    )]
    ExportDimensions {
        /// The field of the vector.
        field: String,
        /// Dimensions of the provider.
        expected: usize,
        /// Numbers in the vector.
        found: usize,
    },
    /// The index library reported an error.
    #[error("the vector index failed")]
    Index(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The index could not be written to its file.
    #[error("cannot write the vector index to {}", path.display())]
    Save {
        /// The file.
        path: std::path::PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The saved bytes are not a valid index.
    #[error("a saved vector index is malformed ({0}); it will be rebuilt")]
    Malformed(&'static str),
}

impl ErrorType for VectorError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::WrongDimensions { .. } => "VectorWrongDimensions",
            Self::QueryDimensions { .. } => "VectorQueryDimensions",
            Self::QueryWithoutDirection => "VectorQueryWithoutDirection",
            Self::SuppliedDimensions { .. } => "VectorSuppliedDimensions",
            Self::SuppliedWithoutDirection { .. } => "VectorSuppliedWithoutDirection",
            Self::OtherProvider { .. } => "VectorOtherProvider",
            Self::ExportDimensions { .. } => "VectorExportDimensions",
            Self::Index(_) => "VectorIndex",
            Self::Save { .. } => "VectorSave",
            Self::Malformed(_) => "VectorMalformed",
        })
    }
}
