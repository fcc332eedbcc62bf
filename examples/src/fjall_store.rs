//! Annotating fjall: a scan that returns an iterator, and a job in a queue that is linked to the call that
//! submitted it.
//!
//! [`Capture`] replaces an exporter, so that the example can check its own output.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use percolate_core::otel::testing::Capture;
use percolate_core::otel::{QueueWait, carry};
use percolate_core::{background_job, db_op, db_ops};

struct Store {
    database: Database,
    novels: Keyspace,
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

#[db_ops(system = "fjall", namespace = "library")]
impl Store {
    fn open(path: &Path, jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>) -> fjall::Result<Self> {
        let database = Database::builder(path).open()?;
        let novels = database.keyspace("novels", KeyspaceCreateOptions::default)?;
        Ok(Self {
            database,
            novels,
            jobs,
        })
    }

    #[db_op(put, "novels", affected_rows = 1)]
    fn put(&self, key: &str, value: &str) -> fjall::Result<()> {
        self.novels.insert(key, value)
    }

    /// The call ends when the iterator is exhausted or dropped, and counts the rows that were read.
    #[db_op(scan, "novels", rows = stream)]
    fn starting_with(&self, prefix: &str) -> impl Iterator<Item = fjall::Result<String>> + use<> {
        let rows = self.novels.prefix(prefix);
        rows.map(|row| Ok(String::from_utf8_lossy(&row.into_inner()?.0).into_owned()))
    }

    /// Writes, and queues the job that makes the writes durable.
    #[db_op("import", "novels", affected_rows = rows.len())]
    fn import(self: &Arc<Self>, rows: &[(&str, &str)]) -> fjall::Result<()> {
        for (key, value) in rows {
            self.put(key, value)?;
        }
        let (store, wait) = (Arc::clone(self), QueueWait::begin("persist"));
        let job = carry(move || {
            wait.end();
            // The error is on the span of the job.
            _ = store.persist();
        });
        _ = self.jobs.send(Box::new(job));
        Ok(())
    }

    /// Has a trace of its own, with a link to the call that submitted it, which does not wait for it.
    #[background_job(wal.flush, "library", parent = link)]
    fn persist(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncAll)
    }
}

#[expect(clippy::print_stdout, reason = "the example prints its spans")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (sender, jobs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let worker = thread::spawn(move || jobs.into_iter().for_each(|job| job()));
    let store = Arc::new(Store::open(folder.path(), sender)?);
    let capture = Capture::new();
    capture.run(|| {
        store.put("emma", "1815")?;
        assert_eq!(store.starting_with("e").count(), 1);
        store.import(&[("evelina", "1778"), ("persuasion", "1817")])
    })?;
    drop(store); // and with it the sender, after the last job
    worker.join().expect("the worker does not panic");

    let shown = ["db.response.returned_rows", "job.status"];
    print!("{}", capture.spans().tree_with(&shown));
    capture.spans().assert_tree_with(
        &shown,
        "
        put novels [client]
        scan novels [client]
          | db.response.returned_rows = 1
        import novels [client]
          put novels [client]
          put novels [client]
        wal.flush library [internal]
          ~ link to import novels
          | job.status = \"success\"
        ",
    );
    let waits = capture
        .metrics()
        .count("job.queue.wait", &[("job.queue.name", "persist")]);
    assert_eq!(waits, 1);
    Ok(())
}
