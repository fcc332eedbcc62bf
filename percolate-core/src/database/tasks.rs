//! What the background worker's tasks do to a database, and under which names they are observed.
//!
//! Each task exists twice, because a span's relation to its submitter is decided where it is declared: as a child of
//! one who waits, and as a trace of its own with a link.

use super::{Database, EmbeddingReport, Error};
use crate::background_job;
use crate::otel::carry;
use crate::storage::{Relation, Task, TaskFuture, TaskRunner};

impl TaskRunner for Database {
    fn run(&self, task: &Task, relation: Relation) -> TaskFuture {
        let (database, task) = (self.clone(), task.clone());
        Box::pin(async move {
            match (task, relation) {
                (Task::SaveIndex { table }, Relation::Child) => database.save_index_later(&table).await.map(|_| ())?,
                (Task::SaveIndex { table }, Relation::Link) => database.save_index_linked(&table).await.map(|_| ())?,
                (Task::LoadIndex { table }, Relation::Child) => database.load_index_later(&table).await.map(|_| ())?,
                (Task::LoadIndex { table }, Relation::Link) => database.load_index_linked(&table).await.map(|_| ())?,
                (Task::GenerateEmbeddings { table }, Relation::Child) => {
                    database.generate_embeddings(&table).await.map(|_| ())?;
                }
                (Task::GenerateEmbeddings { table }, Relation::Link) => {
                    database.generate_embeddings_linked(&table).await.map(|_| ())?;
                }
                (Task::FlushWal, Relation::Child) => database.flush_wal_job().await?,
                (Task::FlushWal, Relation::Link) => database.flush_wal_linked().await?,
                (Task::CompactCF { cf }, Relation::Child) => database.compact_job(&cf).await?,
                (Task::CompactCF { cf }, Relation::Link) => database.compact_linked(&cf).await?,
            }
            Ok(())
        })
    }
}

impl Database {
    #[background_job(index.save, table, batch_size = |vectors| *vectors)]
    async fn save_index_later(&self, table: &str) -> Result<usize, Error> {
        let table = table.to_owned();
        self.blocking(move |database| database.save_index_now(&table)).await
    }

    #[background_job(index.save, table, batch_size = |vectors| *vectors, parent = link)]
    async fn save_index_linked(&self, table: &str) -> Result<usize, Error> {
        let table = table.to_owned();
        self.blocking(move |database| database.save_index_now(&table)).await
    }

    #[background_job(index.load, table, batch_size = |vectors| *vectors)]
    async fn load_index_later(&self, table: &str) -> Result<usize, Error> {
        let table = table.to_owned();
        self.blocking(move |database| database.load_index_now(&table)).await
    }

    #[background_job(index.load, table, batch_size = |vectors| *vectors, parent = link)]
    async fn load_index_linked(&self, table: &str) -> Result<usize, Error> {
        let table = table.to_owned();
        self.blocking(move |database| database.load_index_now(&table)).await
    }

    #[background_job(embedding.generate, table, batch_size = |report| report.embedded, parent = link)]
    async fn generate_embeddings_linked(&self, table: &str) -> Result<EmbeddingReport, Error> {
        self.generate_embeddings_now(table).await
    }

    #[background_job(wal.flush, target = "wal")]
    async fn flush_wal_job(&self) -> Result<(), Error> {
        self.blocking(|database| Ok(database.storage().flush_wal(true)?)).await
    }

    #[background_job(wal.flush, target = "wal", parent = link)]
    async fn flush_wal_linked(&self) -> Result<(), Error> {
        self.blocking(|database| Ok(database.storage().flush_wal(true)?)).await
    }

    #[background_job(db.compact, cf)]
    async fn compact_job(&self, cf: &str) -> Result<(), Error> {
        let cf = cf.to_owned();
        self.blocking(move |database| Ok(database.storage().compact(&cf)?)).await
    }

    #[background_job(db.compact, cf, parent = link)]
    async fn compact_linked(&self, cf: &str) -> Result<(), Error> {
        let cf = cf.to_owned();
        self.blocking(move |database| Ok(database.storage().compact(&cf)?)).await
    }

    /// Does what waits for the disk where it holds nobody up, in the same context.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = self.clone();
        match tokio::task::spawn_blocking(carry(move || work(&database))).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::ShuttingDown),
            },
        }
    }
}
