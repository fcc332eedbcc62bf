//! The vectors of an export as Arrow columns: `_vectors` and `_embedded_by`, structs with a field for
//! each embedded field, as exports of JSON have them.

use std::io;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, StructArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use datafusion::arrow::error::ArrowError;

use crate::database::core::Core;
use crate::database::supplied::Vector;
use crate::schema::Schema;
use crate::schema::system::{EMBEDDED_BY, VECTORS};

/// The vectors of the rows of a batch.
pub(super) struct VectorColumns {
    fields: Vec<FieldVectors>,
    provider: String,
    dimensions: usize,
}

/// The vectors of one field. Those of rows without a vector are zeros.
struct FieldVectors {
    name: String,
    numbers: Vec<f32>,
    has_vector: Vec<bool>,
    is_embedded: Vec<bool>,
}

impl FieldVectors {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            numbers: Vec::new(),
            has_vector: Vec::new(),
            is_embedded: Vec::new(),
        }
    }
}

impl VectorColumns {
    /// Creates the columns of an empty batch.
    pub(super) fn new(core: &Core, schema: &Schema) -> Self {
        let fields = schema.embedding_fields().iter();
        Self {
            fields: fields.map(|name| FieldVectors::new(name)).collect(),
            provider: core.embedder().provider().name().to_owned(),
            dimensions: core.dimensions(),
        }
    }

    /// Adds the vectors of a row, one for each field, all of the dimensions of the provider. Returns
    /// their bytes.
    pub(super) fn push(&mut self, vectors: Vec<Option<Vector>>) -> usize {
        for (field, vector) in self.fields.iter_mut().zip(vectors) {
            field.has_vector.push(vector.is_some());
            field
                .is_embedded
                .push(vector.as_ref().is_some_and(|vector| !vector.is_supplied));
            match vector {
                Some(vector) => field.numbers.extend(vector.numbers),
                None => field
                    .numbers
                    .extend(std::iter::repeat_n(0.0, self.dimensions)),
            }
        }
        self.fields.len() * self.dimensions * size_of::<f32>()
    }

    /// Adds the columns to a batch with the other ones, and becomes empty. A table without embedded
    /// fields has none.
    pub(super) fn add_to(&mut self, batch: RecordBatch) -> io::Result<RecordBatch> {
        if self.fields.is_empty() {
            return Ok(batch);
        }
        self.added_to(&batch).map_err(io::Error::other)
    }

    fn added_to(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let length = i32::try_from(self.dimensions)
            .map_err(|_| ArrowError::InvalidArgumentError("vectors are too long".to_owned()))?;
        let item = Arc::new(Field::new_list_field(DataType::Float32, true));
        let (mut vectors, mut providers) = (Vec::new(), Vec::new());
        for field in &mut self.fields {
            let empty = FieldVectors::new(&field.name);
            let done = std::mem::replace(field, empty);
            let embedded_by = done.is_embedded.into_iter();
            let embedded_by = embedded_by.map(|is| is.then_some(self.provider.as_str()));
            providers.push(Arc::new(embedded_by.collect::<StringArray>()) as ArrayRef);
            let numbers = Arc::new(Float32Array::from(done.numbers));
            let nulls = Some(NullBuffer::from(done.has_vector));
            let list = FixedSizeListArray::try_new(Arc::clone(&item), length, numbers, nulls)?;
            vectors.push(Arc::new(list) as ArrayRef);
        }
        let mut fields = batch.schema().fields().to_vec();
        let mut columns = batch.columns().to_vec();
        for (name, children) in [(EMBEDDED_BY, providers), (VECTORS, vectors)] {
            let inner: Fields = self
                .fields
                .iter()
                .zip(&children)
                .map(|(field, child)| Field::new(&field.name, child.data_type().clone(), true))
                .collect();
            let column = StructArray::try_new(inner.clone(), children, None)?;
            fields.push(Arc::new(Field::new(name, DataType::Struct(inner), false)));
            columns.push(Arc::new(column));
        }
        RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns)
    }
}
