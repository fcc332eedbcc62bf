//! Python types with one obvious JSON form: dates and times, UUIDs, decimals, enums, dataclasses,
//! Pydantic models, and the scalars and arrays of numpy. None of these libraries is imported.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyType};

/// The digits before the point of the largest integers that fit into 64 bits.
const DIGITS: i64 = 20;

/// Returns the simpler Python value that represents `value` in JSON, if there is one. It may need
/// to be simplified again.
///
/// # Errors
/// What the methods of `value` raise.
pub(crate) fn simplified<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    let class = value.get_type();
    if let Ok(text) = value.call_method0(intern!(py, "isoformat"))
        && text.is_instance_of::<PyString>()
    {
        return refuse_nat(text).map(Some);
    }
    if class.hasattr(intern!(py, "model_dump"))? {
        let options = PyDict::new(py);
        options.set_item("mode", "json")?;
        options.set_item("by_alias", true)?;
        return value
            .call_method(intern!(py, "model_dump"), (), Some(&options))
            .map(Some);
    }
    if class.hasattr(intern!(py, "__dataclass_fields__"))? {
        return dataclass(value).map(Some);
    }
    if class.hasattr(intern!(py, "dtype"))? {
        return numpy(value);
    }
    let types = Types::get(py)?;
    if value.is_instance(types.uuid.bind(py))? {
        return Ok(Some(value.str()?.into_any()));
    }
    if value.is_instance(types.member.bind(py))? {
        return value.getattr(intern!(py, "value")).map(Some);
    }
    if value.is_instance(types.duration.bind(py))? {
        return Ok(Some(PyString::new(py, &iso_duration(value)?).into_any()));
    }
    Ok(None)
}

/// Returns whether `value` is a `decimal.Decimal`.
pub(crate) fn is_decimal(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let types = Types::get(value.py())?;
    value.is_instance(types.decimal.bind(value.py()))
}

/// Returns the `str`, `int` or `float` that represents a `decimal.Decimal`: an `int` if it is
/// written without a fraction, or the problem of the value.
pub(crate) fn simplified_decimal<'py>(
    value: &Bound<'py, PyAny>,
    as_text: bool,
) -> PyResult<Result<Bound<'py, PyAny>, &'static str>> {
    let py = value.py();
    if !value.call_method0(intern!(py, "is_finite"))?.extract()? {
        return Ok(Err("is not a finite number"));
    }
    if as_text {
        return Ok(Ok(value.str()?.into_any()));
    }
    let exponent: i64 = value
        .call_method0(intern!(py, "as_tuple"))?
        .getattr(intern!(py, "exponent"))?
        .extract()?;
    if exponent < 0 {
        return Ok(Ok(py.get_type::<pyo3::types::PyFloat>().call1((value,))?));
    }
    // The conversion of a number with a large exponent would take very long.
    let digits: i64 = value.call_method0(intern!(py, "adjusted"))?.extract()?;
    if digits >= DIGITS {
        return Ok(Err("is an integer that does not fit into 64 bits"));
    }
    Ok(Ok(py.get_type::<pyo3::types::PyInt>().call1((value,))?))
}

/// The classes of the standard library that are recognised.
struct Types {
    uuid: Py<PyType>,
    decimal: Py<PyType>,
    /// `enum.Enum`.
    member: Py<PyType>,
    /// `datetime.timedelta`.
    duration: Py<PyType>,
}

impl Types {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static TYPES: PyOnceLock<Types> = PyOnceLock::new();
        let import = |module: &str, class: &str| {
            let class = py.import(module)?.getattr(class)?;
            PyResult::Ok(class.cast_into::<PyType>()?.unbind())
        };
        TYPES.get_or_try_init(py, || {
            Ok(Self {
                uuid: import("uuid", "UUID")?,
                decimal: import("decimal", "Decimal")?,
                member: import("enum", "Enum")?,
                duration: import("datetime", "timedelta")?,
            })
        })
    }
}

/// Refuses the missing time of pandas and numpy, which is written as `NaT`.
fn refuse_nat(text: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if text.extract::<String>()? == "NaT" {
        return Err(PyValueError::new_err(
            "NaT is not a time; pass None for a missing one",
        ));
    }
    Ok(text)
}

/// Returns the fields of a dataclass as a dict.
fn dataclass<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let fields = py
        .import(intern!(py, "dataclasses"))?
        .call_method1(intern!(py, "fields"), (value,))?;
    let dict = PyDict::new(py);
    for field in fields.try_iter()? {
        let name = field?.getattr(intern!(py, "name"))?;
        let name = name.cast::<PyString>()?;
        dict.set_item(name, value.getattr(name)?)?;
    }
    Ok(dict.into_any())
}

/// Returns the Python value of a scalar or an array of numpy, `None` for kinds that JSON does not
/// have.
fn numpy<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    let Some(kind) = value
        .getattr(intern!(py, "dtype"))?
        .getattr_opt(intern!(py, "kind"))?
    else {
        return Ok(None);
    };
    match kind.extract::<String>()?.as_str() {
        "b" | "i" | "u" | "f" | "U" | "O" => {
            let simple = value.call_method0(intern!(py, "tolist"))?;
            // A scalar of more than 64 bits is its own list.
            Ok((!simple.get_type().is(value.get_type())).then_some(simple))
        }
        "M" if value.getattr(intern!(py, "ndim"))?.extract::<usize>()? == 0 => {
            refuse_nat(value.str()?.into_any()).map(Some)
        }
        "M" => {
            let list = PyList::empty(py);
            for element in value.try_iter()? {
                list.append(element?)?;
            }
            Ok(Some(list.into_any()))
        }
        _ => Ok(None),
    }
}

/// Returns a `datetime.timedelta` in the format of ISO 8601: `P1DT2H3M4.5S`.
fn iso_duration(value: &Bound<'_, PyAny>) -> PyResult<String> {
    const MICROS: i128 = 1_000_000;
    let py = value.py();
    let part = |name: &Bound<'_, PyString>| value.getattr(name)?.extract::<i128>();
    let total = (part(intern!(py, "days"))? * 86_400 + part(intern!(py, "seconds"))?) * MICROS
        + part(intern!(py, "microseconds"))?;
    let (seconds, micros) = (total.abs() / MICROS, total.abs() % MICROS);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let part = |number: i128, unit: char| match number {
        0 => String::new(),
        number => format!("{number}{unit}"),
    };
    let rest = match (seconds % 60, micros) {
        (0, 0) if total == 0 => "0S".to_owned(),
        (rest, 0) => part(rest, 'S'),
        (rest, micros) => format!("{}S", format!("{rest}.{micros:06}").trim_end_matches('0')),
    };
    let date = part(days, 'D');
    let time = [part(hours, 'H'), part(minutes, 'M'), rest].concat();
    let sign = if total < 0 { "-" } else { "" };
    let separator = if time.is_empty() { "" } else { "T" };
    Ok(format!("{sign}P{date}{separator}{time}"))
}
