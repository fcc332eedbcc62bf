//! URLs, as far as opening a database needs them.

use std::borrow::Cow;
use std::path::Path;

/// Returns whether [`Storage::open`](super::Storage::open) reads `path` as the URL of a place on an
/// object store, and not as a directory: it begins with a scheme, in any letter case, and `://`.
///
/// ```
/// use percolate_core::storage::is_url;
///
/// assert!(is_url("s3://bucket/prefix"));
/// assert!(is_url("S3://bucket/prefix"));
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

/// Returns the scheme of a text that begins like the URL of an object store, but with one slash.
pub(super) fn scheme_with_one_slash(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(":/")?;
    let is_one = ["s3", "file", "memory"].contains(&&*scheme.to_ascii_lowercase());
    (is_one && !rest.starts_with('/')).then_some(scheme)
}

/// Returns a URL with its scheme in lower case, and a directory as it is. The letter case of a scheme
/// has no meaning (RFC 3986, section 3.1); that of the rest may have one.
pub(super) fn canonical(path: &Path) -> Cow<'_, Path> {
    let Some(url) = path.to_str().filter(|text| has_scheme(text)) else {
        return Cow::Borrowed(path);
    };
    let (scheme, rest) = url.split_at(scheme(url).len());
    if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(format!("{}{rest}", scheme.to_ascii_lowercase()).into())
    } else {
        Cow::Borrowed(path)
    }
}
