//! The cost of the Layer for a `tracing` span, compared with the registry alone and with a layer
//! that only keeps as much state. Prints nanoseconds per span: the best of short, alternating
//! rounds, because other load on the machine only adds to the time.
//!
//! `cargo bench -p percolate-otel --features layer --bench layer`

use std::hint::black_box;
use std::time::Instant;

use percolate_otel::ConventionLayer;
use percolate_otel::layer::Profile;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber, field::Empty};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

const ROUNDS: usize = 401;
const SPANS: u32 = 1_000;

/// Keeps a record of the Layer's size for each span and checks nothing, which is the cost of any
/// layer with state.
struct Stateful;

struct State([u64; 14]);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stateful {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(State([0; 14]));
        }
    }

    fn on_record(&self, id: &Id, _: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(state) = span.extensions_mut().get_mut::<State>()
        {
            state.0[0] += 1;
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(&id) {
            black_box(span.extensions_mut().remove::<State>());
        }
    }
}

fn checked() {
    let span = tracing::info_span!(
        target: "percolate::db",
        "get",
        otel.name = black_box("get articles"),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = black_box("articles"),
        db.namespace = black_box("library"),
        db.response.returned_rows = Empty,
        error.type = Empty
    );
    span.in_scope(|| black_box(()));
    span.record("db.response.returned_rows", 1_i64);
}

fn other() {
    tracing::info_span!("request", http.route = black_box("/articles")).in_scope(|| black_box(()));
}

type Setting = (&'static str, fn() -> Dispatch, fn());

fn accepting() -> impl Layer<Registry> {
    Stateful.with_filter(filter_fn(|metadata| metadata.target() == "percolate::db"))
}

/// As in percolate's own pipeline: an exporting layer that refuses these spans. `tracing` then
/// calls both filters for each span.
fn next_to_refusing() -> Dispatch {
    let refusing = Stateful.with_filter(filter_fn(|metadata| metadata.target() != "percolate::db"));
    Dispatch::new(
        Registry::default()
            .with(refusing)
            .with(ConventionLayer::new().layer()),
    )
}

fn off() -> Dispatch {
    let conventions = ConventionLayer::builder().profile(Profile::Off).build();
    Dispatch::new(Registry::default().with(conventions.layer()))
}

const SETTINGS: &[Setting] = &[
    (
        "registry alone, a database span",
        || Dispatch::new(Registry::default()),
        checked,
    ),
    (
        "+ a layer that keeps as much state",
        || Dispatch::new(Registry::default().with(Stateful)),
        checked,
    ),
    (
        "+ the same with a filter that accepts",
        || Dispatch::new(Registry::default().with(accepting())),
        checked,
    ),
    (
        "+ ConventionLayer",
        || Dispatch::new(Registry::default().with(ConventionLayer::new().layer())),
        checked,
    ),
    (
        "+ ConventionLayer without its filter",
        || Dispatch::new(Registry::default().with(ConventionLayer::new())),
        checked,
    ),
    (
        "+ ConventionLayer next to a layer whose filter refuses the span",
        next_to_refusing,
        checked,
    ),
    ("ConventionLayer, profile off", off, checked),
    (
        "registry alone, another span",
        || Dispatch::new(Registry::default()),
        other,
    ),
    (
        "ConventionLayer alone, another span",
        || Dispatch::new(Registry::default().with(ConventionLayer::new().layer())),
        other,
    ),
];

/// Returns the time of one round. The subscriber is the only one of the process, as in a service:
/// with several subscribers, `tracing` calls each of them for each span.
fn time((_, dispatch, body): &Setting) -> f64 {
    tracing::dispatcher::with_default(&dispatch(), || {
        for _ in 0..100 {
            body();
        }
        let start = Instant::now();
        for _ in 0..SPANS {
            body();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(SPANS)
    })
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn main() {
    let mut best = vec![f64::INFINITY; SETTINGS.len()];
    for _ in 0..ROUNDS {
        for (setting, best) in SETTINGS.iter().zip(&mut best) {
            *best = best.min(time(setting));
        }
    }
    for ((name, ..), best) in SETTINGS.iter().zip(&best) {
        println!("{best:>8.0} ns  {name}");
    }
}
