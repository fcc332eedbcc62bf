//! URLs, as far as opening a database needs them.

use std::path::Path;

/// Returns whether [`Storage::open`](super::Storage::open) reads `path` as the URL of a place on an
/// object store, and not as a directory: it begins with a scheme and `://`.
///
/// ```
/// use percolate_core::storage::is_url;
///
/// assert!(is_url("s3://bucket/prefix"));
/// assert!(!is_url("./s3:/bucket"));
/// ```
pub fn is_url(path: impl AsRef<Path>) -> bool {
    path.as_ref().to_str().is_some_and(has_scheme)
}

/// Returns the scheme of a URL.
pub(super) fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

/// Returns whether the text begins with the scheme of a URL. A directory can be named like this
/// only if it is written as `./s3:/…`.
pub(super) fn has_scheme(text: &str) -> bool {
    let scheme = scheme(text);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}
