//! The sizes in bytes of values and arrays.
//!
//! An array counts by its own rows: several arrays may share buffers.

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{ArrowNativeType as _, DataType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

/// The size of a view of text or bytes.
const VIEW: usize = 16;

/// Returns the size of the rows of an array.
pub(super) fn of_array(array: &dyn Array) -> usize {
    let content = match array.data_type() {
        DataType::Utf8 => of_offsets(array.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => of_offsets(array.as_string::<i64>().offsets()),
        DataType::Binary => of_offsets(array.as_binary::<i32>().offsets()),
        DataType::LargeBinary => of_offsets(array.as_binary::<i64>().offsets()),
        DataType::Utf8View => array.as_string_view().lengths().map(of_view).sum(),
        DataType::BinaryView => array.as_binary_view().lengths().map(of_view).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            of_items(list.values(), list.offsets())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            of_items(list.values(), list.offsets())
        }
        DataType::FixedSizeList(..) => of_array(array.as_fixed_size_list().values()),
        DataType::Map(..) => {
            let map = array.as_map();
            of_items(
                &(std::sync::Arc::new(map.entries().clone()) as ArrayRef),
                map.offsets(),
            )
        }
        DataType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .map(|column| of_array(column))
            .sum(),
        other => match other.primitive_width() {
            Some(width) => width * array.len(),
            None => array.to_data().get_slice_memory_size().unwrap_or_default(),
        },
    };
    content + array.len() / 8
}

fn of_view(length: u32) -> usize {
    VIEW + length.as_usize()
}

fn of_offsets<O: datafusion::arrow::array::OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
    let (first, last) = ends(offsets);
    last - first + size_of_val(&**offsets)
}

fn of_items<O: datafusion::arrow::array::OffsetSizeTrait>(
    items: &ArrayRef,
    offsets: &OffsetBuffer<O>,
) -> usize {
    let (first, last) = ends(offsets);
    of_array(&items.slice(first, last - first)) + size_of_val(&**offsets)
}

fn ends<O: datafusion::arrow::array::OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, usize) {
    let end = |offset: Option<&O>| offset.map_or(0, |offset| offset.as_usize());
    (end(offsets.first()), end(offsets.last()))
}

/// Returns the size of a value without the fixed part that every value has.
pub(super) fn of_scalar(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.as_ref().map_or(0, String::len)
        }
        ScalarValue::List(list) => of_array(&**list),
        ScalarValue::LargeList(list) => of_array(&**list),
        ScalarValue::FixedSizeList(list) => of_array(&**list),
        ScalarValue::Struct(fields) => of_array(&**fields),
        ScalarValue::Map(map) => of_array(&**map),
        value => value.size() - size_of::<ScalarValue>().min(value.size()),
    }
}

/// Returns the size of the result of a function.
pub(super) fn of_result(result: &ColumnarValue) -> usize {
    match result {
        ColumnarValue::Array(array) => of_array(array),
        ColumnarValue::Scalar(value) => of_scalar(value),
    }
}

/// Returns the size of an argument in each row, if a function repeats a scalar for each row.
pub(super) fn of_argument(argument: &ColumnarValue, rows: usize) -> usize {
    match argument {
        ColumnarValue::Array(array) => of_array(array),
        ColumnarValue::Scalar(value) => of_scalar(value).saturating_mul(rows),
    }
}

/// Returns the size of a value of a type that stores nulls like values.
pub(super) fn fixed_size(data_type: &DataType) -> Option<usize> {
    let length = |length: &i32| usize::try_from(*length).unwrap_or(0);
    match data_type {
        DataType::FixedSizeBinary(bytes) => Some(length(bytes)),
        DataType::FixedSizeList(item, items) => {
            let item = fixed_size(item.data_type()).unwrap_or(size_of::<i32>());
            Some(item.saturating_mul(length(items)))
        }
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| fixed_size(field.data_type()));
            fields.flatten().reduce(usize::saturating_add)
        }
        DataType::List(item) | DataType::LargeList(item) => fixed_size(item.data_type()),
        other => other.primitive_width(),
    }
}
