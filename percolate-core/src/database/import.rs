//! Imports of rows into a table: JSON lines, and rows of any other source.
//!
//! A source is read in batches, and each batch is one atomic write. An import that aborts on errors
//! checks all rows before the first write. It reads a file twice, and keeps the rows of any other
//! source in a [`Spool`] meanwhile. No lock is held while a source is read.

pub(super) mod lines;
pub(super) mod options;
pub(super) mod report;
pub(super) mod row;
mod spool;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use self::lines::Lines;
use self::options::{Existing, ImportOptions, OnError};
use self::report::ImportReport;
use self::row::{ImportRow, Row};
use self::spool::Spool;
use super::Database;
use super::changes::{Changes, data_record};
use super::computed::Computed;
use super::core::{Core, Old};
use super::error::Error;
use super::supplied::Vectors;
use crate::progress::Running;
use crate::schema::Schema;
use crate::schema::entity::Record;
use crate::schema::system::Imported;
use crate::storage::WriteError;
use crate::{db_op, db_ops};

/// The bytes of lines after which a batch ends.
const BATCH_BYTES: usize = 8 << 20;

type Rows<'a> = Box<dyn Iterator<Item = io::Result<Row>> + 'a>;

/// Where rows come from.
enum Source<'a> {
    /// A file that can be read again.
    File(File),
    Rows(Rows<'a>),
}

impl Database {
    /// Imports entities from lines of JSON (JSONL, NDJSON), each with one object. Blank lines are
    /// ignored.
    ///
    /// The lines are read and written in batches, so that the memory does not depend on their
    /// number. Each batch is one atomic write. A line that cannot be written is refused, with its
    /// number and the reason: it is not JSON or not UTF-8, is too long, does not match the schema,
    /// has no key, or belongs to an entity that exists.
    ///
    /// With [`OnError::Abort`], the default, all lines are checked before the first one is written,
    /// and a refused line fails the import with [`Error::RowsRefused`]. Nothing is written then,
    /// unless another thread wrote the same entities or changed the schema between the check and
    /// the write: the report has the number of rows that were written before. The lines wait in
    /// memory up to 8 MiB, and beyond that in a temporary file without a name;
    /// [`import_jsonl_file`](Self::import_jsonl_file) reads the file twice instead. With
    /// [`Existing::Error`], 16 bytes of each entity stay in memory, in a hash table, to find
    /// repeated ones. With [`OnError::Skip`], the lines are read once, and the others are written.
    ///
    /// `_id`, `_created_at` and `_updated_at` in a line are those of the entity, so that an import
    /// of what [`export_jsonl`](Self::export_jsonl) wrote restores the same entities. If the table
    /// has a key field, the id is that of the key, and `_id` is ignored: the lines may come from
    /// another table or tenant. A time that is missing is the current one. An entity that exists and
    /// is replaced gets a later time than it has.
    ///
    /// `_vectors` and `_embedded_by` in a line are the [`Vectors`](crate::Vectors) of the entity, so
    /// that an import of an export with [`ExportOptions::vectors`](crate::ExportOptions::vectors) calls
    /// no provider. A line is refused if a vector does not fit the embedding provider of this database:
    /// it has another length, or another provider created it.
    /// [`ImportOptions::ignore_vectors`] imports such lines without their vectors. Whether a vector
    /// belongs to the text of its line is not checked.
    ///
    /// ```
    /// use percolate_core::{Database, ImportOptions, OnError};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({ "key_field": "slug" }))?;
    /// let lines = "{\"slug\": \"percolation\"}\n{\"slug\": }\n";
    /// let options = ImportOptions::new().on_error(OnError::Skip);
    /// let report = db.import_jsonl("articles", lines.as_bytes(), &options)?;
    /// assert_eq!((report.written, report.refused), (1, 1));
    /// assert_eq!(report.errors[0].to_string(), "line 2: invalid JSON at column 10: expected value");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::RowsRefused`] with the report; [`Error::Import`] if the source cannot be read;
    /// [`Error::ImportStopped`] with the number of rows that were written if an error occurs after
    /// the first batch.
    pub fn import_jsonl(
        &self,
        table: &str,
        reader: impl BufRead,
        options: &ImportOptions,
    ) -> Result<ImportReport, Error> {
        let lines = Lines::new(reader, options.max_line_length);
        self.import(table, Source::Rows(Box::new(lines)), options)
    }

