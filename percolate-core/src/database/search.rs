//! The public operations on vectors: creating them, saving and loading their indexes, and
//! searching.
//!
//! They name and observe the operations. The implementations are in [`vectors`](super::vectors) and
//! [`nearest`](super::nearest). Searches with a condition are in `query/search.rs`.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Database;
use super::error::Error;
use super::nearest::{Hit, SearchFilter};
use super::pending::EmbeddingStatus;
use super::vectors::EmbeddingReport;
use crate::index::vectors::check_query;
use crate::progress::{OnProgress, Progress};
use crate::schema::Schema;
use crate::{background_job, db_op, db_ops};

/// Creates, saves and loads vectors and their indexes.
impl Database {
    /// Creates the vectors of all entities of a table that are marked for embedding.
    ///
    /// # Errors
    ///
    /// [`Error::Embedding`] if the provider fails for a whole page of entities, or the error of the
    /// store. Vectors created before the failure are kept. A text for which the provider has no
    /// vector, while it embeds others, does not fail the job: its entity is set aside, see
    /// [`EmbeddingReport::refused`].
    #[background_job(embedding.generate, table, batch_size = |report| report.embedded)]
    pub async fn generate_embeddings(&self, table: &str) -> Result<EmbeddingReport, Error> {
        self.core
            .generate_embeddings(table, &OnProgress::default())
            .await
    }

    /// Creates vectors as [`generate_embeddings`](Self::generate_embeddings) does, and calls `report`
    /// after each page of entities. The work ends there if it returns [`ControlFlow::Break`]: the
    /// report counts the entities up to then, and the others stay marked.
    ///
    /// # Errors
    ///
    /// Those of [`generate_embeddings`](Self::generate_embeddings).
    #[background_job(embedding.generate, table, batch_size = |report| report.embedded)]
    pub async fn generate_embeddings_with(
        &self,
        table: &str,
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<EmbeddingReport, Error> {
        self.core
            .generate_embeddings(table, &OnProgress::new(report))
            .await
    }

    /// Writes the vector indexes of a table to files, so that they need not be rebuilt after the
    /// next open. Returns the number of vectors.
    #[background_job(index.save, table, batch_size = |vectors| *vectors)]
    pub fn save_index(&self, table: &str) -> Result<usize, Error> {
        self.core.save_index(table)
    }

    /// Loads the vector indexes of a table into memory, from their files if these are complete and
    /// current, otherwise from the stored vectors. Returns the number of vectors.
    #[background_job(index.load, table, batch_size = |vectors| *vectors)]
    pub fn load_index(&self, table: &str) -> Result<usize, Error> {
        let running = self.core.index_progress();
        let tell = |vectors| running.notify(vectors, None);
        self.core.load_index(table, &tell)
    }
}

/// Vector search.
#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    /// Returns at most `k` entities whose embedded fields are nearest in meaning to `text`, nearest
    /// first.
    ///
    /// An entity is found after [`generate_embeddings`](Self::generate_embeddings) has created its
    /// vectors. A change of a text removes its vector, so the entity is not found by the old text.
    ///
    /// The first search loads the index: from its file if [`save_index`](Self::save_index) has
    /// written a current one, otherwise by building it from the stored vectors, which may take long.
    /// The building is the job `index.build {table}` below the span of the search, and
    /// [`on_index_progress`](Self::on_index_progress) reports it.
    /// [`load_vector_indexes`](crate::admin::IndexManager::load_vector_indexes) does it in advance.
    /// Dropping the future cancels the search and the loading.
    ///
    /// ```
    /// use percolate_core::Database;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({
    ///     "properties": { "body": { "type": "string" } },
    ///     "embedding_fields": ["body"],
    /// }))?;
    /// db.insert("articles", &json!({ "body": "an embedded store of keys and values" }))?;
    /// db.insert("articles", &json!({ "body": "a client for HTTP requests" }))?;
    /// db.generate_embeddings("articles").await?;
    /// let hits = db.search("articles", "key value store", 1, None).await?;
    /// assert_eq!(hits[0].entity.data["body"], "an embedded store of keys and values");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotEmbedded`] if the table has no embedded fields, [`Error::Embedding`] if the
    /// provider fails.
    #[db_op(search, table)]
    pub async fn search(
        &self,
        table: &str,
        text: &str,
        k: usize,
        filter: Option<&SearchFilter<'_>>,
    ) -> Result<Vec<Hit>, Error> {
        let schema = self.core.schema(table)?;
        require_embedded(&schema)?;
        let vector = self.core.embedder().embed_one(text).await?;
        self.core.bring_into_memory(&schema).await?;
        self.core.nearest(&schema, &vector, k, filter)
    }

