//! The result of a query, as Arrow batches and as JSON.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::util::display::array_value_to_string;
use serde_json::{Map, Value};

use crate::otel::Rows;

/// The rows that a query returned, as Arrow batches.
///
/// ```
/// use percolate_core::Database;
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let dir = tempfile::tempdir()?;
/// let db = Database::open(dir.path())?;
/// db.register_schema("articles", &json!({
///     "properties": { "title": { "type": "string" }, "year": { "type": "integer" } },
///     "indexed_fields": ["year"],
/// }))?;
/// db.insert("articles", &json!({ "title": "Percolation processes", "year": 1957 }))?;
/// let result = db.query("SELECT year, title FROM articles WHERE year < 1960").await?;
/// assert_eq!(result.columns(), ["year", "title"]);
/// assert_eq!(result.rows().next(), Some(vec![json!(1957), json!("Percolation processes")]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl QueryResult {
    pub(super) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches }
    }

    /// Returns the names and types of the columns. Every batch has this schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the rows.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Converts the result into its batches.
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// Returns the number of rows.
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Returns the names of the columns, in order. Names may repeat.
    pub fn columns(&self) -> Vec<&str> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect()
    }

    /// Returns the rows as JSON values in the order of [`columns`](Self::columns).
    ///
    /// Dates, times, intervals and decimal numbers are strings. Numbers that JSON cannot represent
    /// are null.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Value>> {
        let row = |batch: &RecordBatch, at| {
            batch
                .columns()
                .iter()
                .map(|column| json(column, at))
                .collect()
        };
        self.batches
            .iter()
            .flat_map(move |batch| (0..batch.num_rows()).map(move |at| row(batch, at)))
    }

    /// Returns the rows as JSON objects. If column names repeat, only the last of these columns is
    /// kept; use `AS` to rename them.
    pub fn to_json(&self) -> Vec<Value> {
        let names = self.columns();
        let object = |row: Vec<Value>| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .zip(row)
                .collect::<Map<_, _>>()
        };
        self.rows().map(|row| Value::Object(object(row))).collect()
    }
}

impl From<RecordBatch> for QueryResult {
    fn from(batch: RecordBatch) -> Self {
        Self {
            schema: batch.schema(),
            batches: vec![batch],
        }
    }
}

impl Rows for QueryResult {
    fn rows(&self) -> Option<usize> {
        Some(self.num_rows())
    }
}

fn json(column: &dyn Array, at: usize) -> Value {
    if column.is_null(at) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => column.as_boolean().value(at).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(at).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(at).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(at).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(at).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(at).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(at).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(at).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(at).into(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(at).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(at).into(),
        DataType::Utf8 => column.as_string::<i32>().value(at).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(at).into(),
        DataType::Utf8View => column.as_string_view().value(at).into(),
        DataType::List(_) => list(&*column.as_list::<i32>().value(at)),
        DataType::LargeList(_) => list(&*column.as_list::<i64>().value(at)),
        DataType::FixedSizeList(..) => list(&*column.as_fixed_size_list().value(at)),
        DataType::Struct(fields) => {
            let values = column
                .as_struct()
                .columns()
                .iter()
                .map(|column| json(column, at));
            Value::Object(
                fields
                    .iter()
                    .map(|field| field.name().clone())
                    .zip(values)
                    .collect(),
            )
        }
        // All other types are shown as text, or as null if that fails.
        _ => array_value_to_string(column, at).map_or(Value::Null, Value::String),
    }
}

fn list(items: &dyn Array) -> Value {
    (0..items.len()).map(|at| json(items, at)).collect()
}
