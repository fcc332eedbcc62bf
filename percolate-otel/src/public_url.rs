//! URLs in messages, errors and `Debug`. Invariant: the text has no user name, no password, no query
//! string and no fragment, also of a text that is not a valid URL.

/// Returns a URL without the parts that may hold a secret.
pub(crate) fn public_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.find("://") {
        Some(end) => url.split_at(end + "://".len()),
        None => ("", url),
    };
    // A password may contain `@`, and without encoding also `/`.
    let host = rest.find('/').unwrap_or(rest.len());
    let is_password = |text: &str| {
        let port = text.rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| !port.ends_with(']') && port.parse::<u16>().is_err())
    };
    let user_end = match rest[..host].rfind('@') {
        Some(end) => end + 1,
        None if is_password(&rest[..host]) => rest.rfind('@').map_or(0, |end| end + 1),
        None => 0,
    };
    format!("{scheme}{}", &rest[user_end..])
}

#[cfg(test)]
mod tests {
    use super::public_url;

    #[test]
    fn a_public_url_has_no_secret() {
        for (url, public) in [
            ("https://user:key@host:4317/a", "https://host:4317/a"),
            ("https://user:k@y@host:4317/a", "https://host:4317/a"),
            ("https://user:k/y@host:4317/a", "https://host:4317/a"),
            ("https://token@host", "https://host"),
            ("user:key@host:4317", "host:4317"),
            ("https://host/v1/traces?api-key=x", "https://host/v1/traces"),
            ("https://host?api-key=x@y", "https://host"),
            ("https://host#key", "https://host"),
            ("http://host:4317", "http://host:4317"),
            ("http://host:4317/a@b", "http://host:4317/a@b"),
            ("http://[::1]/a@b", "http://[::1]/a@b"),
            ("", ""),
        ] {
            assert_eq!(public_url(url), public);
        }
    }
}
