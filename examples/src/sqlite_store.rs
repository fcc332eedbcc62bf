//! Annotating a SQL client: two annotated functions run every statement, and the text of a statement
//! gives its span a name. Values are parameters; a literal in the text is replaced before it is recorded.
//!
//! [`Capture`] replaces an exporter, so that the example can check its own output.

use percolate_otel::testing::Capture;
use percolate_otel::{db_op, db_ops};
use rusqlite::{Connection, Error, Params, Result, Row, params};

/// The name of an error, `error.type`: SQLite's code, so that errors can be counted by kind.
fn kind(error: &Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => "SQLITE_CONSTRAINT",
        Some(ErrorCode::DatabaseBusy) => "SQLITE_BUSY",
        Some(ErrorCode::DiskFull) => "SQLITE_FULL",
        Some(_) => "SQLITE_ERROR",
        None => "_OTHER",
    }
}

/// The client: everything that reaches SQLite.
struct Client(Connection);

#[db_ops(system = "sqlite", namespace = "library", error_type = kind)]
impl Client {
    /// The span has the number of rows, which is the length of the returned vector.
    #[db_op(query, query_text = sql)]
    fn rows<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.0.prepare(sql)?.query_map(values, read)?.collect()
    }

    #[db_op(query, query_text = sql, affected_rows = |changed| *changed)]
    fn execute(&self, sql: &str, values: impl Params) -> Result<usize> {
        self.0.prepare(sql)?.execute(values)
    }

    /// The statements of a transaction are children of its span. An error rolls it back.
    #[db_op("transaction")]
    fn transaction<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let transaction = self.0.unchecked_transaction()?;
        let result = body()?;
        transaction.commit()?;
        Ok(result)
    }
}

/// The repository contains no telemetry.
struct Novels(Client);

impl Novels {
    fn open() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE TABLE novels (title TEXT PRIMARY KEY, author TEXT, year INTEGER)",
        )?;
        Ok(Self(Client(connection)))
    }

    fn add(&self, title: &str, author: &str, year: i64) -> Result<usize> {
        let sql = "INSERT INTO novels (title, author, year) VALUES (?1, ?2, ?3)";
        self.0.execute(sql, params![title, author, year])
    }

    fn add_all(&self, novels: &[(&str, &str, i64)]) -> Result<usize> {
        self.0.transaction(|| {
            novels
                .iter()
                .map(|(title, author, year)| self.add(title, author, *year))
                .sum()
        })
    }

    fn before_1800(&self, author: &str) -> Result<Vec<String>> {
        let sql = "SELECT title FROM novels WHERE year < 1800 AND author = ?1 ORDER BY year";
        self.0.rows(sql, [author], |row| row.get(0))
    }
}

#[expect(clippy::print_stdout, reason = "the example prints its spans")]
fn main() -> Result<()> {
    let novels = Novels::open()?;
    let capture = Capture::new();
    capture.run(|| {
        novels.add("Evelina", "Burney", 1778)?;
        let again = novels.add_all(&[("Cecilia", "Burney", 1782), ("Evelina", "Burney", 1778)]);
        assert!(again.is_err(), "the title is unique");
        assert_eq!(novels.before_1800("Burney")?, ["Evelina"]);
        Ok::<(), Error>(())
    })?;

    let shown = [
        "db.query.text",
        "db.response.affected_rows",
        "db.response.returned_rows",
        "error.type",
    ];
    print!("{}", capture.spans().tree_with(&shown));
    capture.spans().assert_tree_with(
        &shown,
        "
        INSERT novels [client]
          | db.query.text = \"INSERT INTO novels (title, author, year) VALUES (?1, ?2, ?3)\"
          | db.response.affected_rows = 1
        transaction library [client, error]
          | error.type = \"SQLITE_CONSTRAINT\"
          INSERT novels [client]
            | db.query.text = \"INSERT INTO novels (title, author, year) VALUES (?1, ?2, ?3)\"
            | db.response.affected_rows = 1
          INSERT novels [client, error]
            | db.query.text = \"INSERT INTO novels (title, author, year) VALUES (?1, ?2, ?3)\"
            | error.type = \"SQLITE_CONSTRAINT\"
        SELECT novels [client]
          | db.query.text = \"SELECT title FROM novels WHERE year < ? AND author = ?1 ORDER BY year\"
          | db.response.returned_rows = 1
        ",
    );
    Ok(())
}
