//! The trait of embedding providers, and their error.

use std::borrow::Cow;
use std::fmt::Debug;
use std::pin::Pin;

use crate::otel::ErrorType;

/// The future of an embedding request.
pub type EmbeddingFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>, EmbeddingError>> + Send + 'a>>;

/// Converts texts to vectors of one length. Similar texts have vectors with a similar direction.
pub trait EmbeddingProvider: Debug + Send + Sync {
    /// Returns a name that identifies the vectors. Vectors of providers with different names cannot
    /// be compared.
    fn name(&self) -> &str;

    /// Returns the length of the vectors.
    fn dimensions(&self) -> usize;

    /// Returns the maximum number of texts in one request. Default: 64.
    fn request_size(&self) -> usize {
        64
    }

    /// Returns the maximum number of concurrent requests. Default: 4.
    fn concurrency(&self) -> usize {
        4
    }

    /// Embeds `texts`. Returns one vector for each, in order.
    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a>;
}

/// An error of an embedding request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// The provider returned another number of vectors than there were texts, or vectors of another
    /// length.
    #[error(
        "the embedding provider `{provider}` gave {found} where {expected} was expected; check its model and dimensions"
    )]
    WrongShape {
        /// The provider's name.
        provider: String,
        /// What it should have returned.
        expected: String,
        /// What it returned.
        found: String,
    },
    /// The provider failed.
    #[error("the embedding provider `{provider}` failed ({kind})")]
    Provider {
        /// The provider's name.
        provider: String,
        /// A low-cardinality name of the error: `timeout`, `rate_limited`, an HTTP status. `400`,
        /// `413` and `422` mean that the texts were rejected; they are sent again in smaller
        /// requests.
        kind: Cow<'static, str>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EmbeddingError {
    /// Returns whether other texts might be accepted.
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
