//! Ids, keys and bounds as Python passes them.

use std::ops::Bound as RangeBound;

use percolate_core::{EntityRef, Timestamp, Vectors};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PyString};
use serde_json::Value;

use crate::json::to_json;
use crate::json_forms::is_decimal;

/// The id of an entity: a `str` or a `uuid.UUID`.
#[derive(Clone, Copy)]
pub(super) struct Id(pub(super) uuid::Uuid);

impl<'a, 'py> FromPyObject<'a, 'py> for Id {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text = value.str()?;
        let text = text.to_cow()?;
        if !value.is_instance_of::<PyString>() && value.getattr("hex").is_err() {
            let type_name = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "an id must be a str or a uuid.UUID, not {type_name}"
            )));
        }
        uuid::Uuid::parse_str(&text).map(Self).map_err(|_| {
            PyValueError::new_err(format!(
                "`{text}` is not an id: expected a UUID; pass a key with key="
            ))
        })
    }
}

/// The value of a key field: a `str` or an `int`, or what `insert` stores as one of them.
pub(super) struct Key(pub(super) String);

impl<'a, 'py> FromPyObject<'a, 'py> for Key {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match to_json(&value)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) if !number.is_f64() => Ok(Self(number.to_string())),
            // A decimal is stored in a key field of text.
            Value::Number(_) if is_decimal(&value)? => Ok(Self(value.str()?.extract()?)),
            _ => Err(PyTypeError::new_err(format!(
                "a key must be a str or an int, not {}",
                value.get_type().name()?
            ))),
        }
    }
}

/// An entity named by its id or its key.
pub(super) enum Name {
    Id(uuid::Uuid),
    Key(String),
}

impl Name {
    /// Returns the name that the arguments `id` and `key` give.
    ///
    /// # Errors
    /// `TypeError` for neither and for both.
    pub(super) fn new(id: Option<Id>, key: Option<Key>) -> PyResult<Self> {
        match (id, key) {
            (Some(Id(id)), None) => Ok(Self::Id(id)),
            (None, Some(Key(key))) => Ok(Self::Key(key)),
            (None, None) => Err(PyTypeError::new_err("pass an id, or a key with key=")),
            (Some(_), Some(_)) => Err(PyTypeError::new_err("pass an id or key=, not both")),
        }
    }

    /// Returns the names that the arguments `ids` and `keys` give.
    ///
    /// # Errors
    /// `TypeError` for neither and for both.
    pub(super) fn several(
        ids: Option<&Bound<'_, PyAny>>,
        keys: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Self>> {
        match (ids, keys) {
            (Some(ids), None) => ids
                .try_iter()?
                .map(|id| Ok(Self::Id(id?.extract::<Id>()?.0)))
                .collect(),
            (None, Some(keys)) => keys
                .try_iter()?
                .map(|key| Ok(Self::Key(key?.extract::<Key>()?.0)))
                .collect(),
            (None, None) => Err(PyTypeError::new_err("pass ids, or keys with keys=")),
            (Some(_), Some(_)) => Err(PyTypeError::new_err("pass ids or keys=, not both")),
        }
    }
}

impl<'a> From<&'a Name> for EntityRef<'a> {
    fn from(name: &'a Name) -> Self {
        match name {
            Name::Id(id) => Self::Id(*id),
            Name::Key(key) => Self::Key(key),
        }
    }
}

/// The time of the last write of an entity that was read: `_updated_at`, or a `datetime`.
#[derive(Clone, Copy)]
pub(super) struct Seen(pub(super) Timestamp);

impl<'a, 'py> FromPyObject<'a, 'py> for Seen {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let json = to_json(&value)?;
        json.as_str()
            .and_then(Timestamp::parse)
            .map(Self)
            .ok_or_else(|| {
                PyValueError::new_err(
                    "if_unchanged_since must be the `_updated_at` of an entity that was read, or a datetime with a \
                     time zone",
                )
            })
    }
}

/// A number of bytes.
#[derive(Clone, Copy)]
pub(super) struct Bytes(pub(super) usize);

impl<'a, 'py> FromPyObject<'a, 'py> for Bytes {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        number(&value, "a size must be a number of bytes").map(Self)
    }
}

/// A number of repetitions.
#[derive(Clone, Copy)]
pub(super) struct Retries(pub(super) u32);

impl<'a, 'py> FromPyObject<'a, 'py> for Retries {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        number(&value, "object_store_retries must be a number").map(Self)
    }
}

/// Returns the argument `limit`.
pub(super) fn limit(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    number(value, "limit must be a number")
}

/// Returns the argument `page_size`.
pub(super) fn page_size(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    number(value, "page_size must be a number")
}

/// Returns the argument `batch_size`.
pub(super) fn batch_size(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    number(value, "batch_size must be a number")
}

/// Returns an integer from 0 to the largest one of its type.
///
/// # Errors
/// `ValueError` for one that is too small or too large; `TypeError` for another value.
fn number<'py, T>(value: &Bound<'py, PyAny>, expected: &str) -> PyResult<T>
where
    T: FromPyObjectOwned<'py, Error = PyErr> + Largest,
{
    value.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            PyValueError::new_err(format!(
                "{expected} from 0 to {}, not {}",
                T::LARGEST,
                value.as_any()
            ))
        } else {
            error
        }
    })
}

/// The largest number of a type.
trait Largest {
    const LARGEST: u64;
}

impl Largest for usize {
    const LARGEST: u64 = Self::MAX as u64;
}

impl Largest for u32 {
    const LARGEST: u64 = Self::MAX as u64;
}

