//! Exports of a table as lines of JSON.
//!
//! An export reads one snapshot of the table, and holds one entity at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::Database;
use super::error::Error;
use super::supplied::Vector;
use super::vector_scans::VectorScans;
use crate::otel::replacement::{Replacement, destination};
use crate::progress::{OnProgress, Progress, Running};
use crate::schema::Schema;
use crate::schema::system::{EMBEDDED_BY, VECTORS};
use crate::{db_op, db_ops};

/// The number of entities between two reports of the progress.
const STEP: usize = 1000;

/// Options of [`Database::export_jsonl_with`].
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct ExportOptions {
    progress: OnProgress,
    vectors: bool,
}

impl ExportOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether the vectors of the entities are exported, as the same snapshot has them. Default:
    /// `false`. An import then calls no provider, and [`Vectors`](crate::Vectors) that were supplied are
    /// not lost.
    ///
    /// An entity with vectors gets the field `_vectors`, an object from the embedded fields to arrays
    /// of numbers, each the shortest decimal that is read as the same number of 32 bits. A field
    /// without a vector is left out. `_embedded_by` is an object from those fields whose vectors were
    /// not supplied to the name of the embedding provider.
    ///
    /// ```
    /// use percolate_core::{Database, ExportOptions, ImportOptions, Vectors};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// let schema = json!({ "key_field": "slug", "embedding_fields": ["body"] });
    /// db.register_schema("articles", &schema)?;
    /// let vectors = Vectors::new().set("body", [0.1; 384]);
    /// db.insert_with_vectors("articles", &json!({ "slug": "percolation" }), &vectors)?;
    /// let mut lines = Vec::new();
    /// db.export_jsonl_with("articles", &mut lines, &ExportOptions::new().vectors(true))?;
    ///
    /// db.register_schema("copies", &schema)?;
    /// db.import_jsonl("copies", &lines[..], &ImportOptions::new())?;
    /// let nearest = db.search_vector("copies", &[0.1; 384], 1, None)?;
    /// assert_eq!(nearest[0].entity.data["slug"], "percolation");
    /// # Ok(())
    /// # }
    /// ```
    pub fn vectors(mut self, vectors: bool) -> Self {
        self.vectors = vectors;
        self
    }

    #[cfg(feature = "sql")]
    pub(crate) fn has_vectors(&self) -> bool {
        self.vectors
    }

    /// Calls `report` after every 1000 entities, or after each batch, and at the end, with the number
    /// of entities written so far. The export fails with [`Error::Cancelled`] if it returns [`ControlFlow::Break`].
    pub fn on_progress(
        mut self,
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.progress = OnProgress::new(report);
        self
    }

    /// Starts the clock of an export.
    pub(crate) fn start(&self) -> Reporter {
        Reporter(self.progress.start())
    }
}

/// Reports the progress of a running export.
pub(crate) struct Reporter(Running);

impl Reporter {
    /// Reports the number of entities that were written.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the export is to end.
    pub(crate) fn report(&self, done: usize) -> Result<(), Error> {
        match self.0.notify(done, None) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}

impl Database {
    /// Writes the entities of a table as lines of JSON (JSONL, NDJSON), ordered by id. Returns their
    /// number. Each line is an object with the data and the system fields `_id`, `_created_at` and
    /// `_updated_at`; [`import_jsonl`](Self::import_jsonl) restores the same entities from them.
    /// [`ExportOptions::vectors`] adds the vectors.
    ///
    /// ```
    /// use percolate_core::{Database, ImportOptions};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({ "key_field": "slug" }))?;
    /// db.insert("articles", &json!({ "slug": "percolation" }))?;
    /// let mut lines = Vec::new();
    /// assert_eq!(db.export_jsonl("articles", &mut lines)?, 1);
    ///
    /// db.register_schema("copies", &json!({}))?;
    /// db.import_jsonl("copies", &lines[..], &ImportOptions::new())?;
    /// let (article, copy) = (db.list("articles", None, 1)?, db.list("copies", None, 1)?);
    /// assert_eq!(article, copy);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Export`] if `writer` fails, [`Error::MalformedRecord`] if an entity cannot be
    /// decoded; a handle of [`skip_malformed`](Self::skip_malformed) leaves it out. Earlier entities
    /// were written.
    pub fn export_jsonl(&self, table: &str, writer: impl Write) -> Result<usize, Error> {
        self.export_jsonl_with(table, writer, &ExportOptions::new())
    }

    /// Like [`export_jsonl`](Self::export_jsonl), with options.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if [`ExportOptions::on_progress`] ended the export; [`Error::Vector`] if
    /// vectors are exported and one has another length than those of the embedding provider; and those
    /// of [`export_jsonl`](Self::export_jsonl).
    pub fn export_jsonl_with(
        &self,
        table: &str,
        mut writer: impl Write,
        options: &ExportOptions,
    ) -> Result<usize, Error> {
        self.export(table, &mut Sink::Writer(&mut writer), options)
    }

