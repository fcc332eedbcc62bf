//! Annotating redb: names and rows come from the signatures and the returned values, and the kind of a
//! foreign error from a newtype around it.
//!
//! [`Capture`] replaces an exporter, so that the example can check its own output.

use std::borrow::Cow;
use std::path::Path;

use percolate_core::otel::ErrorType;
use percolate_core::otel::testing::Capture;
use percolate_core::{background_job, db_op, db_ops};
use redb::{Database, ReadableDatabase, TableDefinition};

/// redb's error. `error.type` is its variant, so that errors can be counted by kind.
#[derive(Debug)]
struct Error(redb::Error);

impl<E: Into<redb::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self.0 {
            redb::Error::TableDoesNotExist(_) => "TableDoesNotExist",
            redb::Error::Corrupted(_) => "Corrupted",
            redb::Error::Io(_) => "Io",
            _ => "Other",
        })
    }
}

struct Store(Database);

fn table(name: &str) -> TableDefinition<'_, &'static str, &'static str> {
    TableDefinition::new(name)
}

#[db_ops(system = "redb", namespace = "library")]
impl Store {
    fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(Database::create(path)?))
    }

    #[db_op(get, name)]
    fn get(&self, name: &str, key: &str) -> Result<Option<String>, Error> {
        let read = self.0.begin_read()?;
        let value = read.open_table(table(name))?.get(key)?;
        Ok(value.map(|value| value.value().to_owned()))
    }

    #[db_op(scan, name)]
    fn between(&self, name: &str, from: &str, to: &str) -> Result<Vec<String>, Error> {
        let read = self.0.begin_read()?;
        let rows = read.open_table(table(name))?.range(from..to)?;
        rows.map(|row| Ok(row?.1.value().to_owned())).collect()
    }

    #[db_op(batch_write, name, batch_size = rows.len())]
    fn write(&self, name: &str, rows: &[(&str, &str)]) -> Result<(), Error> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(table(name))?;
            for (key, value) in rows {
                table.insert(key, value)?;
            }
        }
        Ok(write.commit()?)
    }

    #[background_job(db.compact, "library")]
    fn compact(&mut self) -> Result<bool, Error> {
        Ok(self.0.compact()?)
    }
}

#[expect(clippy::print_stdout, reason = "the example prints its spans")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut store = Store::open(&folder.path().join("library.redb")).map_err(|error| error.0)?;
    let capture = Capture::new();
    capture
        .run(|| {
            store.write("novels", &[("emma", "1815"), ("persuasion", "1817")])?;
            assert_eq!(store.get("novels", "emma")?.as_deref(), Some("1815"));
            assert_eq!(store.between("novels", "e", "f")?, ["1815"]);
            assert!(store.get("poems", "emma").is_err());
            store.compact()?;
            Ok::<(), Error>(())
        })
        .map_err(|error| error.0)?;

    let shown = [
        "db.operation.batch.size",
        "db.response.returned_rows",
        "error.type",
    ];
    print!("{}", capture.spans().tree_with(&shown));
    capture.spans().assert_tree_with(
        &shown,
        "
        batch_write novels [client]
          | db.operation.batch.size = 2
        get novels [client]
          | db.response.returned_rows = 1
        scan novels [client]
          | db.response.returned_rows = 1
        get poems [client, error]
          | error.type = \"TableDoesNotExist\"
        db.compact library [internal]
        ",
    );
    Ok(())
}
