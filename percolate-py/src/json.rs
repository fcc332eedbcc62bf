//! Conversion of Python values to JSON and back. A value that JSON cannot represent is refused with
//! its path. Types with one obvious JSON form, such as dates, are converted to it; see `json_forms`.

use percolate_core::schema::MAX_DEPTH;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use serde_json::{Map, Number, Value};

use crate::json_forms;

/// The length in bytes at which the path of a value is cut in a message.
const SHOWN: usize = 80;

/// The number of conversions to simpler types at one place.
const MAX_FORMS: usize = 4;

/// Returns whether a place of the data holds text only.
pub(crate) type IsText<'a> = dyn Fn(&[String]) -> bool + 'a;

/// Converts a Python value to JSON: mappings with `str` keys, lists, tuples, `str`, `int` of 64
/// bits, `float`, `bool`, `None` and the types of `json_forms`, nested up to [`MAX_DEPTH`] levels.
///
/// # Errors
/// `TypeError` or `ValueError` with the path of the value that cannot be converted. A value that
/// contains itself exceeds the depth.
pub(crate) fn to_json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    Place::default().convert(value)
}

/// Converts the data of an entity, which may be the element at `index` of a batch, as [`to_json`]
/// does. Decimals become text where `is_text` returns `true`.
///
/// # Errors
/// Those of [`to_json`], with the index.
pub(crate) fn entity_to_json(
    value: &Bound<'_, PyAny>,
    index: Option<usize>,
    is_text: &IsText<'_>,
) -> PyResult<Value> {
    let place = Place {
        element: index,
        is_text: Some(is_text),
        ..Place::default()
    };
    place.convert(value)
}

/// Converts JSON to Python values.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize::pythonize(py, value)?)
}

/// The place of the current value, for messages. It is a list on the stack, so that a place costs
/// nothing until its path is needed.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    /// The index of the value in a list of values.
    element: Option<usize>,
    is_text: Option<&'a IsText<'a>>,
    /// The place of the list or mapping, and the step from there.
    from: Option<(&'a Place<'a>, Step<'a>)>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Place<'_> {
    /// Returns a place in the list or mapping at this place.
    fn inside<'a>(&'a self, step: Step<'a>) -> Place<'a> {
        Place {
            from: Some((self, step)),
            depth: self.depth + 1,
            ..*self
        }
    }

    /// Returns the steps from the outermost value.
    fn steps(&self) -> Vec<String> {
        let mut steps = Vec::with_capacity(self.depth);
        let mut place = self;
        while let Some((outer, step)) = &place.from {
            steps.push(match step {
                Step::Key(key) => (*key).to_owned(),
                Step::Index(index) => index.to_string(),
            });
            place = outer;
        }
        steps.reverse();
        steps
    }

    fn convert(&self, value: &Bound<'_, PyAny>) -> PyResult<Value> {
        if let Some(converted) = self.plain(value)? {
            return Ok(converted);
        }
        let mut simple = value.clone();
        for _ in 0..MAX_FORMS {
            let Some(simpler) = self.simplified(&simple)? else {
                break;
            };
            if let Some(converted) = self.plain(&simpler)? {
                return Ok(converted);
            }
            simple = simpler;
        }
        let type_name = value.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "{} is a {type_name}, which JSON cannot hold",
            self.name()
        )))
    }

    /// Returns the simpler Python value that represents `value`, if there is one.
    fn simplified<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !json_forms::is_decimal(value)? {
            return json_forms::simplified(value);
        }
        let as_text = self.is_text.is_some_and(|is_text| is_text(&self.steps()));
        json_forms::simplified_decimal(value, as_text)?
            .map(Some)
            .map_err(|problem| self.value_error(problem))
    }

    /// Converts a value of a type that JSON has, and `None` for other types.
    fn plain(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
        let converted = if value.is_none() {
            Ok(Value::Null)
        } else if let Ok(text) = value.cast::<PyString>() {
            let text = text
                .to_cow()
                .map_err(|_| self.value_error("is text that is not valid Unicode"))?;
            Ok(Value::String(text.into_owned()))
        } else if let Ok(truth) = value.cast::<PyBool>() {
            Ok(Value::Bool(truth.is_true()))
        } else if value.is_instance_of::<PyInt>() {
            let signed = value.extract::<i64>().map(Number::from);
            let number = signed.or_else(|_| value.extract::<u64>().map(Number::from));
            number
                .map(Value::Number)
                .map_err(|_| self.value_error("is an int that does not fit into 64 bits"))
        } else if let Ok(float) = value.cast::<PyFloat>() {
            let number = Number::from_f64(float.value());
            number
                .map(Value::Number)
                .ok_or_else(|| self.value_error("is not a finite number"))
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.object(dict.iter())
        } else if let Ok(list) = value.cast::<PyList>() {
            self.array(list.iter())
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.array(tuple.iter())
        } else if let Ok(mapping) = value.cast::<PyMapping>() {
            let items = mapping
                .items()?
                .iter()
                .map(|item| item.extract())
                .collect::<PyResult<Vec<_>>>()?;
            self.object(items.into_iter())
        } else {
            return Ok(None);
        };
        converted.map(Some)
    }

    fn object<'py>(
        &self,
        items: impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    ) -> PyResult<Value> {
        self.check_depth()?;
        let mut map = Map::new();
        for (key, value) in items {
            let Ok(key) = key.cast::<PyString>() else {
                let type_name = key.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "{} has a key that is a {type_name}, not a str",
                    self.name()
                )));
            };
            let key = key
                .to_cow()
                .map_err(|_| self.value_error("has a key that is not valid Unicode"))?;
            let value = self.inside(Step::Key(&key)).convert(&value)?;
            map.insert(key.into_owned(), value);
        }
        Ok(Value::Object(map))
    }

    fn array<'py>(&self, items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Value> {
        self.check_depth()?;
        let mut array = Vec::new();
        for (index, value) in items.enumerate() {
            array.push(self.inside(Step::Index(index)).convert(&value)?);
        }
        Ok(Value::Array(array))
    }

    /// Refuses a list or mapping at the current path if it is beyond the depth that can be stored.
    fn check_depth(&self) -> PyResult<()> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        Err(self.value_error(&format!(
            "is nested deeper than {MAX_DEPTH} levels, or contains itself; store the inner part as text, or as an \
             entity of its own"
        )))
    }

    fn name(&self) -> String {
        let element = match self.element {
            Some(index) if self.depth == 0 => return format!("the value at index {index}"),
            None if self.depth == 0 => return "the value".to_owned(),
            Some(index) => format!("in the value at index {index}, "),
            None => String::new(),
        };
        let mut path = self.steps().join(".");
        if path.len() > SHOWN {
            path.truncate(path.floor_char_boundary(SHOWN));
            path.push('…');
        }
        format!("{element}`{path}`")
    }

    fn value_error(&self, problem: &str) -> PyErr {
        PyValueError::new_err(format!("{} {problem}", self.name()))
    }
}
