//! The traces in `docs/gallery.md`.

/// The page.
pub(crate) const PAGE: &str = include_str!("../../../docs/gallery.md");

/// Returns the trace in the section about `source`, a path in `examples`.
pub(crate) fn trace(source: &str) -> &'static str {
    let (_, section) = PAGE
        .split_once(&format!("\n\n`examples/{source}`. "))
        .unwrap_or_else(|| panic!("docs/gallery.md has no section about examples/{source}"));
    let (_, rest) = section
        .split_once("```text\n")
        .expect("the section has a trace");
    rest.split_once("```").expect("the trace ends").0
}
