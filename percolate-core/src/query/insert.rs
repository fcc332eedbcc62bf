//! Entities from Arrow data: each row of a batch is a row of an import.

use std::collections::BTreeSet;
use std::io;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use serde_json::{Map, Value};

use super::arrow_json::{self, Form, Values};
use crate::database::error::Error;
use crate::database::{Database, ImportOptions, ImportReport, ImportRow};
use crate::schema::Schema;
use crate::schema::system::{is_system_field, is_vector_field};

/// The number of rows that are converted at a time.
const ROWS: usize = 1000;

impl Database {
    /// Inserts the rows of Arrow batches, as [`import_rows`](Self::import_rows) imports rows. Each
    /// column is a field, and `_id`, `_created_at`, `_updated_at`, `_vectors` and `_embedded_by` are the
    /// system fields, as [`export_arrow`](Self::export_arrow) writes them. `schema` is the schema of
    /// all batches.
    ///
    /// Values have the form that a query returns as the same value: dates and times are text of ISO
    /// 8601, structs and maps are objects. A decimal is text where the schema of the table allows
    /// only text, otherwise a number. Text in a column whose field cannot be text is JSON. A null
    /// is stored if the schema names null among the types of the field; otherwise the field is left
    /// out. A row with a float that is not finite is refused.
    ///
    /// ```
    /// use percolate_core::{Database, ImportOptions};
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// let schema = json!({ "properties": { "slug": { "type": "string" } }, "key_field": "slug" });
    /// db.register_schema("articles", &schema)?;
    /// db.register_schema("copies", &schema)?;
    /// db.insert("articles", &json!({ "slug": "percolation" }))?;
    /// let result = db.query("SELECT * FROM articles").await?;
    /// let (schema, batches) = (result.schema().clone(), result.into_batches());
    /// let batches = batches.into_iter().map(Ok);
    /// let report = db.insert_arrow("copies", &schema, batches, &ImportOptions::new())?;
    /// assert_eq!(report.written, 1);
    /// assert!(db.lookup("copies", "percolation")?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Import`] if a column has a type that JSON cannot represent, such as bytes, two
    /// columns have the same name, or a batch is an error; and those of
    /// [`import_rows`](Self::import_rows).
    pub fn insert_arrow(
        &self,
        table: &str,
        schema: &SchemaRef,
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
        options: &ImportOptions,
    ) -> Result<ImportReport, Error> {
        let fields = Fields::new(schema, &*self.schema(table)?, options);
        let fields = fields.map_err(|reason| Error::Import {
            table: table.to_owned(),
            error: io::Error::new(io::ErrorKind::InvalidInput, reason),
        })?;
        let rows = ArrowRows {
            batches: batches.into_iter(),
            fields,
            batch: None,
            rows: Vec::new().into_iter(),
        };
        self.import_rows(table, rows, options)
    }
}

/// The columns as fields of a table.
struct Fields {
    /// The number of columns.
    columns: usize,
    /// The positions of the columns that are fields. Vectors may be ignored.
    positions: Vec<usize>,
    names: Vec<String>,
    forms: Vec<Form>,
    /// Whether a null is stored.
    nulls: Vec<bool>,
}

impl Fields {
    /// Returns the fields, or why they cannot be inserted.
    fn new(columns: &SchemaRef, schema: &Schema, options: &ImportOptions) -> Result<Self, String> {
        let is_ignored = |name: &String| options.ignores(name);
        let fields = columns.fields().iter().enumerate();
        let (positions, fields): (Vec<_>, Vec<_>) = fields
            .filter(|(_, column)| !is_ignored(column.name()))
            .unzip();
        let mut names = BTreeSet::new();
        for column in &fields {
            if !names.insert(column.name()) {
                return Err(format!("two columns are called `{}`", column.name()));
            }
            if !arrow_json::has_json(column.data_type()) {
                return Err(format!(
                    "the column `{}` has the type {}, which JSON cannot hold",
                    column.name(),
                    column.data_type()
                ));
            }
        }
        let names: Vec<String> = fields.iter().map(|column| column.name().clone()).collect();
        let form = |name: &String| match name {
            name if is_vector_field(name) => Form::NoText,
            name if is_system_field(name) => Form::Any,
            name if schema.is_text_at(&[name]) => Form::Text,
            name if schema.excludes_text(name) => Form::NoText,
            _ => Form::Any,
        };
        Ok(Self {
            columns: columns.fields().len(),
            positions,
            forms: names.iter().map(form).collect(),
            nulls: names.iter().map(|name| schema.allows_null(name)).collect(),
            names,
        })
    }

    fn rows(&self, batch: &RecordBatch) -> Result<Vec<ImportRow>, ArrowError> {
        if batch.num_columns() != self.columns {
            return Err(ArrowError::SchemaError(
                "a batch has other columns than the schema".to_owned(),
            ));
        }
        let positions = self.positions.iter().zip(&self.forms);
        let columns: Vec<Values> = positions
            .map(|(position, form)| arrow_json::values_of(batch.column(*position), *form))
            .collect::<Result<_, _>>()?;
        let rows = arrow_json::rows_of(&self.names, columns, batch.num_rows());
        Ok(rows
            .map(|row| match row {
                Ok(row) => ImportRow::Data(Value::Object(self.without_nulls(row))),
                Err(reason) => ImportRow::Invalid(reason),
            })
            .collect())
    }

    /// Removes nulls of fields that are not null in data.
    fn without_nulls(&self, mut row: Map<String, Value>) -> Map<String, Value> {
        for (name, stored) in self.names.iter().zip(&self.nulls) {
            if !stored && row.get(name).is_some_and(Value::is_null) {
                row.remove(name);
            }
        }
        row
    }
}

/// The rows of batches. A large batch is converted piece by piece.
struct ArrowRows<I> {
    batches: I,
    fields: Fields,
    /// What is left of the current batch.
    batch: Option<RecordBatch>,
    rows: std::vec::IntoIter<ImportRow>,
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>>> Iterator for ArrowRows<I> {
    type Item = io::Result<ImportRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            let batch = match self.batch.take() {
                Some(batch) => Ok(batch),
                None => self.batches.next()?,
            };
            let piece = batch.and_then(|batch| {
                let length = batch.num_rows().min(ROWS);
                let piece = batch.slice(0, length);
                if length < batch.num_rows() {
                    self.batch = Some(batch.slice(length, batch.num_rows() - length));
                }
                self.fields.rows(&piece)
            });
            match piece {
                Ok(rows) => self.rows = rows.into_iter(),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
    }
}
