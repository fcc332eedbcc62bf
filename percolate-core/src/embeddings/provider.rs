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
        "the embedding provider `{provider}` returned {found}, but {expected} were expected; check its model and dimensions"
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
        /// A low-cardinality name of the error: `timeout`, `rate_limited`, an HTTP status.
        ///
        /// Some kinds are errors of the service: `configuration`, kinds that contain `timeout`,
        /// `connect`, `rate_limit`, `ratelimit` or `authentication` in any case, the exceptions that
        /// end a Python program, and the statuses
        /// 401, 403 to 405, 407, 408, 429 and 501 to 504. After any other error the texts are sent
        /// again in smaller requests, because one of them may be the cause.
        kind: Cow<'static, str>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EmbeddingError {
    /// Returns whether the texts may be the cause, so that other texts might be accepted.
    pub(crate) fn is_about_texts(&self) -> bool {
        let Self::Provider { kind, .. } = self else {
            return true;
        };
        let kind = kind.to_ascii_lowercase();
        let is_status = matches!(
            kind.as_str(),
            "401" | "403" | "404" | "405" | "407" | "408" | "429" | "501" | "502" | "503" | "504"
        );
        let words = [
            "configuration",
            "timeout",
            "connect",
            "rate_limit",
            "ratelimit",
            "authentication",
            // Python's exceptions that end the program.
            "systemexit",
            "keyboardinterrupt",
        ];
        !is_status && !words.iter().any(|word| kind.contains(word))
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