    /// Imports a file as [`import_jsonl`](Self::import_jsonl) does. With [`OnError::Abort`], the
    /// file is read twice. It should not change meanwhile: bytes that are appended are ignored, and
    /// lines that were changed can be refused after others were written.
    ///
    /// # Errors
    ///
    /// Those of [`import_jsonl`](Self::import_jsonl).
    pub fn import_jsonl_file(
        &self,
        table: &str,
        path: impl AsRef<Path>,
        options: &ImportOptions,
    ) -> Result<ImportReport, Error> {
        let opened = File::open(path.as_ref()).and_then(|file| {
            let is_file = file.metadata()?.is_file();
            Ok((file, is_file))
        });
        let source = match opened {
            Ok((file, true)) => Source::File(file),
            Ok((file, false)) => {
                let lines = Lines::new(BufReader::new(file), options.max_line_length);
                Source::Rows(Box::new(lines))
            }
            Err(error) => {
                return Err(Error::Import {
                    table: table.to_owned(),
                    error,
                });
            }
        };
        self.import(table, source, options)
    }

    /// Imports rows of any source as [`import_jsonl`](Self::import_jsonl) imports lines. The rows
    /// are numbered from 1, and blank lines are ignored. An error of the iterator ends the import.
    ///
    /// # Errors
    ///
    /// Those of [`import_jsonl`](Self::import_jsonl).
    pub fn import_rows(
        &self,
        table: &str,
        rows: impl IntoIterator<Item = io::Result<ImportRow>>,
        options: &ImportOptions,
    ) -> Result<ImportReport, Error> {
        let max_length = options.max_line_length;
        let rows = (1..).zip(rows).filter_map(move |(number, row)| {
            row.map(|row| lines::accepted(number, row, max_length))
                .transpose()
        });
        self.import(table, Source::Rows(Box::new(rows)), options)
    }
}

#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    #[db_op(
        "import",
        table,
        batch_size = |report| report.written,
        affected_rows = |report| report.written,
        rows = none
    )]
    fn import(
        &self,
        table: &str,
        source: Source<'_>,
        options: &ImportOptions,
    ) -> Result<ImportReport, Error> {
        self.core.schema(table)?;
        if self.storage().is_read_only() {
            return Err(WriteError::ReadOnly.into());
        }
        let mut import = Import {
            core: &self.core,
            table,
            options,
            running: options.progress.start(),
            total: None,
            report: ImportReport::default(),
        };
        match import.run(source) {
            Ok(()) => Ok(import.report),
            Err(error @ Error::RowsRefused { .. }) => Err(error),
            Err(error) if import.report.written == 0 => Err(error),
            Err(error) => Err(Error::ImportStopped {
                table: table.to_owned(),
                written: import.report.written,
                error: Box::new(error),
            }),
        }
    }
}

/// A running import.
struct Import<'a> {
    core: &'a Core,
    table: &'a str,
    options: &'a ImportOptions,
    running: Running,
    /// The number of rows, once they were checked.
    total: Option<usize>,
    report: ImportReport,
}

/// A row that fits the schema.
struct Checked {
    line: usize,
    /// The id that the row names by its key or its `_id`.
    named: Option<Uuid>,
    row: Imported,
    vectors: Vectors,
}

