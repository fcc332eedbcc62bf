//! The ledger: every span that was made is exported, failed, dropped for one reason, or waiting, at
//! every moment, under collectors with any fault and with any end of the pipeline.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use percolate_core::otel::runtime::ScopeGuard;
use percolate_core::otel::{
    Environment, Exporter, Otlp, OtlpProtocol, Sampler, Telemetry, TelemetryGuard, TelemetryStatus,
};
use percolate_core::{background_job, db_op};
use percolate_pipeline_tests::{Answer, Collector, dead_endpoint};
use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};
use tonic::transport::{Identity, ServerTlsConfig};

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

#[background_job(index.build, target = "hnsw")]
fn build() {
    get("inside a job");
}

/// A small generator of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).expect("few")]
    }
}

/// The largest batch.
const BATCH: u64 = 512;

/// What a queue holds above its limit, because the console must not wait.
const BACKLOG: u64 = 8192;

/// Spans of unfinished traces that the console keeps.
const CONSOLE: u64 = 50_000;

/// Spans before the queues at most: 64 blocks of 512, and one block of each thread.
const BUFFERED: u64 = (64 + 8) * 512;

const MILLI: Duration = Duration::from_millis(1);

const ANSWERS: [Answer; 12] = [
    Answer::Accept,
    Answer::After(Duration::from_millis(30)),
    Answer::After(Duration::from_mins(1)),
    Answer::Refuse,
    Answer::Busy {
        requests: 1,
        wait: Duration::from_secs(1),
    },
    Answer::RejectOne,
    Answer::RejectAll("no"),
    Answer::Long(5 << 20),
    Answer::CutOff,
    Answer::Garbage,
    Answer::Flap,
    Answer::GoAway,
];

/// Where the collector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Reachable,
    Absent,
    /// Absent at first.
    Late,
    /// The exporter connects with TLS, and the collector does not.
    WithoutTls,
    /// The collector requires TLS, and the exporter does not use it.
    OnlyTls,
}

const PLACES: [Place; 8] = [
    Place::Reachable,
    Place::Reachable,
    Place::Reachable,
    Place::Reachable,
    Place::Absent,
    Place::Late,
    Place::WithoutTls,
    Place::OnlyTls,
];

/// A collector that can start later.
struct Setting {
    protocol: OtlpProtocol,
    answer: Answer,
    endpoint: String,
    collector: Option<Collector>,
}

impl Setting {
    fn new(protocol: OtlpProtocol, answer: Answer, place: Place) -> Self {
        let is_grpc = protocol == OtlpProtocol::Grpc;
        let collector = match (place, is_grpc) {
            (Place::Absent | Place::Late, _) => None,
            (Place::OnlyTls, true) => {
                let (certificate, key) = certificate();
                let tls = ServerTlsConfig::new()
                    .identity(Identity::from_pem(certificate.pem(), key.serialize_pem()));
                Some(Collector::grpc_with(Answer::Accept, Some(tls)))
            }
            (Place::OnlyTls, false) => {
                let (certificate, key) = certificate();
                let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let tls = ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .expect("versions")
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], key)
                    .expect("they belong together");
                Some(Collector::http_with(Answer::Accept, Some(Arc::new(tls))))
            }
            (Place::Reachable | Place::WithoutTls, true) => Some(Collector::grpc(answer)),
            (Place::Reachable | Place::WithoutTls, false) => Some(Collector::http(answer)),
        };
        let endpoint = collector
            .as_ref()
            .map_or_else(dead_endpoint, Collector::endpoint);
        let endpoint = match place {
            Place::WithoutTls => endpoint.replace("http:", "https:"),
            Place::OnlyTls => endpoint.replace("https:", "http:"),
            _ => endpoint,
        };
        Self {
            protocol,
            answer,
            endpoint,
            collector,
        }
    }

    /// Starts a collector where there was none.
    fn start(&mut self) {
        let port = self.endpoint.rsplit(':').next().expect("a port");
        let port = port.parse().expect("a number");
        self.collector = Some(match self.protocol {
            OtlpProtocol::Grpc => Collector::grpc_on(port, self.answer),
            _ => Collector::http_on(port, self.answer),
        });
    }
}

fn certificate() -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    (params.self_signed(&key).expect("signs itself"), key)
}

/// The spans that were made, by annotated calls and by other crates.
#[derive(Default)]
struct Made {
    calls: AtomicU64,
    others: AtomicU64,
}

/// A pipeline, and whether it serves the whole process.
struct Pipeline {
    guard: TelemetryGuard,
    is_installed: bool,
    /// Whether calls and spans of other crates are sampled.
    is_sampled: bool,
}

impl std::ops::Deref for Pipeline {
    type Target = TelemetryGuard;

    fn deref(&self) -> &TelemetryGuard {
        &self.guard
    }
}

impl Pipeline {
    /// Directs the calls of this thread to the pipeline, unless it receives those of all threads.
    fn enter(&self) -> Option<ScopeGuard> {
        (!self.is_installed).then(|| self.guard.enter())
    }