    /// Writes a file as [`export_jsonl`](Self::export_jsonl) writes lines, and replaces the file at
    /// `path` once it is complete and on the disk. A failed export leaves the earlier file. The new
    /// file has the permissions of the earlier one, and its owner if the process may set it. The
    /// target of a symbolic link is replaced, or created, not the link.
    ///
    /// # Errors
    ///
    /// Those of [`export_jsonl_with`](Self::export_jsonl_with).
    pub fn export_jsonl_file(
        &self,
        table: &str,
        path: impl AsRef<Path>,
        options: &ExportOptions,
    ) -> Result<usize, Error> {
        self.export(table, &mut Sink::File(path.as_ref()), options)
    }
}

/// Where lines are written to.
enum Sink<'a> {
    Writer(&'a mut dyn Write),
    File(&'a Path),
}

#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    #[db_op("export", table, rows = |written| *written)]
    fn export(
        &self,
        table: &str,
        sink: &mut Sink<'_>,
        options: &ExportOptions,
    ) -> Result<usize, Error> {
        self.core.schema(table)?;
        match sink {
            Sink::Writer(writer) => self.write_lines(table, writer, options),
            Sink::File(path) => self.write_file(table, path, options),
        }
    }

    fn write_file(
        &self,
        table: &str,
        path: &Path,
        options: &ExportOptions,
    ) -> Result<usize, Error> {
        let failed = |error| Error::Export {
            table: table.to_owned(),
            error,
        };
        // A pipe or a device is written directly.
        let target = destination(path).map_err(failed)?;
        if fs::metadata(&target).is_ok_and(|earlier| !earlier.is_file()) {
            let mut file = File::options().write(true).open(target).map_err(failed)?;
            return self.write_lines(table, &mut file, options);
        }
        let mut replacement = Replacement::begin(&target).map_err(failed)?;
        let written = self.write_lines(table, replacement.file(), options)?;
        replacement.finish().map_err(failed)?;
        Ok(written)
    }

    fn write_lines(
        &self,
        table: &str,
        writer: &mut dyn Write,
        options: &ExportOptions,
    ) -> Result<usize, Error> {
        let failed = |error| Error::Export {
            table: table.to_owned(),
            error,
        };
        let progress = options.start();
        let mut writer = BufWriter::with_capacity(64 << 10, writer);
        let (snapshot, schema) = self.core.snapshot_of(table)?;
        let scans = || VectorScans::new(&self.core, &snapshot, &schema);
        let mut scans = options.vectors.then(scans).transpose()?;
        let provider = self.core.embedder().provider().name();
        let (mut written, mut line) = (0, Vec::new());
        for entity in self.scan_of(&snapshot, table)? {
            let entity = entity?;
            let vectors = scans.as_mut().map(|scans| scans.of(entity.id));
            let vectors = vectors.transpose()?.unwrap_or_default();
            line.clear();
            serde_json::to_writer(&mut line, &entity.into_json())
                .and_then(|()| add_vectors(&mut line, &schema, &vectors, provider))
                .map_err(io::Error::from)
                .and_then(|()| writer.write_all(&line))
                .and_then(|()| writer.write_all(b"\n"))
                .map_err(failed)?;
            written += 1;
            if written % STEP == 0 {
                progress.report(written)?;
            }
        }
        writer.flush().map_err(failed)?;
        progress.report(written)?;
        Ok(written)
    }
}

/// Adds the vectors of the embedded fields to the JSON of an entity, an object with other fields.
fn add_vectors(
    line: &mut Vec<u8>,
    schema: &Schema,
    vectors: &[Option<Vector>],
    provider: &str,
) -> serde_json::Result<()> {
    let fields = schema.embedding_fields().iter().zip(vectors);
    let named = fields.filter_map(|(field, vector)| Some((field, vector.as_ref()?)));
    let numbers: BTreeMap<_, _> = named
        .clone()
        .map(|(field, vector)| (field, &vector.numbers))
        .collect();
    let embedded_by: BTreeMap<_, _> = named
        .filter(|(_, vector)| !vector.is_supplied)
        .map(|(field, _)| (field, provider))
        .collect();
    let mut add = |field, json: Vec<u8>| {
        // Before the end of the object.
        line.pop();
        line.extend_from_slice(format!(",\"{field}\":").as_bytes());
        line.extend(json);
        line.push(b'}');
    };
    if !embedded_by.is_empty() {
        add(EMBEDDED_BY, serde_json::to_vec(&embedded_by)?);
    }
    if !numbers.is_empty() {
        add(VECTORS, serde_json::to_vec(&numbers)?);
    }
    Ok(())
}
