//! `EntityIterator`: the entities of a table, read page by page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        let next = {
            let mut position = self.position();
            if position.ended {
                return Ok(None);
            }
            position.page.next()
        };
        match next {
            Some(entity) => to_python(py, &entity).map(Some),
            None => self.next_page(py),
        }
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

    fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next page and returns its first entity. No lock is held while reading.
    fn next_page<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let after = self.position().after;
        let (table, page_size) = (&self.table, self.page_size);
        let page = self.database.work_in(py, self.parent.clone(), |database| {
            let page = database.list(table, after, page_size)?;
            let last = page.last().map(|entity| entity.id);
            Ok((last, page.iter().map(Entity::to_json).collect::<Vec<_>>()))
        });
        let mut position = self.position();
        let (last, page) = page.inspect_err(|_| position.ended = true)?;
        position.after = last;
        position.ended = last.is_none();
        position.page = page.into_iter();
        let first = position.page.next();
        drop(position);
        first.map(|entity| to_python(py, &entity)).transpose()
    }
}
