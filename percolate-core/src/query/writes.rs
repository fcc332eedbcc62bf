//! Writes of the entities that match an SQL condition.
//!
//! The condition is evaluated by a query, which takes no locks. Each entity is then written only if
//! it has not changed since; for those that have, the condition is evaluated again.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use serde_json::Value;
use uuid::Uuid;

use super::condition::Condition;
use crate::database::Database;
use crate::database::changes::Change;
use crate::database::computed::Computed;
use crate::database::core::Core;
use crate::database::error::Error;
use crate::schema::entity::Timestamp;
use crate::schema::system::Written;
use crate::schema::{EntityError, Schema};
use crate::{db_op, db_ops};

/// The largest number of entities that are written in one atomic write.
pub(super) const ATOMIC: usize = 10_000;

/// How many times the condition is evaluated for entities that others change meanwhile.
const ROUNDS: usize = 16;

/// Writes with a condition.
#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    /// Changes the fields of all entities of a table that match `condition`, the text after WHERE of
    /// a [`query`](Self::query), with `parameters` for its placeholders. `changes` is a JSON object,
    /// as for [`update`](Self::update). Returns the number of changed entities. The condition `true`
    /// matches all.
    ///
    /// Up to 10,000 entities are changed in one atomic write, more of them in writes of 10,000. No
    /// entity is changed that does not match the condition at the moment of the write. If the future
    /// is dropped, the write that has begun is finished, and no other one begins.
    ///
    /// ```
    /// use percolate_core::Database;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({
    ///     "properties": { "year": { "type": "integer" }, "archived": { "type": "boolean" } },
    /// }))?;
    /// for year in [1957, 1958, 2024] {
    ///     db.insert("articles", &json!({ "year": year }))?;
    /// }
    /// let old = json!({ "archived": true });
    /// assert_eq!(db.update_where("articles", "year < $1", &[json!(2000)], &old).await?, 2);
    /// assert_eq!(db.delete_where("articles", "archived", &[]).await?, 2);
    /// assert_eq!(db.count("articles")?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`query_with`](Self::query_with) for the condition, and those of
    /// [`update`](Self::update). The writes before the failure are kept.
    /// [`Error::Contended`] if other writers change the same entities without end.
    pub async fn update_where(
        &self,
        table: &str,
        condition: &str,
        parameters: &[Value],
        changes: &Value,
    ) -> Result<usize, Error> {
        self.update_matching(table, condition, parameters, changes)
            .await
    }

    /// Marks all entities of a table that match `condition` as deleted. Returns their number. All
    /// else is as for [`update_where`](Self::update_where).
    ///
    /// # Errors
    ///
    /// Those of [`update_where`](Self::update_where).
    pub async fn delete_where(
        &self,
        table: &str,
        condition: &str,
        parameters: &[Value],
    ) -> Result<usize, Error> {
        self.delete_matching(table, condition, parameters).await
    }

    #[db_op("update_where", table, affected_rows = |written| *written, rows = none)]
    async fn update_matching(
        &self,
        table: &str,
        condition: &str,
        parameters: &[Value],
        changes: &Value,
    ) -> Result<usize, Error> {
        let schema = self.core.schema(table)?;
        let Written { id, vectors, data } = schema.written(changes)?;
        let vectors = self.core.vectors_of(&schema, vectors, Cow::default())?;
        let change = Change::Update(data.into_owned(), vectors.into_owned());
        self.write_matching(table, condition, parameters, change, id)
            .await
    }

    #[db_op("delete_where", table, affected_rows = |written| *written, rows = none)]
    async fn delete_matching(
        &self,
        table: &str,
        condition: &str,
        parameters: &[Value],
    ) -> Result<usize, Error> {
        self.write_matching(table, condition, parameters, Change::Delete, None)
            .await
    }

    /// Writes the matching entities. If the data named an entity, no other one may match.
    async fn write_matching(
        &self,
        table: &str,
        condition: &str,
        parameters: &[Value],
        change: Change,
        named: Option<Uuid>,
    ) -> Result<usize, Error> {
        let condition = &Condition::new(condition)?;
        let mut written = 0;
        let mut left = None;
        let mut computed = Computed::default();
        for _ in 0..ROUNDS {
            let Matching { schema, mut seen } = self.matching(table, condition, parameters).await?;
            if let Some(left) = &left {
                seen.retain(|(id, _)| HashSet::contains(left, id));
            }
            if let Some((id, _)) = seen
                .iter()
                .find(|(id, _)| named.is_some_and(|it| it != *id))
            {
                let (table, id) = (table.to_owned(), *id);
                return Err(EntityError::OtherId { table, id }.into());
            }
            let mut changed_meanwhile = HashSet::new();
            for page in seen.chunks(ATOMIC) {
                let count = page.len();
                let not_written = loop {
                    let (schema, change, page) =
                        (Arc::clone(&schema), change.clone(), page.to_vec());
                    let vectors = std::mem::take(&mut computed);
                    let write = move |core: &Core| {
                        let left = core.write_if_unchanged(&schema, &page, &change, &vectors)?;
                        Ok((left, vectors))
                    };
                    let (not_written, vectors) = self.core.blocking(write).await?;
                    computed = vectors;
                    match computed.take_missing() {
                        Some(missing) => computed.embed(&self.core, missing).await?,
                        None => break not_written,
                    }
                };
                written += count - not_written.len();
                changed_meanwhile.extend(not_written);
            }
            if changed_meanwhile.is_empty() {
                return Ok(written);
            }
            left = Some(changed_meanwhile);
        }
        Err(Error::Contended {
            table: table.to_owned(),
            written,
            left: left.map_or(0, |left| left.len()),
        })
    }

    /// Returns the entities that match a condition, with the times of their last writes.
    async fn matching(
        &self,
        table: &str,
        condition: &Condition<'_>,
        parameters: &[Value],
    ) -> Result<Matching, Error> {
        let schema = self.core.schema(table)?;
        let selection = condition.select("_id, _updated_at", table);
        let found = self.query_with(&selection.sql, parameters).await;
        let found = found.map_err(|error| selection.error(error))?;
        let mut seen = Vec::with_capacity(found.num_rows());
        for batch in found.batches() {
            let ids = batch.column(0).as_string::<i32>().iter();
            let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            for (id, time) in ids.zip(times) {
                let id = id.and_then(|id| Uuid::parse_str(id).ok());
                seen.extend(id.zip(time.map(Timestamp::from_micros)));
            }
        }
        Ok(Matching { schema, seen })
    }
}

/// The entities that matched a condition.
struct Matching {
    schema: Arc<Schema>,
    seen: Vec<(Uuid, Timestamp)>,
}
