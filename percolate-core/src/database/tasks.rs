//! Running the background worker's tasks on a database, and the names of their spans.
//!
//! The span of a retry has the number of its attempt.

use std::ops::ControlFlow;

use super::Database;
use super::error::Error;
use super::vectors::EmbeddingReport;
use crate::background_job;
use crate::otel::Parent;
use crate::progress::OnProgress;
use crate::worker::{Relation, Task, TaskFuture, TaskRunner};

impl TaskRunner for Database {
    fn run(&self, task: &Task, relation: Relation, attempt: u32) -> TaskFuture {
        let (database, task) = (self.clone(), task.clone());
        let parent = match relation {
            Relation::Child => Parent::Child,
            Relation::Link => Parent::Link,
        };
        let retry = (attempt > 1).then_some(attempt);
        Box::pin(async move {
            database.run_task(&task, parent, retry).await?;
            Ok(())
        })
    }
}

impl Database {
    async fn run_task(&self, task: &Task, parent: Parent, retry: Option<u32>) -> Result<(), Error> {
        match task {
            Task::SaveIndex { table } => self.save_index_job(table, parent, retry).await.map(drop),
            Task::LoadIndex { table } => self.load_index_job(table, parent, retry).await.map(drop),
            Task::GenerateEmbeddings { table } => self
                .generate_embeddings_job(table, parent, retry)
                .await
                .map(drop),
            Task::FlushWal => self.flush_wal_job(parent, retry).await,
            Task::CompactCF { cf } => self.compact_job(cf, parent, retry).await,
        }
    }

    #[background_job(index.save, table, batch_size = |vectors| *vectors, parent = parent, fields(job.attempt = retry))]
    async fn save_index_job(
        &self,
        table: &str,
        parent: Parent,
        retry: Option<u32>,
    ) -> Result<usize, Error> {
        let table = table.to_owned();
        self.core
            .blocking(move |core| core.save_index(&table))
            .await
    }

    #[background_job(index.load, table, batch_size = |vectors| *vectors, parent = parent, fields(job.attempt = retry))]
    async fn load_index_job(
        &self,
        table: &str,
        parent: Parent,
        retry: Option<u32>,
    ) -> Result<usize, Error> {
        let table = table.to_owned();
        self.core
            .blocking(move |core| core.load_index(&table, &|_| ControlFlow::Continue(())))
            .await
    }

    #[background_job(embedding.generate, table, batch_size = |report| report.embedded, parent = parent, fields(job.attempt = retry))]
    async fn generate_embeddings_job(
        &self,
        table: &str,
        parent: Parent,
        retry: Option<u32>,
    ) -> Result<EmbeddingReport, Error> {
        self.core
            .generate_embeddings(table, &OnProgress::default())
            .await
    }

    #[background_job(wal.flush, target = "wal", parent = parent, fields(job.attempt = retry))]
    async fn flush_wal_job(&self, parent: Parent, retry: Option<u32>) -> Result<(), Error> {
        self.core
            .blocking(|core| Ok(core.storage().flush_wal(true)?))
            .await
    }

    #[background_job(db.compact, cf, parent = parent, fields(job.attempt = retry))]
    async fn compact_job(&self, cf: &str, parent: Parent, retry: Option<u32>) -> Result<(), Error> {
        let cf = cf.to_owned();
        self.core
            .blocking(move |core| Ok(core.storage().compact(&cf)?))
            .await
    }
}