    /// Returns how many of some calls, or of spans of other crates, have a span.
    fn sampled(&self, count: u64) -> u64 {
        if self.is_sampled { count } else { 0 }
    }
}

/// Checks the equations for each exporter: the annotated calls, and all spans. Spans that are made
/// meanwhile are counted or not.
#[track_caller]
fn check(before: &Made, status: &TelemetryStatus, after: &Made, script: &str) {
    let made = |count: fn(&Made) -> &AtomicU64| {
        let count = |made| count(made).load(Ordering::Acquire);
        count(before)..=count(after)
    };
    let (calls, others) = (made(|made| &made.calls), made(|made| &made.others));
    let recorded = status.recorded_spans;
    assert!(
        calls.contains(&recorded),
        "made {calls:?}, recorded {recorded}; {script}; {status:#?}"
    );
    let dropped = status.dropped_records + status.dropped_records_after_shutdown;
    for exporter in &status.traces {
        let counted = (exporter.counts.total() + dropped).checked_sub(recorded);
        assert!(
            counted.is_some_and(|counted| others.contains(&counted)),
            "made {others:?} besides the calls, counted {counted:?}; {script}; {status:#?}"
        );
    }
}

fn snapshot(made: &Made) -> Made {
    Made {
        calls: made.calls.load(Ordering::Acquire).into(),
        others: made.others.load(Ordering::Acquire).into(),
    }
}

/// Makes spans on threads, and checks the equation while nothing is made and while the exporters
/// run.
fn run(seed: u64) {
    let mut random = Random(seed);
    let protocol = random.of(&[OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf]);
    let place = random.of(&PLACES);
    let answer = match place {
        Place::Late => Answer::Accept,
        _ => random.of(&ANSWERS),
    };
    let mut setting = Setting::new(protocol, answer, place);
    let queue = random.of(&[1, 8, 2048]);
    let is_installed = random.of(&[true, false]);
    let is_sampled = place == Place::Late || random.below(6) > 0;
    let script = format!(
        "seed {seed}, {protocol:?}, {answer:?}, {place:?}, queue {queue}, installed \
         {is_installed}, sampled {is_sampled}"
    );
    let endpoint = setting.endpoint.clone();
    let timeout = Duration::from_millis(50 + random.below(200));
    let builder = Telemetry::builder()
        .environment(Environment::empty())
        .install_subscriber(false)
        .sampler(if is_sampled {
            Sampler::AlwaysOn
        } else {
            Sampler::AlwaysOff
        })
        .metrics([Exporter::None])
        .traces([Exporter::Otlp, Exporter::Console])
        .console_writer(std::io::sink())
        .otlp(Otlp::to(endpoint).protocol(protocol).timeout(timeout))
        .queue_size(queue)
        .batch_size(random.of(&[1, 7, 512]))
        .batch_delay(random.of(&[Duration::ZERO, 5 * MILLI, 5000 * MILLI]));
    let guard = if is_installed {
        builder.install()
    } else {
        builder.build()
    };
    let guard = Pipeline {
        guard: guard.expect("building does not connect"),
        is_installed,
        is_sampled,
    };
    assert_eq!(guard.status().calls_after_shutdown, 0, "{script}");
    let made = Made::default();
    for _ in 0..=random.below(4) {
        make(&guard, &made, &mut random);
        check(&made, &guard.status(), &made, &script);
        if random.below(3) == 0 {
            _ = guard.force_flush(Duration::from_millis(random.below(100)));
        }
        check(&made, &guard.status(), &made, &script);
    }
    let before = snapshot(&made);
    std::thread::scope(|scope| {
        let (made, guard) = (&made, &guard);
        let mut other = Random(random.next());
        let makes = scope.spawn(move || make(guard, made, &mut other));
        while !makes.is_finished() {
            let status = guard.status();
            check(&before, &status, &after_all(made, guard), "");
            check_memory(&status, queue, &script);
        }
    });
    if place == Place::Late {
        setting.start();
        arrive(&guard, &made, &setting, &script);
    }
    let started = Instant::now();
    let limit = random.of(&[Duration::ZERO, 20 * MILLI, 500 * MILLI]);
    _ = guard.shutdown(limit);
    assert!(started.elapsed() < Duration::from_secs(10), "{script}");
    let status = guard.status();
    check(&made, &status, &made, &script);
    for exporter in &status.traces {
        let counts = &exporter.counts;
        let waiting = counts.buffered + counts.queued + counts.in_flight;
        assert_eq!(waiting, 0, "all is known: {script}; {status:#?}");
    }
    // Calls after the shutdown are losses too. Nothing else changes any more.
    assert_eq!(status.calls_after_shutdown, 0, "{script}");
    let lost = status.lost_spans();
    let calls = make_later(&guard, &made, &mut random, &script);
    std::thread::sleep(Duration::from_millis(random.below(80)));
    let later = guard.status();
    check(&made, &later, &made, &script);
    let spans = guard.sampled(calls);
    assert_eq!(later.calls_after_shutdown, calls, "{script}");
    assert_eq!(later.dropped_records_after_shutdown, spans, "{script}");
    assert_eq!(later.lost_spans(), lost + spans, "{script}");
    let Some(collector) = &setting.collector else {
        return;
    };
    // What is exported has arrived, and nothing twice.
    let received = collector.spans();
    let ids: HashSet<_> = received
        .iter()
        .map(|received| &received.span.span_id)
        .collect();
    assert_eq!(ids.len(), received.len(), "{script}");
    if matches!(place, Place::WithoutTls | Place::OnlyTls) {
        assert_eq!(received.len(), 0, "{script}");
    }
    let exported = later.traces[0].counts.exported;
    assert!(received.len() as u64 >= exported, "{script}: {exported}");
}

