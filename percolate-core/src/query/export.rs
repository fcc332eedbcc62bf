//! The entities of a table as Arrow batches, with the columns that queries have.

use std::io;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use serde_json::Value;

use super::columns::{arrow_schema, columns_of};
use super::rows::{BatchBuilder, RowReader};
use super::vector_columns::VectorColumns;
use crate::database::error::Error;
use crate::database::vector_scans::VectorScans;
use crate::database::{Database, ExportOptions};
use crate::storage::column_families::ENTITIES;
use crate::storage::{ScanRange, keys};
use crate::{db_op, db_ops};

/// The rows of a batch, and the bytes of their records after which it ends.
const ROWS: usize = 65_536;
const BYTES: usize = 16 << 20;

type Write<'a> = dyn FnMut(RecordBatch) -> io::Result<()> + 'a;

impl Database {
    /// Passes the entities of a table to `write` as Arrow batches, ordered by id. Returns their
    /// number. A batch has up to 65,536 rows, and ends when their records have 16 MiB. If there are
    /// no entities, it is called with an empty batch.
    ///
    /// The columns are those of `SELECT *`: `_id`, the properties of the schema, `_created_at` and
    /// `_updated_at`. Fields that the schema does not list have no column, and values that do not
    /// match it are null; [`export_jsonl`](Self::export_jsonl) writes everything. The export reads
    /// one snapshot.
    ///
    /// With [`ExportOptions::vectors`], a table with embedded fields has two columns more, `_embedded_by`
    /// and `_vectors`: structs with a field for each embedded field, text and a `FixedSizeList` of
    /// `Float32`. A batch then also ends when its vectors and records have 16 MiB.
    ///
    /// ```
    /// use percolate_core::{Database, ExportOptions};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({ "properties": { "year": { "type": "integer" } } }))?;
    /// db.insert("articles", &json!({ "year": 1957 }))?;
    /// let mut batches = Vec::new();
    /// let write = |batch| {
    ///     batches.push(batch);
    ///     Ok(())
    /// };
    /// assert_eq!(db.export_arrow("articles", &ExportOptions::new(), write)?, 1);
    /// assert_eq!(batches[0].num_columns(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Export`] if `write` fails, or the schema has no properties; [`Error::Cancelled`],
    /// [`Error::MalformedRecord`] and [`Error::Vector`] as for
    /// [`export_jsonl_with`](Self::export_jsonl_with).
    pub fn export_arrow(
        &self,
        table: &str,
        options: &ExportOptions,
        mut write: impl FnMut(RecordBatch) -> io::Result<()>,
    ) -> Result<usize, Error> {
        self.export_batches(table, options, &mut write)
    }
}

#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    #[db_op("export", table, rows = |written| *written)]
    fn export_batches(
        &self,
        table: &str,
        options: &ExportOptions,
        write: &mut Write<'_>,
    ) -> Result<usize, Error> {
        let failed = |error| Error::Export {
            table: table.to_owned(),
            error,
        };
        let progress = options.start();
        let (snapshot, schema) = self.core.snapshot_of(table)?;
        if !schema
            .source()
            .get("properties")
            .is_some_and(Value::is_object)
        {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the schema has no properties, which are the columns; use export_jsonl",
            )));
        }
        let columns = columns_of(&schema);
        let arrow = arrow_schema(&columns);
        let reader = RowReader::new(arrow, &columns, 0..columns.len(), Vec::new());
        let vectors = || {
            let scans = VectorScans::new(&self.core, &snapshot, &schema)?;
            Ok::<_, Error>((scans, VectorColumns::new(&self.core, &schema)))
        };
        let mut vectors = options.has_vectors().then(vectors).transpose()?;
        let mut finish = |batch: BatchBuilder<'_>, columns: Option<&mut VectorColumns>| {
            let finished = batch
                .finish()
                .map_err(|error: ArrowError| io::Error::other(error));
            let finished = finished.and_then(|batch| match columns {
                Some(columns) => columns.add_to(batch),
                None => Ok(batch),
            });
            finished.and_then(&mut *write).map_err(failed)
        };
        let range = ScanRange::prefix(keys::table_prefix(self.core.table_name(table)));
        let (mut batch, mut bytes, mut written) = (reader.batch(), 0, 0);
        for entry in snapshot.scan(ENTITIES, range)? {
            let (key, record) = entry?;
            let (_, _, id) = keys::parse_entity_key(&key)?;
            let rows = batch.rows();
            let pushed = batch
                .push(id, &record)
                .map_err(|reason| Error::MalformedRecord {
                    table: table.to_owned(),
                    id,
                    reason,
                });
            self.core.skipping(pushed.map(Some))?;
            bytes += record.len();
            if let Some((scans, columns)) = &mut vectors
                && batch.rows() > rows
            {
                bytes += columns.push(scans.of(id)?);
            }
            if batch.rows() == ROWS || bytes >= BYTES {
                written += batch.rows();
                let full = std::mem::replace(&mut batch, reader.batch());
                finish(full, vectors.as_mut().map(|(_, columns)| columns))?;
                bytes = 0;
                progress.report(written)?;
            }
        }
        if batch.rows() > 0 || written == 0 {
            written += batch.rows();
            finish(batch, vectors.as_mut().map(|(_, columns)| columns))?;
        }
        progress.report(written)?;
        Ok(written)
    }
}
