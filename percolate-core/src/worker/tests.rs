//! Queues, retries, panics and shutdown, with jobs that do nothing else.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;

/// A runner whose tasks do nothing: these tests submit their own jobs.
struct Nothing;

impl TaskRunner for Nothing {
    fn run(&self, _: &Task, _: Relation, _: u32) -> TaskFuture {
        Box::pin(async { Ok(()) })
    }
}

fn worker(options: WorkerOptions) -> BackgroundWorker {
    BackgroundWorker::new(Nothing, options.backoff(Duration::from_millis(1))).unwrap()
}

fn test<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), body)
            .await
            .expect("it should not hang")
    })
}

fn succeed(_: u32) -> TaskFuture {
    Box::pin(async { Ok(()) })
}

fn forever(_: u32) -> TaskFuture {
    Box::pin(std::future::pending())
}

#[test]
fn a_worker_needs_a_runtime() {
    assert_eq!(
        BackgroundWorker::new(Nothing, WorkerOptions::new()).unwrap_err(),
        SubmitError::NoRuntime
    );
}

#[test]
fn jobs_are_done_and_counted() {
    test(async {
        let worker = worker(WorkerOptions::new());
        let handles: Vec<_> = (0..10)
            .map(|_| worker.submit_job(succeed).unwrap())
            .collect();
        worker.wait_idle().await;
        assert_eq!(
            worker.status(),
            WorkerStatus {
                succeeded: 10,
                ..WorkerStatus::default()
            }
        );
        for handle in handles {
            handle.await.unwrap();
        }
    });
}

#[test]
fn a_full_queue_refuses_and_counts_and_waiting_finds_room() {
    test(async {
        let worker = worker(WorkerOptions::new().capacity(1).workers(1));
        let (open, gate) = oneshot::channel::<()>();
        let mut gate = Some(gate);
        let first = worker.submit_job(move |_| {
            let gate = gate.take();
            Box::pin(async move { Ok(gate.ok_or("tried twice")?.await?) })
        });
        let first = first.unwrap();
        while worker.status().running == 0 {
            tokio::task::yield_now().await;
        }
        let second = worker.submit_job(succeed).unwrap();
        assert_eq!(
            worker.submit_job(succeed).unwrap_err(),
            SubmitError::Full { capacity: 1 }
        );
        assert_eq!(worker.status().refused, 1);
        let (waited, ()) = tokio::join!(worker.submit_and_wait(Task::FlushWal), async {
            tokio::task::yield_now().await;
            open.send(()).unwrap();
        });
        waited.unwrap();
        first.await.unwrap();
        second.await.unwrap();
    });
}

#[test]
fn a_failing_job_is_retried_with_the_number_of_the_attempt() {
    test(async {
        let worker = worker(WorkerOptions::new().attempts(3));
        let attempts = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&attempts);
        let second_time = worker.submit_job(move |attempt| {
            seen.fetch_add(attempt, Ordering::Relaxed);
            Box::pin(async move {
                if attempt == 2 {
                    Ok(())
                } else {
                    Err("not yet".into())
                }
            })
        });
        second_time.unwrap().await.unwrap();
        assert_eq!(attempts.load(Ordering::Relaxed), 3);
        let error = worker
            .submit_job(|_| Box::pin(async { Err("never".into()) }))
            .unwrap()
            .await
            .unwrap_err();
        assert!(
            matches!(error, JobError::Failed { attempts: 3, .. }),
            "{error:?}"
        );
        assert_eq!(
            worker.status(),
            WorkerStatus {
                succeeded: 1,
                failed: 1,
                retried: 3,
                ..WorkerStatus::default()
            }
        );
    });
}

#[test]
fn numbers_below_one_are_raised_to_one() {
    test(async {
        let options = WorkerOptions::new().capacity(0).workers(0).attempts(0);
        assert_eq!(
            options,
            WorkerOptions::new().capacity(1).workers(1).attempts(1)
        );
        let worker = worker(options);
        worker.submit_and_wait(Task::FlushWal).await.unwrap();
        assert_eq!(worker.status().succeeded, 1);
    });
}

#[test]
fn a_capacity_without_limit_is_accepted() {
    test(async {
        let worker = worker(WorkerOptions::new().capacity(usize::MAX));
        worker.submit_and_wait(Task::FlushWal).await.unwrap();
    });
}

#[test]
fn a_panic_fails_its_job_and_no_other() {
    test(async {
        let worker = worker(WorkerOptions::new().workers(1));
        let panicking = worker
            .submit_job(|_| Box::pin(async { panic!("on purpose") }))
            .unwrap();
        let after = worker.submit_job(succeed).unwrap();
        assert!(matches!(panicking.await.unwrap_err(), JobError::Panicked));
        after.await.unwrap();
        assert_eq!(worker.status().failed, 1);
    });
}

#[test]
fn shutting_down_finishes_what_was_handed_in() {
    test(async {
        let worker = worker(WorkerOptions::new().workers(2));
        let handles: Vec<_> = (0..20)
            .map(|_| worker.submit_job(succeed).unwrap())
            .collect();
        let drained = worker.shutdown(Duration::from_secs(10)).await;
        assert_eq!(
            drained,
            Drained {
                finished: 20,
                abandoned: 0
            }
        );
        for handle in handles {
            handle.await.unwrap();
        }
    });
}

#[test]
fn what_is_not_done_by_the_deadline_is_abandoned() {
    test(async {
        let worker = worker(WorkerOptions::new().workers(1));
        let stuck = worker.submit_job(forever).unwrap();
        let queued = worker.submit_job(succeed).unwrap();
        let drained = worker.shutdown(Duration::from_millis(20)).await;
        assert_eq!(
            drained,
            Drained {
                finished: 0,
                abandoned: 2
            }
        );
        assert!(matches!(stuck.await.unwrap_err(), JobError::Abandoned));
        assert!(matches!(queued.await.unwrap_err(), JobError::Abandoned));
    });
}

#[test]
fn a_job_that_blocks_does_not_hold_up_the_deadline() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    runtime.block_on(async {
        let worker = worker(WorkerOptions::new().workers(1));
        let blocking = worker.submit_job(move |_| {
            _ = gate.lock().unwrap().recv();
            Box::pin(async { Ok(()) })
        });
        let blocking = blocking.unwrap();
        while worker.status().running == 0 {
            tokio::task::yield_now().await;
        }
        let drained = worker.shutdown(Duration::from_millis(10)).await;
        assert_eq!(
            drained,
            Drained {
                finished: 0,
                abandoned: 1
            }
        );
        // Still blocked, or this would never be sent.
        open.send(()).unwrap();
        assert!(!matches!(blocking.await, Err(JobError::Submit(_))));
    });
}

#[test]
fn dropping_a_worker_abandons_its_jobs() {
    test(async {
        let worker = worker(WorkerOptions::new().workers(1));
        let stuck = worker.submit_job(forever).unwrap();
        let queued = worker.submit_job(forever).unwrap();
        tokio::task::yield_now().await;
        drop(worker);
        assert!(matches!(stuck.await.unwrap_err(), JobError::Abandoned));
        assert!(matches!(queued.await.unwrap_err(), JobError::Abandoned));
    });
}
