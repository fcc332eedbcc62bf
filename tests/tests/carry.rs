//! The trace context in other threads, tasks, pools and queues. Each test checks the parent span id
//! of the work, with percolate's own records and with a tracing-opentelemetry layer.

use std::sync::mpsc;

use opentelemetry::trace::SpanId;
use percolate_core::otel::Sampler;
use percolate_core::otel::testing::{Capture, CapturedSpan, Spans};
use percolate_core::otel::{
    Carry as _, TraceContext, Traced, attach_trace_context, carry, carry_each, with_trace_context,
};
use percolate_core::{background_job, db_op};
use rayon::prelude::*;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[db_op(get, cf)]
fn get(cf: &str) -> Option<u8> {
    (cf != "nothing").then_some(1)
}

#[db_op(get, cf)]
async fn get_later(cf: &str) -> Option<u8> {
    tokio::task::yield_now().await;
    get(cf)
}

#[background_job(index.build, target)]
fn build<R>(target: &str, body: impl FnOnce() -> R) -> R {
    body()
}

#[background_job(index.save, target, parent = link)]
fn save(target: &str) {
    get(target);
}

fn captures() -> [Capture; 2] {
    [Capture::new(), Capture::builder().compact_records().build()]
}

/// Runs `body` inside the job `index.build hnsw` with both kinds of capture, and checks that
/// `get articles` is a child of the job.
fn under_a_job(body: impl Fn()) -> [Spans; 2] {
    captures().map(|capture| {
        capture.run(|| build("hnsw", &body));
        let spans = capture.spans();
        let (job, gets) = (spans.span("index.build hnsw"), spans.all("get articles"));
        assert!(!gets.is_empty(), "nothing was recorded");
        for get in gets {
            assert_child(get, job);
        }
        spans
    })
}

fn assert_child(child: &CapturedSpan, parent: &CapturedSpan) {
    assert_eq!(
        child.parent_id(),
        Some(parent.id()),
        "{} is not a child of {}",
        child.name(),
        parent.name()
    );
    assert_eq!(child.trace_id(), parent.trace_id());
}

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads start")
}

#[test]
fn a_thread_starts_a_new_trace_without_carry() {
    let capture = Capture::builder().compact_records().build();
    let other = capture.clone();
    capture.run(|| {
        build("hnsw", || {
            std::thread::spawn(move || other.run(|| get("articles")))
                .join()
                .expect("no panic");
        });
    });
    assert_eq!(capture.spans().span("get articles").parent_id(), None);
}

#[test]
fn a_thread_continues_the_trace_with_carry() {
    under_a_job(|| {
        std::thread::spawn(carry(|| get("articles")))
            .join()
            .expect("no panic");
    });
}

#[test]
fn a_scoped_thread_continues_the_trace_with_carry() {
    under_a_job(|| {
        std::thread::scope(|scope| {
            scope.spawn(carry(|| get("articles")));
        });
    });
}

#[test]
fn a_spawned_task_continues_the_trace_with_carry() {
    under_a_job(|| {
        let task = async { get("articles") }.carry();
        let runtime = tokio_runtime();
        runtime
            .block_on(async { tokio::spawn(task).await })
            .expect("no panic");
    });
}

#[test]
fn tasks_of_a_join_set_continue_the_trace_with_carry() {
    under_a_job(|| {
        let mut tasks = tokio::task::JoinSet::new();
        let runtime = tokio_runtime();
        for _ in 0..4 {
            tasks.spawn_on(async { get("articles") }.carry(), runtime.handle());
        }
        runtime.block_on(tasks.join_all());
    });
}

#[test]
fn a_blocking_task_continues_the_trace_with_carry() {
    under_a_job(|| {
        let runtime = tokio_runtime();
        let task = runtime.spawn_blocking(carry(|| get("articles")));
        runtime.block_on(task).expect("no panic");
    });
}

#[test]
fn a_rayon_iterator_continues_the_trace_with_carry_each() {
    for spans in under_a_job(|| {
        let found: Vec<_> = (0..64)
            .into_par_iter()
            .map(carry_each(|_| get("articles")))
            .collect();
        assert_eq!(found.len(), 64);
    }) {
        assert_eq!(spans.all("get articles").len(), 64);
    }
}

