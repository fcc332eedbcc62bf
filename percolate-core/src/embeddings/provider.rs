//! What it takes to embed text.

use std::borrow::Cow;
use std::fmt::Debug;
use std::pin::Pin;

use crate::otel::ErrorType;

/// The vectors of some texts, in their order, sooner or later.
pub type EmbeddingFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>, EmbeddingError>> + Send + 'a>>;

/// Turns texts into vectors of one length. Texts that mean the like get vectors that point alike.
pub trait EmbeddingProvider: Debug + Send + Sync {
    /// A name that changes when the vectors would: vectors of different providers cannot be compared.
    fn name(&self) -> &str;

    /// The length of every vector.
    fn dimensions(&self) -> usize;

    /// The most texts that one request may hold. Default: 64.
    fn request_size(&self) -> usize {
        64
    }

    /// The most requests that may be under way at once. Default: 4.
    fn concurrency(&self) -> usize {
        4
    }

    /// Embeds `texts`: one vector each, in their order.
    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a>;
}

/// Embedding failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// The provider gave another number of vectors than it was given texts, or vectors of another length.
    #[error(
        "the embedding provider `{provider}` gave {found} where {expected} was expected; check its model and dimensions"
    )]
    WrongShape {
        /// The provider's name.
        provider: String,
        /// What it should have given.
        expected: String,
        /// What it gave.
        found: String,
    },
    /// The provider failed.
    #[error("the embedding provider `{provider}` failed ({kind})")]
    Provider {
        /// The provider's name.
        provider: String,
        /// A low-cardinality word for what happened: `timeout`, `rate_limited`, an HTTP status. `400`, `413` and
        /// `422` say that something is wrong with the texts: they are tried in smaller requests.
        kind: Cow<'static, str>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EmbeddingError {
    /// Whether other texts might be taken.
    pub(super) fn is_about_texts(&self) -> bool {
        matches!(self, Self::Provider { kind, .. } if matches!(kind.as_ref(), "400" | "413" | "422"))
    }
}

impl ErrorType for EmbeddingError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::WrongShape { .. } => Cow::Borrowed("EmbeddingWrongShape"),
            Self::Provider { kind, .. } => kind.clone(),
        }
    }
}