/// A vector to search with: a sequence of numbers.
pub(super) struct QueryVector(pub(super) Vec<f32>);

impl<'a, 'py> FromPyObject<'a, 'py> for QueryVector {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        numbers_of(&value, "the vector").map(Self)
    }
}

/// The vectors of fields: a mapping from their names to sequences of numbers, or to `None` to remove
/// the vector.
#[derive(Clone, Default)]
pub(super) struct GivenVectors(pub(super) Vectors);

impl<'a, 'py> FromPyObject<'a, 'py> for GivenVectors {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let fields = value.cast::<PyMapping>().map_err(|_| {
            PyTypeError::new_err("vectors must be a mapping from fields to sequences of numbers")
        })?;
        let mut vectors = Vectors::new();
        for item in fields.items()?.iter() {
            let (field, vector): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let field: String = field.extract().map_err(|_| {
                let name = field.get_type().name().map(|name| name.to_string());
                PyTypeError::new_err(format!(
                    "vectors must be a mapping from the names of fields, but a key is of type {}",
                    name.unwrap_or_default()
                ))
            })?;
            vectors = if vector.is_none() {
                vectors.remove(field)
            } else {
                let numbers = numbers_of(&vector, &format!("the vector of `{field}`"))?;
                vectors.set(field, numbers)
            };
        }
        Ok(Self(vectors))
    }
}

/// Returns the numbers of a vector. For numpy arrays, `tolist` is many times faster than iterating.
///
/// # Errors
/// `TypeError` for text, an array of several dimensions, and what is not a sequence of numbers. `name`
/// begins its message.
fn numbers_of(vector: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<f32>> {
    let list = vector.call_method0("tolist");
    let numbers = list.as_ref().unwrap_or(vector);
    numbers
        .extract()
        .map_err(|_| PyTypeError::new_err(format!("{name} must be {}", mismatch(vector, numbers))))
}

/// Describes a value that is not a sequence of numbers.
fn mismatch(vector: &Bound<'_, PyAny>, numbers: &Bound<'_, PyAny>) -> String {
    let type_of = |value: &Bound<'_, PyAny>| {
        let name = value.get_type().name();
        name.map(|name| name.to_string()).unwrap_or_default()
    };
    let dimensions = vector.getattr("ndim").and_then(|number| number.extract());
    if let Ok(dimensions @ (0 | 2_usize..)) = dimensions {
        return format!("of one dimension, not an array of {dimensions}");
    }
    let is_text = numbers.is_instance_of::<PyString>() || numbers.is_instance_of::<PyBytes>();
    let mut elements = numbers.try_iter().into_iter().flatten().flatten();
    match elements.find(|element| element.extract::<f32>().is_err()) {
        Some(element) if !is_text => format!(
            "a sequence of numbers, but it has an element of type {}",
            type_of(&element)
        ),
        _ => format!("a sequence of numbers, not {}", type_of(vector)),
    }
}

/// Returns the vectors of each of several entities.
///
/// # Errors
/// `ValueError` if there are not as many as entities.
pub(super) fn vectors_of_each(
    given: Option<&Bound<'_, PyAny>>,
    entities: usize,
) -> PyResult<Option<Vec<Vectors>>> {
    let Some(given) = given else { return Ok(None) };
    let each = |vectors: PyResult<Bound<'_, PyAny>>| {
        let vectors: Option<GivenVectors> = vectors?.extract()?;
        Ok(vectors.unwrap_or_default().0)
    };
    let vectors = given.try_iter()?.map(each).collect::<PyResult<Vec<_>>>()?;
    if vectors.len() != entities {
        return Err(PyValueError::new_err(format!(
            "vectors must have one mapping or None for each entity: {} were given for {entities} entities",
            vectors.len()
        )));
    }
    Ok(Some(vectors))
}

/// A value that may be omitted. `None` in Python is a value, `Null`.
pub(super) struct Given(pub(super) Option<Value>);

impl<'a, 'py> FromPyObject<'a, 'py> for Given {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        to_json(&value).map(|value| Self(Some(value)))
    }
}

/// The range of values that `Database.find` searches.
pub(super) type Bounds = (RangeBound<Value>, RangeBound<Value>);

/// Returns the range for the arguments of `Database.find`: a value, or bounds.
///
/// # Errors
/// `TypeError` for neither, for both, and for two bounds on one side.
pub(super) fn bounds(
    value: Given,
    (ge, gt): (Given, Given),
    (le, lt): (Given, Given),
) -> PyResult<Bounds> {
    let bound = |inclusive: Given, exclusive: Given, names: &str| match (inclusive.0, exclusive.0) {
        (Some(_), Some(_)) => Err(PyTypeError::new_err(format!(
            "pass one of {names}, not both"
        ))),
        (Some(value), None) => Ok(RangeBound::Included(value)),
        (None, Some(value)) => Ok(RangeBound::Excluded(value)),
        (None, None) => Ok(RangeBound::Unbounded),
    };
    let range = (bound(ge, gt, "ge and gt")?, bound(le, lt, "le and lt")?);
    match (value.0, &range) {
        (Some(value), (RangeBound::Unbounded, RangeBound::Unbounded)) => Ok((
            RangeBound::Included(value.clone()),
            RangeBound::Included(value),
        )),
        (Some(_), _) => Err(PyTypeError::new_err("pass a value or bounds, not both")),
        (None, (RangeBound::Unbounded, RangeBound::Unbounded)) => Err(PyTypeError::new_err(
            "pass a value, or bounds with ge=, gt=, le= or lt=",
        )),
        (None, _) => Ok(range),
    }
}
