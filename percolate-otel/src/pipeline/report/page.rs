//! The page: the template with its style, its script and the data. Invariants: the page may run no
//! script and use no style but its own, which have a random nonce, and may request nothing; the data
//! is JSON without `<`, `>` and `&` (`json`).

use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Returns the page that shows this data.
pub(super) fn page(data: &str) -> String {
    let nonce = RandomIdGenerator::default().new_trace_id().to_string();
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + data.len());
    let mut pieces = PAGE.split("{{");
    page.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        page.push_str(match name {
            "nonce" => &nonce,
            "style" => STYLE,
            "script" => SCRIPT,
            "data" => data,
            _ => "",
        });
        page.push_str(rest);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_allows_its_own_script_and_style_and_no_request() {
        let page = page("{}");
        let policy = page
            .split_once("Content-Security-Policy\" content=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(policy, _)| policy.to_owned())
            .expect("the page has a policy");
        let (start, _) = policy.split_once("nonce-").expect("a nonce");
        assert_eq!(start, "default-src 'none'; script-src '");
        let nonce = policy
            .split('\'')
            .find_map(|word| word.strip_prefix("nonce-"));
        let nonce = nonce.expect("a nonce");
        assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        assert_eq!(nonce.len(), 32);
        assert!(policy.contains("base-uri 'none'; form-action 'none'"));
        assert!(!super::page("{}").contains(nonce), "each page has its own");
    }

    #[test]
    fn the_page_has_no_address_and_no_placeholder() {
        let page = page("{\"key\":\"{{script}}\"}");
        assert!(page.contains("{{script}}"), "data is not a template");
        let rest = page.replace("{\"key\":\"{{script}}\"}", "");
        assert!(!rest.contains("{{"));
        let page = rest.replace("http://www.w3.org/2000/svg", "");
        for text in ["http:", "https:", "src=", "url(", "@import", "innerHTML"] {
            assert!(!page.contains(text), "{text}");
        }
    }
}