/// Checks that what waits is bounded: by the queue of the exporter with its backlog, and the batches
/// that it collects and exports; by the limit of the console; and by the buffer of records before them.
#[track_caller]
fn check_memory(status: &TelemetryStatus, queue: usize, script: &str) {
    let limits = [queue as u64 + BACKLOG + 2 * BATCH, CONSOLE];
    for (exporter, limit) in status.traces.iter().zip(limits) {
        let counts = &exporter.counts;
        let waiting = counts.queued + counts.in_flight;
        assert!(waiting <= limit, "{script}; {status:#?}");
        assert!(counts.buffered <= BUFFERED, "{script}; {status:#?}");
    }
}

/// Makes calls until one of them has arrived at a collector that has just started.
#[track_caller]
fn arrive(guard: &Pipeline, made: &Made, setting: &Setting, script: &str) {
    let collector = setting.collector.as_ref().expect("it has started");
    let started = Instant::now();
    while collector.spans().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "{script}");
        let scope = guard.enter();
        get("articles");
        drop(scope);
        made.calls.fetch_add(1, Ordering::AcqRel);
        _ = guard.force_flush(500 * MILLI);
    }
}

/// Returns more than all that is made, for a check while spans are made.
fn after_all(made: &Made, guard: &Pipeline) -> Made {
    let mut after = snapshot(made);
    // A call is recorded before it is counted as made.
    *after.calls.get_mut() += guard.status().recorded_spans;
    *after.others.get_mut() += 100;
    after
}

/// Makes calls on threads after the shutdown, and checks the equations meanwhile. Returns their
/// number.
fn make_later(guard: &Pipeline, made: &Made, random: &mut Random, script: &str) -> u64 {
    let threads = random.of(&[1, 3]);
    let calls = random.of(&[1, 100]);
    let before = snapshot(made);
    std::thread::scope(|scope| {
        let makes = || {
            let _scope = guard.enter();
            for _ in 0..calls {
                build();
            }
            let count = guard.sampled(2 * calls);
            made.calls.fetch_add(count, Ordering::AcqRel);
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(makes)).collect();
        while !running.iter().all(ScopedJoinHandle::is_finished) {
            let status = guard.status();
            check(&before, &status, &after_all(made, guard), script);
            let spans = status.dropped_records_after_shutdown;
            assert!(spans <= 2 * calls * threads, "{script}; {status:#?}");
        }
    });
    2 * calls * threads
}

fn make(guard: &Pipeline, made: &Made, random: &mut Random) {
    let threads = random.of(&[1, 3]);
    let calls = random.of(&[1, 40, 3000]);
    let others = random.below(20);
    let provider = guard.tracer_provider().expect("traces are enabled");
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _scope = guard.enter();
                for _ in 0..calls {
                    get("articles");
                }
                made.calls.fetch_add(guard.sampled(calls), Ordering::AcqRel);
                for _ in 0..others {
                    drop(provider.tracer("other_crate").start("work"));
                    made.others.fetch_add(guard.sampled(1), Ordering::AcqRel);
                }
            });
        }
    });
    // No call waits for the collector.
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn every_span_is_in_one_count_at_every_moment() {
    let seeds = std::env::var("PERCOLATE_LEDGER_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(24);
    for seed in 0..seeds {
        run(seed);
    }
}

#[test]
fn a_shutdown_that_runs_out_of_time_knows_every_loss_when_it_returns() {
    let collector = Collector::grpc(Answer::After(Duration::from_mins(1)));
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .metrics([Exporter::None])
        .otlp(Otlp::to(collector.endpoint()))
        .build()
        .expect("building does not connect");
    let scope = guard.enter();
    for _ in 0..20_000 {
        get("articles");
    }
    drop(scope);
    guard
        .shutdown(Duration::from_millis(200))
        .expect_err("it takes longer");
    let status = guard.status();
    assert_eq!(status.recorded_spans, 20_000);
    assert_eq!(status.lost_spans(), 20_000, "{status:#?}");
    assert_eq!(status.dropped_records_after_shutdown, 0, "{status:#?}");
    assert_eq!(status.traces[0].counts.dropped_after_shutdown, 0);
}