#[test]
fn rayon_join_and_spawn_continue_the_trace_with_carry() {
    under_a_job(|| {
        rayon::join(carry(|| get("articles")), carry(|| get("articles")));
        rayon::scope(|scope| {
            let work = carry(|| get("articles"));
            scope.spawn(move |_| _ = work());
        });
    });
}

#[test]
fn a_message_carries_the_senders_context_through_a_channel() {
    under_a_job(|| {
        let (sender, receiver) = mpsc::channel::<Traced<&str>>();
        let worker = std::thread::spawn(move || {
            for message in receiver {
                message.run(drop_get);
            }
        });
        sender
            .send(Traced::new("articles"))
            .expect("the worker is running");
        drop(sender);
        worker.join().expect("no panic");
    });
}

fn drop_get(cf: &str) {
    get(cf);
}

#[test]
fn an_async_handler_runs_in_the_senders_context() {
    under_a_job(|| {
        let runtime = tokio_runtime();
        runtime.block_on(async {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<Traced<&str>>(1);
            let worker = tokio::spawn(async move {
                while let Some(message) = receiver.recv().await {
                    message
                        .map(str::to_owned)
                        .run_async(|cf| async move { get(&cf) })
                        .await;
                }
            });
            sender
                .send(Traced::new("articles"))
                .await
                .expect("the worker is running");
            drop(sender);
            worker.await.expect("no panic");
        });
    });
}

#[test]
fn fire_and_forget_work_links_to_the_sender() {
    for capture in captures() {
        let message = capture.run(|| build("hnsw", || Traced::new("articles")));
        std::thread::spawn(move || message.run(save))
            .join()
            .expect("no panic");
        let spans = capture.spans();
        let (sender, save) = (
            spans.span("index.build hnsw"),
            spans.span("index.save articles"),
        );
        assert_eq!(save.parent_id(), None);
        assert_ne!(save.trace_id(), sender.trace_id());
        assert_eq!(save.links(), [(sender.trace_id(), sender.id())]);
        assert_child(spans.span("get articles"), save);
    }
}

#[test]
fn each_attempt_is_a_root_that_links_to_the_first_sender() {
    for capture in captures() {
        let message = capture.run(|| build("hnsw", || Traced::new("articles")));
        for _attempt in 1..=3 {
            message.clone().run(save);
        }
        let spans = capture.spans();
        let (sender, attempts) = (
            spans.span("index.build hnsw"),
            spans.all("index.save articles"),
        );
        assert_eq!(attempts.len(), 3);
        for attempt in &attempts {
            assert_eq!(attempt.links(), [(sender.trace_id(), sender.id())]);
            assert!(
                attempts
                    .iter()
                    .filter(|other| other.trace_id() == attempt.trace_id())
                    .count()
                    == 1
            );
        }
    }
}

#[test]
fn nested_calls_of_a_carried_future_stay_in_order() {
    under_a_job(|| {
        let runtime = tokio_runtime();
        let first = async {
            get_later("users").await;
            get("articles");
        };
        let (first, second) = (first.carry(), async { get_later("users").await }.carry());
        runtime
            .block_on(async { tokio::join!(tokio::spawn(first), tokio::spawn(second)) })
            .0
            .expect("no panic");
    });
}

#[test]
fn an_attached_context_is_the_parent_until_its_guard_is_dropped() {
    for capture in captures() {
        let _entered = capture.enter();
        {
            let _guard = attach_trace_context(SAMPLED.parse().ok());
            get("articles");
        }
        get("users");
        let spans = capture.spans();
        let remote: TraceContext = SAMPLED.parse().expect("valid");
        let parent = remote.parent().expect("valid");
        assert_eq!(
            spans.span("get articles").parent_id(),
            Some(parent.span_id())
        );
        assert_eq!(spans.span("get articles").trace_id(), parent.trace_id());
        assert!(spans.span("get articles").data().parent_span_is_remote);
        assert_eq!(spans.span("get users").parent_id(), None);
        assert_ne!(spans.span("get users").trace_id(), parent.trace_id());
    }
}

