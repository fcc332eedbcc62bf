//! Searches among the entities that match an SQL condition.
//!
//! The condition is evaluated first, and only the matching entities are searched. The condition, the
//! vectors and the entities are read from one snapshot.

use std::sync::Arc;

use datafusion::arrow::array::AsArray as _;
use datafusion::common::ScalarValue;
use serde_json::Value;
use uuid::Uuid;

use super::compute::{View, on_snapshot};
use super::condition::{Condition, Selection};
use super::result::QueryResult;
use super::statement::Statement;
use super::{require_runtime, summary, unusable, with_parameters};
use crate::database::Database;
use crate::database::among::Among;
use crate::database::error::Error;
use crate::database::nearest::Hit;
use crate::database::search::require_embedded;
use crate::otel::query_text;
use crate::{db_op, db_ops};

/// Searches with a condition.
#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    /// Returns the entities that match `condition` and whose embedded fields are nearest in meaning
    /// to `text`, nearest first. The condition is the text after WHERE of a [`query`](Self::query),
    /// with `parameters` for its placeholders, as for [`update_where`](Self::update_where).
    ///
    /// The number of results is exact: `k`, or that of all matching entities that have a vector, if
    /// these are fewer. Up to 2,048 matching entities are compared one by one, and the results are
    /// the nearest. For more, the vector index is searched, which is approximate.
    ///
    /// The results are of one snapshot: each entity is returned as it was when it matched, with the
    /// distance of the vector that it had then. Of vectors that were written or removed after the
    /// snapshot, an index that is searched has only the later state, so entities that others change
    /// meanwhile can be left out in favour of more distant ones.
    ///
    /// Dropping the future cancels the search.
    ///
    /// ```
    /// use percolate_core::Database;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({
    ///     "properties": { "body": { "type": "string" }, "year": { "type": "integer" } },
    ///     "embedding_fields": ["body"],
    /// }))?;
    /// db.insert("articles", &json!({ "body": "a store of keys and values", "year": 1957 }))?;
    /// db.insert("articles", &json!({ "body": "a client for HTTP requests", "year": 2024 }))?;
    /// db.generate_embeddings("articles").await?;
    /// let recent = db.search_where("articles", "key value store", 5, "year > $1", &[json!(2000)]).await?;
    /// assert_eq!(recent.len(), 1);
    /// assert_eq!(recent[0].entity.data["year"], 2024);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`query_with`](Self::query_with) for the condition, and those of
    /// [`search`](Self::search).
    #[db_op(search, table)]
    pub async fn search_where(
        &self,
        table: &str,
        text: &str,
        k: usize,
        condition: &str,
        parameters: &[Value],
    ) -> Result<Vec<Hit>, Error> {
        require_embedded(&*self.core.schema(table)?)?;
        let search = Search::new(table, k, condition, parameters)?;
        let vector = self.core.embedder().embed_one(text).await?;
        self.search_matching(search, vector).await
    }

    /// Like [`search_where`](Self::search_where), with a vector that the provider created.
    ///
    /// # Errors
    ///
    /// Those of [`query_with`](Self::query_with) for the condition, and those of
    /// [`search_vector`](Self::search_vector).
    #[db_op(search, table)]
    pub async fn search_vector_where(
        &self,
        table: &str,
        vector: &[f32],
        k: usize,
        condition: &str,
        parameters: &[Value],
    ) -> Result<Vec<Hit>, Error> {
        self.searchable(table, vector)?;
        let search = Search::new(table, k, condition, parameters)?;
        self.search_matching(search, vector.to_vec()).await
    }

    /// The query of a condition, on the snapshot of its search.
    #[db_op(query, query_text = raw(query_text::sanitize(sql)), query_summary = summary(sql))]
    fn matching_in(
        &self,
        view: &View<'_>,
        sql: &str,
        statement: Statement,
        parameters: Vec<ScalarValue>,
    ) -> Result<QueryResult, Error> {
        let result = view.run(statement, parameters);
        result.map_err(|error| unusable(&self.core, error))
    }
}

/// A search with a condition that was parsed.
struct Search {
    table: String,
    k: usize,
    selection: Selection,
    statement: Statement,
    parameters: Vec<ScalarValue>,
}

impl Search {
    fn new(table: &str, k: usize, condition: &str, parameters: &[Value]) -> Result<Self, Error> {
        let selection = Condition::new(condition)?.select("_id", table);
        let statement =
            Statement::parse(&selection.sql).map_err(|error| selection.error(error.into()))?;
        let (statement, parameters) = with_parameters(statement, parameters)?;
        require_runtime()?;
        Ok(Self {
            table: table.to_owned(),
            k,
            selection,
            statement,
            parameters,
        })
    }
}

impl Database {
    async fn search_matching(&self, search: Search, vector: Vec<f32>) -> Result<Vec<Hit>, Error> {
        let database = self.clone();
        on_snapshot(&self.core, move |view| {
            let Search {
                table,
                k,
                selection,
                statement,
                parameters,
            } = search;
            let found = database.matching_in(view, &selection.sql, statement, parameters)?;
            let schema = match view.tables.get(&table) {
                Some(schema) => Arc::clone(schema),
                None => database.core.schema(&table)?,
            };
            require_embedded(&schema)?;
            let among = Among {
                snapshot: &view.snapshot,
                schema: &schema,
                query: &vector,
                k,
                flow: &|| view.flow(),
            };
            database.core.nearest_among(&among, &ids_of(&found))
        })
        .await
    }
}

/// Returns the ids in the first column of a result.
fn ids_of(found: &QueryResult) -> Vec<Uuid> {
    let batches = found.batches().iter();
    batches
        .flat_map(|batch| batch.column(0).as_string::<i32>())
        .filter_map(|id| Uuid::parse_str(id?).ok())
        .collect()
}
