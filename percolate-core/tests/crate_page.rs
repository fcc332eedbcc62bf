//! The program of the crate page, and the trace that the page shows.

use percolate_core::Database;
use percolate_core::testing::Capture;
use serde_json::json;

fn library(db: &Database) -> Result<(), percolate_core::Error> {
    let schema = json!({
        "properties": { "slug": { "type": "string" }, "year": { "type": "integer" } },
        "key_field": "slug",
        "indexed_fields": ["year"],
    });
    db.register_schema("articles", &schema)?;
    db.insert("articles", &json!({ "slug": "percolation", "year": 1957 }))?;
    let found = db.find("articles", "year", 1950..1960)?;
    assert_eq!(found[0].data["slug"], "percolation");
    let mut batch = db.batch();
    batch.update("articles", "percolation", &json!({ "year": 1958 }))?;
    batch.commit()?;
    assert_eq!(db.count("articles")?, 1);
    Ok(())
}

const PAGE: &str = include_str!("../README.md");

/// The first block of code of the page in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("```{language}\n"))
        .expect("it has one");
    rest.split_once("```").expect("it ends").0
}

#[test]
fn the_program_of_the_page_is_this_one() {
    let here = include_str!("crate_page.rs");
    let (program, _) = block("rust")
        .split_once("\n\nlet ")
        .expect("it calls the function");
    for line in program.lines() {
        assert!(here.lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn the_trace_on_the_page_is_that_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path().join("library")).unwrap();
    let capture = Capture::new();
    capture.run(|| library(&db)).unwrap();
    let spans = capture.spans();
    let tree = spans.tree_with(&["db.response.returned_rows"]);
    assert_eq!(tree.trim(), block("text").trim());
}