#[test]
fn a_future_keeps_its_attached_context_on_every_thread() {
    for capture in captures() {
        let request = with_trace_context(SAMPLED.parse().ok(), async {
            for _ in 0..8 {
                get_later("articles").await;
            }
        });
        let runtime = tokio_runtime();
        runtime
            .block_on(async { tokio::spawn(capture.instrument(request)).await })
            .expect("no panic");
        let spans = capture.spans();
        let parent = SpanId::from_hex("b7ad6b7169203331").expect("valid");
        let outer: Vec<_> = spans
            .iter()
            .filter(|span| span.parent_id() == Some(parent))
            .collect();
        assert_eq!((spans.len(), outer.len()), (16, 8));
    }
}

#[test]
fn an_invalid_traceparent_starts_a_new_trace_inside_a_call() {
    for capture in captures() {
        capture.run(|| {
            build("hnsw", || {
                let _guard = attach_trace_context(Some(TraceContext::from_headers([(
                    "traceparent",
                    "garbage",
                )])));
                get("articles");
            });
        });
        let spans = capture.spans();
        assert_eq!(spans.span("get articles").parent_id(), None);
        assert_ne!(
            spans.span("get articles").trace_id(),
            spans.span("index.build hnsw").trace_id()
        );
    }
}

#[test]
fn an_unsampled_caller_has_no_spans_below_it_and_the_current_operation_is_sent() {
    for capture in captures() {
        let _entered = capture.enter();
        let incoming: TraceContext = UNSAMPLED.parse().expect("valid");
        let caller = incoming.parent().expect("valid");
        let _guard = attach_trace_context(Some(incoming));
        let sent = || TraceContext::current().and_then(|context| context.parent());
        let sent = build("hnsw", || {
            get("articles");
            let there = std::thread::spawn(carry(move || (get("articles"), sent()))).join();
            [there.expect("no panic").1, sent()]
        });
        for parent in sent {
            let parent = parent.expect("a trace context is sent");
            assert_eq!(parent.trace_id(), caller.trace_id());
            assert_ne!(parent.span_id(), caller.span_id());
            assert!(!parent.is_sampled());
        }
        assert!(capture.spans().is_empty());
    }
}

#[test]
fn an_unsampled_root_sends_one_unsampled_trace_id() {
    let refusing =
        || Capture::builder().sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    for capture in [refusing().build(), refusing().compact_records().build()] {
        let _entered = capture.enter();
        let current = || TraceContext::current().and_then(|context| context.parent());
        let (here, there, in_task) = build("hnsw", || {
            get("articles");
            let there = std::thread::spawn(carry(current)).join().expect("no panic");
            let task = async move { current() }.carry();
            (
                current(),
                there,
                tokio_runtime()
                    .block_on(async { tokio::spawn(task).await })
                    .expect("no panic"),
            )
        });
        let sent = here.expect("an unsampled parent");
        assert!(!sent.is_sampled());
        assert_eq!((there, in_task), (Some(sent), Some(sent)));
        assert_ne!(
            build("hnsw", current)
                .expect("an unsampled parent")
                .trace_id(),
            sent.trace_id()
        );
        assert_eq!(current(), None);
        assert!(capture.spans().is_empty());
    }
}

#[test]
fn an_unsampled_root_covers_carried_work() {
    let capture = Capture::builder()
        .sampler(Sampler::AlwaysOff)
        .compact_records()
        .build();
    let message = capture.run(|| build("hnsw", || Traced::new("articles")));
    // The other capture samples every root, but the message is inside an unsampled root.
    let other = Capture::builder().compact_records().build();
    other.run(|| {
        let _outside = get("users");
    });
    message.run(|cf| other.run(|| get(cf)));
    assert_eq!(other.spans().names(), ["get users"]);
}

#[test]
fn an_unsampled_linked_job_covers_its_calls_inside_a_sampled_caller() {
    let capture = Capture::builder()
        .sampler(Sampler::AlwaysOff)
        .compact_records()
        .build();
    let _entered = capture.enter();
    let _guard = attach_trace_context(SAMPLED.parse().ok());
    save("articles");
    assert!(capture.spans().is_empty(), "{}", capture.spans().tree());
}
