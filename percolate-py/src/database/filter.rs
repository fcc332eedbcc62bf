//! The `where` argument of a search: a condition in SQL, or a Python function. And its `on_progress`
//! argument.

use percolate_core::schema::entity::Entity;
use percolate_core::{Database, Hit, SearchFilter};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use serde_json::Value;

use crate::bar::Bar;
use crate::callback::Callback;
use crate::json::to_python;
use crate::query;
use crate::stop::Stop;

/// Which entities a search may return.
pub(super) enum Where {
    All,
    Function(Callback),
    Condition { sql: String, params: Vec<Value> },
}

impl Where {
    /// Returns the filter that the arguments `where` and `params` give.
    ///
    /// # Errors
    /// `TypeError` if `where` is neither a condition nor a function, or there are `params` without a
    /// condition.
    pub(super) fn new(
        given: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        stop: &Stop,
    ) -> PyResult<Self> {
        if let Some(sql) = given.and_then(|given| given.cast::<PyString>().ok()) {
            return Ok(Self::Condition {
                sql: sql.extract()?,
                params: query::parameters(params)?,
            });
        }
        if params.is_some() {
            return Err(PyTypeError::new_err(
                "params are the values of a condition in SQL; pass the condition in where",
            ));
        }
        let Some(given) = given else {
            return Ok(Self::All);
        };
        if !given.is_callable() {
            let type_name = given.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "where must be a condition in SQL or a function, not {type_name}"
            )));
        }
        let function = given.clone().unbind();
        Ok(Self::Function(Callback::new(
            given.py(),
            "where",
            function,
            stop,
        )?))
    }

    /// Returns the function of the search, `None` if there is none.
    pub(super) fn function(&self) -> Option<Box<SearchFilter<'_>>> {
        match self {
            Self::Function(function) => Some(Box::new(|entity: &Entity| {
                function.accepts(&entity.to_json())
            })),
            Self::All | Self::Condition { .. } => None,
        }
    }

    /// Returns the results of the search.
    ///
    /// # Errors
    /// The exception that the function or `progress` raised, or the one of the search.
    pub(super) fn results<'py>(
        &self,
        py: Python<'py>,
        progress: &IndexProgress,
        hits: PyResult<Vec<Hit>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let function = match self {
            Self::Function(function) => Some(function),
            Self::All | Self::Condition { .. } => None,
        };
        let mut functions = function.into_iter().chain(&progress.function);
        if let Some(error) = functions.find_map(Callback::take_error) {
            return Err(error);
        }
        let list = PyList::empty(py);
        for hit in hits? {
            list.append((to_python(py, &hit.entity.into_json())?, hit.distance))?;
        }
        Ok(list)
    }
}

/// The arguments `on_progress` and `progress` of a search.
pub(super) struct IndexProgress {
    function: Option<Callback>,
    _bar: Bar,
}

impl IndexProgress {
    /// # Errors
    /// `TypeError` if it is not callable, `ImportError` if there is no tqdm for a bar.
    pub(super) fn new(
        py: Python<'_>,
        function: Option<Py<PyAny>>,
        progress: bool,
        stop: &Stop,
    ) -> PyResult<Self> {
        let (bar, function) = Bar::show(py, progress, function)?;
        let function = function.map(|function| Callback::new(py, "on_progress", function, stop));
        Ok(Self {
            function: function.transpose()?,
            _bar: bar,
        })
    }

    /// Returns a handle of the database that reports the loading of vector indexes.
    pub(super) fn reported_by(&self, database: Database) -> Database {
        match self.function.clone() {
            Some(function) => database.on_index_progress(move |progress| function.report(progress)),
            None => database,
        }
    }
}