impl Import<'_> {
    fn run(&mut self, source: Source<'_>) -> Result<(), Error> {
        match (self.options.on_error, source) {
            (OnError::Skip, Source::Rows(rows)) => self.write(rows),
            (OnError::Skip, Source::File(file)) => self.write(self.lines(file)),
            (OnError::Abort, Source::Rows(rows)) => {
                let mut spool = Spool::new();
                self.check(rows, Some(&mut spool))?;
                let rows = spool.rows().map_err(|error| self.unreadable(error))?;
                self.write_checked(Box::new(rows))
            }
            (OnError::Abort, Source::File(mut file)) => {
                let again = file.try_clone().map_err(|error| self.unreadable(error))?;
                self.check(self.lines(again), None)?;
                let read = file.stream_position();
                let length = read.and_then(|length| file.rewind().map(|()| length));
                let length = length.map_err(|error| self.unreadable(error))?;
                self.write_checked(self.lines(file.take(length)))
            }
        }
    }

    fn lines<'r>(&self, reader: impl io::Read + 'r) -> Rows<'r> {
        let lines = Lines::new(BufReader::new(reader), self.options.max_line_length);
        Box::new(lines)
    }

    /// Checks all rows, and refuses those of entities that exist or are repeated if this is wanted.
    /// Adds them to the spool until one is refused.
    ///
    /// # Errors
    /// [`Error::RowsRefused`] if rows were refused.
    fn check(&mut self, mut rows: Rows<'_>, mut spool: Option<&mut Spool>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        while let Some(batch) = self.next_batch(&mut rows)? {
            let schema = self.core.schema(self.table)?;
            let mut checked = Vec::with_capacity(batch.len());
            for Row { line, row } in batch {
                if let Some(spool) = spool.as_mut().filter(|_| self.report.refused == 0) {
                    let kept = match &row {
                        ImportRow::Line(json) => spool.add(line, json),
                        ImportRow::Data(data) => {
                            let json = serde_json::to_vec(data).map_err(io::Error::other);
                            json.and_then(|json| spool.add(line, &json))
                        }
                        ImportRow::Invalid(_) => Ok(()),
                    };
                    kept.map_err(|error| self.unreadable(error))?;
                }
                checked.extend(self.check_row(&schema, line, &row));
            }
            if self.options.existing == Existing::Error {
                self.refuse_existing(&checked, &mut seen)?;
            }
            self.report.cut();
            if self.notify().is_break() {
                return Ok(());
            }
        }
        self.refuse_all()
    }

    /// Refuses rows of entities that exist, or that earlier rows have.
    fn refuse_existing(&mut self, rows: &[Checked], seen: &mut HashSet<Uuid>) -> Result<(), Error> {
        let named = rows.iter().filter_map(|row| Some((row.line, row.named?)));
        let (lines, ids): (Vec<usize>, Vec<Uuid>) = named.unzip();
        let old = self.core.old_batch(self.table, &ids)?;
        for ((line, id), old) in lines.into_iter().zip(ids).zip(old) {
            if is_taken(&old) {
                self.report.refuse(line, Taken(id));
            } else if !seen.insert(id) {
                self.report
                    .refuse(line, "an earlier row has the same key or `_id`");
            }
        }
        Ok(())
    }

    /// Fails if rows were refused.
    fn refuse_all(&self) -> Result<(), Error> {
        match self.report.refused {
            0 => Ok(()),
            _ => Err(Error::RowsRefused {
                table: self.table.to_owned(),
                report: Box::new(self.report.clone()),
            }),
        }
    }

    /// Writes rows that were checked.
    fn write_checked(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        if self.report.cancelled {
            return Ok(());
        }
        self.total = Some(self.report.rows);
        self.report.rows = 0;
        self.write(rows)
    }

    fn write(&mut self, mut rows: Rows<'_>) -> Result<(), Error> {
        while let Some(batch) = self.next_batch(&mut rows)? {
            self.write_batch(&batch)?;
            if self.notify().is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the next batch and counts its rows. Returns `None` at the end of the source.
    fn next_batch(&mut self, rows: &mut Rows<'_>) -> Result<Option<Vec<Row>>, Error> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.options.batch_size && bytes < BATCH_BYTES {
            let Some(row) = rows.next() else { break };
            let row = row.map_err(|error| self.unreadable(error))?;
            if let ImportRow::Line(line) = &row.row {
                bytes += line.len();
            }
            batch.push(row);
        }
        self.report.rows += batch.len();
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// Writes the rows of a batch that can be written, in one atomic write. With
    /// [`OnError::Abort`], writes none if one is refused.
    fn write_batch(&mut self, batch: &[Row]) -> Result<(), Error> {
        let core = self.core;
        let before = self.report.clone();
        let written = core.with_vectors(|computed| {
            self.report.clone_from(&before);
            self.try_batch(batch, computed)
        });
        if written.is_err() {
            // The attempt that found texts to embed has counted its rows.
            self.report.written = before.written;
            self.report.unchanged = before.unchanged;
        }
        written
    }

    fn try_batch(&mut self, batch: &[Row], computed: &Computed) -> Result<(), Error> {
        let core = self.core;
        let _steady = core.steady();
        let schema = core.schema(self.table)?;
        let mut rows = Vec::with_capacity(batch.len());
        for Row { line, row } in batch {
            rows.extend(self.check_row(&schema, *line, row));
        }
        let ids: Vec<Uuid> = rows
            .iter()
            .map(|row| row.named.unwrap_or_else(Uuid::now_v7))
            .collect();
        let _locks = core.lock_all(&ids);
        let old = core.old_batch(self.table, &ids)?;
        let stored = self.stored_vectors(&schema, &rows, &ids)?;
        let mut changes = Changes::new(core, computed);
        let (mut written, mut unchanged) = (0, 0);
        for ((row, id), old) in rows.into_iter().zip(ids).zip(old) {
            let Checked {
                line, row, vectors, ..
            } = row;
            let earlier = changes.stored_after(self.table, id);
            let now = earlier.unwrap_or(&old);
            let has_vectors = || changes.has_vectors(&schema, (id, now), &vectors, &stored);
            match (self.options.existing, is_taken(now)) {
                (Existing::Error, true) => {
                    self.report.refuse(line, Taken(id));
                    continue;
                }
                (Existing::Skip, true) => {
                    unchanged += 1;
                    continue;
                }
                (Existing::Replace, true) if equals(now, &row) && has_vectors() => {
                    unchanged += 1;
                    continue;
                }
                _ => {}
            }
            let record = record_of(row, now);
            changes.store(&schema, id, old, record, &vectors);
            written += 1;
        }
        self.report.cut();
        if self.options.on_error == OnError::Abort {
            self.refuse_all()?;
        }
        if written > 0 {
            changes.commit()?;
        }
        self.report.written += written;
        self.report.unchanged += unchanged;
        Ok(())
    }

    /// Returns the stored vectors of the entities that are replaced by rows with vectors.
    fn stored_vectors(
        &self,
        schema: &Schema,
        rows: &[Checked],
        ids: &[Uuid],
    ) -> Result<HashMap<(Uuid, usize), Vec<u8>>, Error> {
        let with_vectors = rows.iter().zip(ids).filter(|(row, _)| {
            self.options.existing == Existing::Replace && !row.vectors.is_empty()
        });
        let ids: Vec<Uuid> = with_vectors.map(|(_, id)| *id).collect();
        self.core.stored_vectors(schema, &ids)
    }

    /// Checks a row against the schema, and refuses it if it does not fit.
    fn check_row(&mut self, schema: &Arc<Schema>, line: usize, row: &ImportRow) -> Option<Checked> {
        let data = match row {
            ImportRow::Line(json) => lines::parse(json),
            ImportRow::Data(data) => Ok(data.clone()),
            ImportRow::Invalid(reason) => Err(reason.clone()),
        };
        let checked = data.and_then(|data| {
            self.checked(schema, line, data)
                .map_err(|error| error.to_string())
        });
        match checked {
            Ok(checked) => Some(checked),
            Err(reason) => {
                self.report.refuse(line, reason);
                None
            }
        }
    }

    fn checked(&self, schema: &Schema, line: usize, data: Value) -> Result<Checked, Error> {
        let mut row = schema.imported(data)?;
        let mut vectors = std::mem::take(&mut row.vectors);
        vectors.retain(|field| !self.options.ignores(field));
        let vectors = self.core.vectors_of(schema, vectors, Cow::default())?;
        schema.check_rules(&row.data)?;
        let named = match schema.key_of(&row.data)? {
            // `_id` may be that of another table or tenant.
            Some(key) => Some(self.core.id_of_key(self.table, &key)),
            None => row.id,
        };
        Ok(Checked {
            line,
            named,
            row,
            vectors: vectors.into_owned(),
        })
    }

    /// Reports the progress. Returns whether to go on.
    fn notify(&mut self) -> std::ops::ControlFlow<()> {
        let flow = self.running.notify(self.report.rows, self.total);
        self.report.cancelled |= flow.is_break();
        flow
    }

    /// The error of a source that cannot be read.
    fn unreadable(&self, error: io::Error) -> Error {
        Error::Import {
            table: self.table.to_owned(),
            error,
        }
    }
}

/// The reason why a row of an existing entity is refused.
struct Taken(Uuid);

impl std::fmt::Display for Taken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "entity {}, with the same key or `_id`, exists",
            self.0
        )
    }
}

fn is_taken(old: &Old) -> bool {
    matches!(old, Old::Live(_) | Old::Malformed(..))
}

/// Returns whether an entity has the data of a row, and the times that the row names. Its vectors are
/// not compared.
fn equals(now: &Old, row: &Imported) -> bool {
    let Old::Live(live) = now else {
        return false;
    };
    live.data == row.data
        && row.created_at.is_none_or(|at| at == live.created_at)
        && row.updated_at.is_none_or(|at| at == live.updated_at)
}

/// Returns the record of a row. Its times are those of the row, but the time of the last write is
/// later than the one that it replaces.
fn record_of(row: Imported, now: &Old) -> Record {
    let default = data_record(&row.data, now);
    let (created_at, changed_at) = (default.created_at, default.updated_at);
    let updated_at = match (row.updated_at, now) {
        (Some(at), Old::Live(live)) => at.later_than(live.updated_at),
        (at, _) => at.unwrap_or(changed_at),
    };
    Record {
        deleted: false,
        created_at: row.created_at.unwrap_or(created_at.min(updated_at)),
        updated_at,
        data: row.data,
    }
}
