//! Annotating your own engine: names, rows, errors and the metric are read from the signature and
//! the return value.
//!
//! The engine is a map in memory. [`Capture`] replaces an exporter, so that the example can check
//! its own output.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use percolate_core::db_op;
use percolate_core::otel::ErrorType;
use percolate_core::otel::testing::Capture;

#[derive(Default)]
struct Shelf {
    books: BTreeMap<String, String>,
    sealed: bool,
}

impl Shelf {
    #[db_op(get, "books", system = "shelf")]
    fn get(&self, isbn: &str) -> Option<&String> {
        self.books.get(isbn)
    }

    #[db_op(scan, "books", system = "shelf")]
    fn in_series(&self, series: &str) -> Vec<&String> {
        self.books
            .values()
            .filter(|title| title.starts_with(series))
            .collect()
    }

    #[db_op(put, "books", system = "shelf")]
    fn put(&mut self, isbn: &str, title: &str) -> Result<(), ShelfError> {
        if self.sealed {
            return Err(ShelfError::Sealed);
        }
        self.books.insert(isbn.to_owned(), title.to_owned());
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum ShelfError {
    Sealed,
}

/// Sets `error.type`, so that errors can be counted by kind.
impl ErrorType for ShelfError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed("Sealed")
    }
}

impl fmt::Display for ShelfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shelf is sealed")
    }
}

#[expect(clippy::print_stdout, reason = "the example prints its spans")]
fn main() {
    let capture = Capture::new();
    capture.run(|| {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.put("978-0", "Atlas: Rivers"), Ok(()));
        assert_eq!(shelf.put("978-1", "Primer: Wells"), Ok(()));
        assert_eq!(shelf.get("978-2"), None);
        assert_eq!(shelf.in_series("Atlas").len(), 1);
        shelf.sealed = true;
        assert_eq!(
            shelf.put("978-2", "Primer: Springs"),
            Err(ShelfError::Sealed)
        );
    });

    let shown = ["db.response.returned_rows", "error.type"];
    print!("{}", capture.spans().tree_with(&shown));
    capture.spans().assert_tree_with(
        &shown,
        "
        put books [client]
        put books [client]
        get books [client]
          | db.response.returned_rows = 0
        scan books [client]
          | db.response.returned_rows = 1
        put books [client, error]
          | error.type = \"Sealed\"
        ",
    );

    let metrics = capture.metrics();
    let puts =
        |attributes: &[(&str, &str)]| metrics.count("db.client.operation.duration", attributes);
    assert_eq!(puts(&[("db.operation.name", "put")]), 3);
    assert_eq!(
        puts(&[("db.operation.name", "put"), ("error.type", "Sealed")]),
        1
    );
    println!("\nmetrics: 3 puts, 1 of which failed with Sealed");
}
