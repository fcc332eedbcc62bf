//! Running the background worker's tasks on a database, and the names of their spans.
//!
//! Each task is declared twice, because the relation of a span to its submitter is fixed at the
//! declaration: once as a child of a submitter that waits, and once as a trace of its own that
//! links to its submitter. The span of a retry has the number of its attempt.

use super::Database;
use super::error::Error;
use super::vectors::EmbeddingReport;
use crate::background_job;
use crate::worker::{Relation, Task, TaskFuture, TaskRunner};

impl TaskRunner for Database {
    fn run(&self, task: &Task, relation: Relation, attempt: u32) -> TaskFuture {
        let (database, task) = (self.clone(), task.clone());
        let retry = (attempt > 1).then_some(attempt);
        Box::pin(async move {
            match relation {
                Relation::Child => database.run_as_child(&task, retry).await?,
                Relation::Link => database.run_linked(&task, retry).await?,
            }
            Ok(())
        })
    }
}

impl Database {
    async fn run_as_child(&self, task: &Task, retry: Option<u32>) -> Result<(), Error> {
        match task {
            Task::SaveIndex { table } => self.save_index_job(table, retry).await.map(drop),
            Task::LoadIndex { table } => self.load_index_job(table, retry).await.map(drop),
            Task::GenerateEmbeddings { table } => {
                self.generate_embeddings_job(table, retry).await.map(drop)
            }
            Task::FlushWal => self.flush_wal_job(retry).await,
            Task::CompactCF { cf } => self.compact_job(cf, retry).await,
        }
    }

    async fn run_linked(&self, task: &Task, retry: Option<u32>) -> Result<(), Error> {
        match task {
            Task::SaveIndex { table } => self.save_index_linked(table, retry).await.map(drop),
            Task::LoadIndex { table } => self.load_index_linked(table, retry).await.map(drop),
            Task::GenerateEmbeddings { table } => self
                .generate_embeddings_linked(table, retry)
                .await
                .map(drop),
            Task::FlushWal => self.flush_wal_linked(retry).await,
            Task::CompactCF { cf } => self.compact_linked(cf, retry).await,
        }
    }

    #[background_job(index.save, table, batch_size = |vectors| *vectors, fields(job.attempt = retry))]
    async fn save_index_job(&self, table: &str, retry: Option<u32>) -> Result<usize, Error> {
        let table = table.to_owned();
        self.core
            .blocking(move |core| core.save_index(&table))
            .await
    }

    #[background_job(index.save, table, batch_size = |vectors| *vectors, parent = link, fields(job.attempt = retry))]
    async fn save_index_linked(&self, table: &str, retry: Option<u32>) -> Result<usize, Error> {
        let table = table.to_owned();
        self.core
            .blocking(move |core| core.save_index(&table))
            .await
    }

    #[background_job(index.load, table, batch_size = |vectors| *vectors, fields(job.attempt = retry))]
    async fn load_index_job(&self, table: &str, retry: Option<u32>) -> Result<usize, Error> {
        let table = table.to_owned();
        self.core
            .blocking(move |core| core.load_index(&table))
            .await
    }

    #[background_job(index.load, table, batch_size = |vectors| *vectors, parent = link, fields(job.attempt = retry))]
    async fn load_index_linked(&self, table: &str, retry: Option<u32>) -> Result<usize, Error> {
        let table = table.to_owned();
        self.core
            .blocking(move |core| core.load_index(&table))
            .await
    }

    #[background_job(embedding.generate, table, batch_size = |report| report.embedded, fields(job.attempt = retry))]
    async fn generate_embeddings_job(
        &self,
        table: &str,
        retry: Option<u32>,
    ) -> Result<EmbeddingReport, Error> {
        self.core.generate_embeddings(table).await
    }

    #[background_job(embedding.generate, table, batch_size = |report| report.embedded, parent = link, fields(job.attempt = retry))]
    async fn generate_embeddings_linked(
        &self,
        table: &str,
        retry: Option<u32>,
    ) -> Result<EmbeddingReport, Error> {
        self.core.generate_embeddings(table).await
    }

    #[background_job(wal.flush, target = "wal", fields(job.attempt = retry))]
    async fn flush_wal_job(&self, retry: Option<u32>) -> Result<(), Error> {
        self.core
            .blocking(|core| Ok(core.storage().flush_wal(true)?))
            .await
    }

    #[background_job(wal.flush, target = "wal", parent = link, fields(job.attempt = retry))]
    async fn flush_wal_linked(&self, retry: Option<u32>) -> Result<(), Error> {
        self.core
            .blocking(|core| Ok(core.storage().flush_wal(true)?))
            .await
    }

    #[background_job(db.compact, cf, fields(job.attempt = retry))]
    async fn compact_job(&self, cf: &str, retry: Option<u32>) -> Result<(), Error> {
        let cf = cf.to_owned();
        self.core
            .blocking(move |core| Ok(core.storage().compact(&cf)?))
            .await
    }

    #[background_job(db.compact, cf, parent = link, fields(job.attempt = retry))]
    async fn compact_linked(&self, cf: &str, retry: Option<u32>) -> Result<(), Error> {
        let cf = cf.to_owned();
        self.core
            .blocking(move |core| Ok(core.storage().compact(&cf)?))
            .await
    }
}
