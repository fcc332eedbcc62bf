//! The work of a call, counted as instructions: unlike times, they are reproducible.
//!
//! The test runs itself under callgrind. It counts a build without optimisation, which has more than
//! ten times the instructions of one with optimisation, so only the growth means something: the
//! budgets of an optimised build are in `docs/benchmarks.md`. When a limit is exceeded on purpose,
//! set it to the printed number plus a tenth.
#![cfg(all(feature = "pipeline", target_os = "linux"))]
#![expect(clippy::print_stderr, reason = "a test, which says when it is skipped")]

use std::process::{Command, Stdio};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use percolate_otel::db_op;
use percolate_otel::runtime::{
    self, CallRecord, MeterProviderHandle, OwnAggregation, RecordSink, Runtime, RuntimeConfig,
    Sampler,
};

const CALLS: u64 = 1_000;

/// The most instructions of one call: with nothing installed, after the shutdown of an installed
/// pipeline, below a parent that is not sampled, without a parent and refused by the ratio, and
/// sampled. A tenth more than what was counted.
const LIMITS: [(&str, u64); 5] = [
    ("idle", 1_250),
    ("after shutdown", 2_350),
    ("unsampled", 6_850),
    ("refused", 8_300),
    ("sampled", 12_600),
];

#[db_op(get, collection, namespace = "demo", system = "redb")]
fn get(collection: &str, turn: u64) -> Option<u64> {
    (!collection.is_empty()).then_some(turn)
}

#[test]
fn the_instructions_of_a_call_stay_within_their_limits() {
    let valgrind = Command::new("valgrind").arg("--version").output();
    if !valgrind.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: valgrind is not installed, which counts instructions");
        return;
    }
    let folder = std::env::temp_dir();
    let found = LIMITS.map(|(setting, limit)| {
        let profile = folder.join(format!("percolate-{setting}-{}.out", std::process::id()));
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--collect-atstart=no"])
            .arg("--toggle-collect=*instructions*counted*")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(std::env::current_exe().expect("this test"))
            .args(["--exact", "--ignored", "calls_to_count"])
            .env("PERCOLATE_COUNTED_SETTING", setting)
            .stdin(Stdio::null())
            .output()
            .expect("valgrind runs");
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{errors}");
        let text = std::fs::read_to_string(&profile).expect("the profile");
        _ = std::fs::remove_file(&profile);
        let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
        let total: u64 = total
            .and_then(|total| total.trim().parse().ok())
            .expect("a total");
        (setting, total / CALLS, limit)
    });
    for (setting, instructions, limit) in found {
        // Far below is a limit that does not guard anything, or a call that was not counted.
        let expected = limit / 2..=limit;
        assert!(
            expected.contains(&instructions),
            "{setting}: {instructions}, not {expected:?}: {found:?}"
        );
    }
}

/// Drops the records of sampled calls.
#[derive(Debug)]
struct Dropping;

impl RecordSink for Dropping {
    fn tick(&mut self) {}

    fn deliver(&mut self, records: Vec<CallRecord>) {
        drop(records);
    }
}

#[test]
#[ignore = "run under callgrind by the other test"]
fn calls_to_count() {
    let setting = std::env::var("PERCOLATE_COUNTED_SETTING").unwrap_or_default();
    let runtime = Runtime::build(RuntimeConfig {
        meter_provider: Some(MeterProviderHandle::new(
            opentelemetry_sdk::metrics::SdkMeterProvider::builder().build(),
        )),
        own_aggregation: Some(OwnAggregation::default()),
        sink: Some(Box::new(Dropping)),
        sampler: Sampler::ParentBased(Box::new(Sampler::TraceIdRatio(0.0))),
        ..RuntimeConfig::default()
    })
    .expect("a thread can be started");
    let is_scoped = matches!(&*setting, "unsampled" | "refused" | "sampled");
    let _scope = is_scoped.then(|| runtime::scope(Some(runtime)));
    if setting == "after shutdown" {
        runtime::install(runtime).expect("it is the first");
        runtime::end(runtime);
    }
    let flags = if matches!(&*setting, "after shutdown" | "sampled") {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let parent = SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(9_u64),
        flags,
        true,
        TraceState::default(),
    );
    let _current =
        (setting != "refused").then(|| Context::new().with_remote_span_context(parent).attach());
    // The clock is measured against another one during the first calls.
    warm_up(CALLS);
    std::thread::sleep(Duration::from_millis(100));
    warm_up(CALLS);
    counted(CALLS);
    assert!(runtime.flush(Duration::from_mins(1)));
}

fn warm_up(calls: u64) {
    for turn in 0..calls {
        assert_eq!(get("articles", turn), Some(turn));
    }
}

/// The function whose instructions are counted, by its name.
#[inline(never)]
fn counted(calls: u64) {
    for turn in 0..calls {
        assert_eq!(get("articles", turn), Some(turn));
    }
}
