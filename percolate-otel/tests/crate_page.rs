//! The program of the crate page, and the trace that the page shows.

use std::collections::BTreeMap;

use percolate_otel::testing::Capture;
use percolate_otel::{background_job, db_op};

#[derive(Default)]
struct Store(BTreeMap<String, String>);

impl Store {
    #[db_op(put, collection, system = "kv")]
    fn put(&mut self, collection: &str, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    #[db_op(get, collection, system = "kv")]
    fn get(&self, collection: &str, key: &str) -> Result<&str, std::io::Error> {
        let value = self.0.get(key).map(String::as_str);
        value.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    #[background_job(index.build, "novels", batch_size = |found| *found)]
    fn check(&self) -> Result<usize, std::io::Error> {
        self.get("novels", "emma")?;
        Ok(self.0.len())
    }
}

#[expect(clippy::unwrap_used, reason = "as on the page")]
fn program() {
    let mut store = Store::default();
    store.put("novels", "emma", "1815");
    assert_eq!(store.check().unwrap(), 1);
    assert!(store.get("novels", "persuasion").is_err());
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
    let here: Vec<&str> = here.lines().map(str::trim).collect();
    let lines = block("rust").lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("use ")) {
        assert!(here.contains(&line), "{line}");
    }
}

#[test]
fn the_trace_on_the_page_is_that_of_the_program() {
    let capture = Capture::new();
    capture.run(program);
    let shown = [
        "db.response.returned_rows",
        "error.type",
        "job.batch_size",
        "job.status",
    ];
    let spans = capture.spans();
    assert_eq!(spans.tree_with(&shown).trim(), block("text").trim());
}
