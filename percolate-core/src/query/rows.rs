//! Converting stored records to Arrow batches. Only the selected columns are built, and only the
//! fields that they need are read.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, ListArray, RecordBatch,
    RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::arrow::error::ArrowError;
use serde_core::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use super::columns::{Column, Kind, Source};
use super::filters::Restriction;
use super::values::column_value;
use crate::schema::entity::{MalformedRecord, RecordParts};
use crate::storage::keys::FieldValue;

/// The columns that a scan returns, and the restrictions that it checks.
#[derive(Debug)]
pub(super) struct RowReader {
    schema: SchemaRef,
    shown: Vec<Cell>,
    tests: Vec<(Cell, Restriction)>,
    /// The fields that `shown` and `tests` need.
    fields: Vec<String>,
}

/// One value of a row: its source and its kind.
#[derive(Debug)]
struct Cell {
    place: Place,
    kind: Kind,
}

#[derive(Debug)]
enum Place {
    Id,
    CreatedAt,
    UpdatedAt,
    Data,
    /// The position in `RowReader::fields`.
    Field(usize),
}

impl RowReader {
    pub(super) fn new(
        schema: SchemaRef,
        columns: &[Column],
        projection: impl IntoIterator<Item = usize>,
        restrictions: Vec<Restriction>,
    ) -> Self {
        let mut fields = Vec::new();
        let shown = projection
            .into_iter()
            .map(|at| Cell::new(&columns[at], &mut fields))
            .collect();
        let test = |restriction: Restriction| {
            (
                Cell::new(&columns[restriction.column], &mut fields),
                restriction,
            )
        };
        let tests = restrictions.into_iter().map(test).collect();
        Self {
            schema,
            shown,
            tests,
            fields,
        }
    }

    /// Creates an empty batch builder.
    pub(super) fn batch(&self) -> BatchBuilder<'_> {
        let columns = self
            .shown
            .iter()
            .map(|cell| ColumnBuilder::new(&cell.kind))
            .collect();
        BatchBuilder {
            reader: self,
            columns,
            rows: 0,
        }
    }
}

impl Cell {
    fn new(column: &Column, fields: &mut Vec<String>) -> Self {
        let place = match &column.source {
            Source::Id => Place::Id,
            Source::CreatedAt => Place::CreatedAt,
            Source::UpdatedAt => Place::UpdatedAt,
            Source::Data => Place::Data,
            Source::Field(name) => {
                let known = fields.iter().position(|field| field == name);
                Place::Field(known.unwrap_or_else(|| {
                    fields.push(name.clone());
                    fields.len() - 1
                }))
            }
        };
        Self {
            place,
            kind: column.kind.clone(),
        }
    }

    fn value(&self, id: Uuid, record: &RecordParts<'_>, fields: &[Value]) -> FieldValue {
        match self.place {
            Place::Id => FieldValue::Text(id.to_string()),
            Place::CreatedAt => FieldValue::Integer(record.created_at.as_micros()),
            Place::UpdatedAt => FieldValue::Integer(record.updated_at.as_micros()),
            Place::Data => FieldValue::Text(String::from_utf8_lossy(record.data).into_owned()),
            Place::Field(at) => column_value(&self.kind, &fields[at]),
        }
    }
}

/// A batch under construction.
pub(super) struct BatchBuilder<'a> {
    reader: &'a RowReader,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl BatchBuilder<'_> {
    /// Adds a row, unless it is deleted or does not satisfy a restriction.
    pub(super) fn push(&mut self, id: Uuid, record: &[u8]) -> Result<(), MalformedRecord> {
        let record = RecordParts::read(record)?;
        if record.deleted {
            return Ok(());
        }
        let fields = read_fields(&record, &self.reader.fields)?;
        let allowed = |(cell, restriction): &(Cell, Restriction)| {
            restriction.allows(&cell.value(id, &record, &fields))
        };
        if !self.reader.tests.iter().all(allowed) {
            return Ok(());
        }
        for (cell, column) in self.reader.shown.iter().zip(&mut self.columns) {
            match (&cell.place, column) {
                (Place::Field(at), ColumnBuilder::List(list)) => list.push(&fields[*at]),
                (_, column) => column.push(cell.value(id, &record, &fields)),
            }
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let columns = self
            .columns
            .into_iter()
            .map(ColumnBuilder::finish)
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.reader.schema), columns, &options)
    }
}

enum ColumnBuilder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    List(Box<ListBuilder>),
}

impl ColumnBuilder {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::new()),
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Timestamp => Self::Timestamp(
                TimestampMicrosecondBuilder::new().with_data_type(Kind::Timestamp.data_type()),
            ),
            Kind::List(kind) => Self::List(Box::new(ListBuilder::new(kind))),
        }
    }

    /// Adds a value that [`column_value`] returned for this kind. Any other value is added as null.
    fn push(&mut self, value: FieldValue) {
        match (self, value) {
            (Self::Text(column), FieldValue::Text(text)) => column.append_value(text),
            (Self::Integer(column), FieldValue::Integer(number)) => column.append_value(number),
            (Self::Float(column), FieldValue::Float(number)) => column.append_value(number),
            (Self::Boolean(column), FieldValue::Bool(value)) => column.append_value(value),
            (Self::Date(column), FieldValue::Integer(days)) => {
                column.append_option(i32::try_from(days).ok());
            }
            (Self::Timestamp(column), FieldValue::Integer(micros)) => column.append_value(micros),
            (Self::Text(column), _) => column.append_null(),
            (Self::Integer(column), _) => column.append_null(),
            (Self::Float(column), _) => column.append_null(),
            (Self::Boolean(column), _) => column.append_null(),
            (Self::Date(column), _) => column.append_null(),
            (Self::Timestamp(column), _) => column.append_null(),
            (Self::List(list), _) => list.push(&Value::Null),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Integer(mut column) => Arc::new(column.finish()),
            Self::Float(mut column) => Arc::new(column.finish()),
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Date(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
            Self::List(list) => list.finish(),
        }
    }
}

struct ListBuilder {
    kind: Kind,
    items: ColumnBuilder,
    lengths: Vec<usize>,
    present: Vec<bool>,
}

impl ListBuilder {
    fn new(kind: &Kind) -> Self {
        Self {
            kind: kind.clone(),
            items: ColumnBuilder::new(kind),
            lengths: Vec::new(),
            present: Vec::new(),
        }
    }

    fn push(&mut self, value: &Value) {
        let items = value.as_array();
        for item in items.into_iter().flatten() {
            self.items.push(column_value(&self.kind, item));
        }
        self.lengths.push(items.map_or(0, Vec::len));
        self.present.push(items.is_some());
    }

    fn finish(self) -> ArrayRef {
        let field = Arc::new(Field::new_list_field(self.kind.data_type(), true));
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        Arc::new(ListArray::new(
            field,
            offsets,
            self.items.finish(),
            Some(NullBuffer::from(self.present)),
        ))
    }
}

/// Reads the values of some fields of a record's data. Missing fields are null; other fields are
/// skipped.
fn read_fields(record: &RecordParts<'_>, fields: &[String]) -> Result<Vec<Value>, MalformedRecord> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(record.data);
    FieldsOnly(fields)
        .deserialize(&mut deserializer)
        .map_err(|_| MalformedRecord::NOT_JSON)
}

struct FieldsOnly<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for FieldsOnly<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsOnly<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![Value::Null; self.0.len()];
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.iter().position(|field| *field == name) {
                Some(at) => values[at] = map.next_value()?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(values)
    }
}
