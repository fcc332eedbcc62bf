//! A soak: a mixed load of two threads on one database with telemetry. Each second, the parts of
//! the process's memory, its descriptors and its threads are read. After the first third of the
//! run, none of them may grow by more than its bound. Run it with `make soak`.
//!
//! [`load`] is the work, [`parts`] is what is measured, [`growth`] compares it with the bounds.
//! `docs/reliability.md` has the options that bound each part.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

mod growth;
mod load;
mod parts;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use growth::Growth;
use load::{Load, Rounds};
use parts::{Figures, Parts};
use percolate_core::otel::Telemetry;

/// The length of [`ten_minutes`] in minutes.
const MINUTES: &str = "PERCOLATE_SOAK_MINUTES";
/// The seconds between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// The number of samples for each line that is printed.
const SAMPLES_PER_LINE: usize = 15;

/// One pipeline at a time: the process has one.
static PIPELINE: Mutex<()> = Mutex::new(());

/// The result of a run.
struct Soak {
    samples: Vec<Parts>,
    /// The parts after the database was closed and the allocator returned what it could.
    closed: Parts,
    rounds: Rounds,
}

impl Soak {
    /// Runs the load for `length`, and prints the parts.
    fn run(length: Duration) -> Self {
        let _one = PIPELINE.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = Figures::default();
        let telemetry = Telemetry::builder()
            .traces([])
            .metrics([])
            .span_exporter(load::Forget)
            .metric_exporter(figures.exporter())
            .metric_interval(EVERY)
            .install()
            .unwrap();
        let load = Load::open(&telemetry.meter_provider().unwrap());
        let mut samples = Vec::new();
        let (begin, stop) = (Instant::now(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| load.write_until(&stop));
            let reader = scope.spawn(|| load.read_until(&stop));
            while begin.elapsed() < length && !writer.is_finished() && !reader.is_finished() {
                std::thread::sleep(EVERY.min(length / 8));
                let parts = Parts::now(begin.elapsed(), &figures);
                if samples.len() % SAMPLES_PER_LINE == 0 {
                    print(&parts, &load.rounds());
                }
                samples.push(parts);
            }
            stop.store(true, Ordering::Relaxed);
        });
        // An export, so that the last sample has all parts however short the run was.
        telemetry.force_flush(Duration::from_mins(1)).unwrap();
        samples.push(Parts::now(begin.elapsed(), &figures));
        let rounds = load.close();
        drop(telemetry);
        parts::trim();
        let closed = Parts::now(begin.elapsed(), &figures);
        print(&closed, &rounds);
        Self {
            samples,
            closed,
            rounds,
        }
    }
}

#[expect(clippy::print_stdout, reason = "the test reports what it measures")]
fn print(parts: &Parts, rounds: &Rounds) {
    println!("{parts}; {rounds}");
}

#[test]
#[ignore = "takes ten minutes; `make soak` runs it"]
#[expect(clippy::print_stdout, reason = "the test reports what it measures")]
fn ten_minutes() {
    let minutes = std::env::var(MINUTES).map_or(10.0, |text| text.parse().unwrap());
    let soak = Soak::run(Duration::from_secs_f64(60.0 * minutes));
    let growth = Growth::of(&soak.samples);
    println!("{growth}");
    assert_eq!(growth.excesses(), Vec::<String>::new());
}

/// No bound is checked: a few seconds are the beginning, in which everything grows.
#[test]
fn a_few_seconds_run_the_whole_load_and_measure_every_part() {
    let soak = Soak::run(Duration::from_secs(3));
    assert!(soak.rounds.written > 0 && soak.rounds.read > 0);
    let last = soak.samples.last().unwrap();
    // The rest is a difference of values that are read at different moments.
    let measured = last
        .values()
        .into_iter()
        .filter(|(name, _)| *name != "rest MiB");
    for (name, value) in measured {
        assert!(value > 0.0, "{name} is not measured: {last}");
    }
    assert!(soak.closed.descriptors < last.descriptors);
    assert!(soak.closed.memory_tables < last.memory_tables);
}