    /// Like [`search`](Self::search), with a vector that the provider created.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmbedded`] if the table has no embedded fields, [`Error::Vector`] if the vector has
    /// another length than the provider's, is all zeros, or contains NaN or an infinity.
    #[db_op(search, table)]
    pub fn search_vector(
        &self,
        table: &str,
        vector: &[f32],
        k: usize,
        filter: Option<&SearchFilter<'_>>,
    ) -> Result<Vec<Hit>, Error> {
        let schema = self.searchable(table, vector)?;
        self.core.nearest(&schema, vector, k, filter)
    }

    /// Like [`search_vector`](Self::search_vector), but the first search loads the index on tokio's
    /// blocking pool. Dropping the future cancels the search and the loading.
    ///
    /// # Errors
    ///
    /// Those of [`search_vector`](Self::search_vector).
    #[db_op(search, table)]
    pub async fn search_vector_async(
        &self,
        table: &str,
        vector: &[f32],
        k: usize,
        filter: Option<&SearchFilter<'_>>,
    ) -> Result<Vec<Hit>, Error> {
        let schema = self.searchable(table, vector)?;
        self.core.bring_into_memory(&schema).await?;
        self.core.nearest(&schema, vector, k, filter)
    }
}

impl Database {
    /// Returns the schema of a table that can be searched for `vector`.
    pub(crate) fn searchable(&self, table: &str, vector: &[f32]) -> Result<Arc<Schema>, Error> {
        let schema = self.core.schema(table)?;
        require_embedded(&schema)?;
        check_query(self.core.dimensions(), vector)?;
        Ok(schema)
    }

    /// Returns a handle of the same database that calls `report` while its searches and
    /// [`load_index`](Self::load_index) build a vector index, with the number of vectors that were
    /// added so far. The call fails with [`Error::Cancelled`] if it returns [`ControlFlow::Break`],
    /// and the index is dropped. While another thread loads the same index, `report` is called with
    /// 0. It must not search the table.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use percolate_core::Database;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({ "embedding_fields": ["body"] }))?;
    /// db.insert("articles", &json!({ "body": "porous stone" }))?;
    /// db.generate_embeddings("articles").await?;
    /// let vectors = Arc::new(AtomicUsize::new(0));
    /// let seen = Arc::clone(&vectors);
    /// let reporting = db.on_index_progress(move |progress| {
    ///     seen.store(progress.done, Ordering::Relaxed);
    ///     ControlFlow::Continue(())
    /// });
    /// reporting.search("articles", "stone", 1, None).await?;
    /// assert_eq!(vectors.load(Ordering::Relaxed), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on_index_progress(
        &self,
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            core: self.core.on_index_progress(OnProgress::new(report)),
        }
    }

    /// Marks every entity of a table for re-embedding, for example after a change of the provider.
    /// Returns the number of entities. The next [`generate_embeddings`](Self::generate_embeddings)
    /// creates the vectors. [`Vectors`](crate::Vectors) that were supplied with entities stay if they
    /// have the provider's dimensions.
    pub fn mark_for_embedding(&self, table: &str) -> Result<usize, Error> {
        self.core.mark_for_embedding(table)
    }

    /// Returns the number of entities of a table that wait for embedding, and the texts that were
    /// set aside because the provider has no vector for them.
    pub fn embedding_status(&self, table: &str) -> Result<EmbeddingStatus, Error> {
        self.core.embedding_status(table)
    }

    /// Marks the entities that were set aside for embedding, for example after the provider was
    /// repaired. Returns their number.
    pub fn retry_refused_embeddings(&self, table: &str) -> Result<usize, Error> {
        self.core.retry_refused(table)
    }
}

pub(crate) fn require_embedded(schema: &Schema) -> Result<(), Error> {
    if schema.embedding_fields().is_empty() {
        return Err(Error::NotEmbedded {
            table: schema.table().to_owned(),
        });
    }
    Ok(())
}
