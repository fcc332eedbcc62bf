//! URLs, as far as opening a database needs them.

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
