//! `EntityIterator`: the entities of a table, read page by page.

use std::sync::{Arc, Mutex, PoisonError};

use percolate_core::schema::entity::Entity;
use pyo3::prelude::*;
use serde_json::Value;

use super::handle::Closable;
use crate::json::to_python;
use crate::parent::Parent;

/// An iterator over the entities of a table; returned by `Database.scan`.
#[pyclass(module = "percolate_rocks", frozen)]
pub(crate) struct EntityIterator {
    database: Arc<Closable>,
    table: String,
    page_size: usize,
    /// The parent of the span of every page.
    parent: Option<Parent>,
    position: Mutex<Position>,
}

/// How far the iterator has come.
struct Position {
    page: std::vec::IntoIter<Value>,
    /// The last id of the page.
    after: Option<uuid::Uuid>,
    ended: bool,
}

#[pymethods]
impl EntityIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Another thread may hold the lock while it reads a page, and needs the interpreter then.
        let next = match self.position.try_lock() {
            Ok(position) if position.ended && position.page.len() == 0 => return Ok(None),
            Ok(mut position) => position.page.next(),
            Err(_) => None,
        };
        let next = match next {
            Some(entity) => Some(entity),
            None => self.read(py)?,
        };
        next.map(|entity| to_python(py, &entity)).transpose()
    }
}

impl EntityIterator {
    pub(super) fn new(
        database: Arc<Closable>,
        table: String,
        page_size: usize,
        parent: Option<Parent>,
    ) -> Self {
        Self {
            database,
            table,
            page_size: page_size.max(1),
            parent,
            position: Mutex::new(Position {
                page: Vec::new().into_iter(),
                after: None,
                ended: false,
            }),
        }
    }

    /// Returns the next entity, from the next page if necessary. Only one thread reads at a time, so
    /// that threads that share the iterator get different entities.
    fn read(&self, py: Python<'_>) -> PyResult<Option<Value>> {
        self.database.work_in(py, self.parent.clone(), |database| {
            let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entity) = position.page.next() {
                return Ok(Some(entity));
            }
            if position.ended {
                return Ok(None);
            }
            // An error ends the iteration.
            position.ended = true;
            let page = database.list(&self.table, position.after, self.page_size)?;
            if let Some(last) = page.last() {
                position.after = Some(last.id);
                position.ended = false;
            }
            let page: Vec<_> = page.into_iter().map(Entity::into_json).collect();
            position.page = page.into_iter();
            Ok(position.page.next())
        })
    }
}
