//! The spans of a job that fails and is retried.

use std::time::Duration;

use opentelemetry::Value;
use percolate_core::Database;
use percolate_core::background_job;
use percolate_core::otel::testing::Capture;
use percolate_core::storage::{BackgroundWorker, Task, WorkerOptions};

#[background_job("report.render", target = "monthly")]
async fn hand_in(worker: &BackgroundWorker, wait: bool) {
    let task = Task::CompactCF {
        cf: "nowhere".to_owned(),
    };
    if wait {
        worker
            .submit_and_wait(task)
            .await
            .expect_err("there is no such column family");
    } else {
        let handle = worker.submit(task).expect("there is room");
        handle.await.expect_err("there is no such column family");
    }
}

/// Submits a job that always fails. Returns the spans of its attempts and of the submitter.
fn attempts(wait: bool, check: impl Fn(&percolate_core::otel::testing::Spans)) {
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        runtime.block_on(capture.instrument(async {
            let database =
                Database::open(directory.path()).expect("an empty directory is a database");
            let options = WorkerOptions::new()
                .attempts(3)
                .backoff(Duration::from_millis(1));
            let worker = BackgroundWorker::new(database, options).expect("inside a runtime");
            hand_in(&worker, wait).await;
        }));
        drop(runtime);
        check(&capture.spans());
    }
}

#[test]
fn each_attempt_is_a_linked_trace_with_its_number() {
    attempts(false, |spans| {
        let (submitter, runs) = (
            spans.span("report.render monthly"),
            spans.all("db.compact nowhere"),
        );
        let numbers: Vec<_> = runs
            .iter()
            .map(|run| run.attribute("job.attempt"))
            .collect();
        assert_eq!(numbers, [None, Some(&Value::I64(2)), Some(&Value::I64(3))]);
        for run in runs {
            assert_eq!(run.parent_id(), None);
            assert_eq!(run.links(), [(submitter.trace_id(), submitter.id())]);
            assert_eq!(
                run.attribute("job.status").map(Value::as_str).as_deref(),
                Some("failed")
            );
        }
    });
}

#[test]
fn each_attempt_is_a_child_of_a_waiting_caller() {
    attempts(true, |spans| {
        let (submitter, runs) = (
            spans.span("report.render monthly"),
            spans.all("db.compact nowhere"),
        );
        assert_eq!(runs.len(), 3);
        for run in runs {
            assert_eq!(run.parent_id(), Some(submitter.id()));
        }
    });
}
