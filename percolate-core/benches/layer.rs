//! What the checking Layer adds to a `tracing` span: the registry alone, with a layer that only keeps as much state,
//! and with the rules. Nanoseconds a span, medians of rounds that take turns.
//!
//! `cargo bench -p percolate-core --no-default-features --bench layer`

use std::hint::black_box;
use std::time::Instant;

use percolate_core::otel::ConventionLayer;
use percolate_core::otel::layer::Profile;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber, field::Empty};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

const ROUNDS: usize = 31;
const SPANS: u32 = 20_000;

/// Keeps a record of the Layer's size for each span and looks at nothing: what any layer with state has to pay.
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

fn right() {
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

fn time(dispatch: &Dispatch, body: fn()) -> f64 {
    tracing::dispatcher::with_default(dispatch, || {
        let start = Instant::now();
        for _ in 0..SPANS {
            body();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(SPANS)
    })
}

#[expect(clippy::print_stdout, reason = "a bench prints what it found")]
fn main() {
    let off = ConventionLayer::builder().profile(Profile::Off).build();
    // As in percolate's own pipeline: an exporting layer that leaves these spans to others. `tracing` then asks both
    // filters for each span.
    let refusing = || Stateful.with_filter(filter_fn(|metadata| metadata.target() != "percolate::db"));
    let beside = Registry::default().with(refusing()).with(ConventionLayer::new().layer());
    let settings = [
        ("registry alone, a database span", Dispatch::new(Registry::default()), right as fn()),
        ("+ a layer that keeps as much state", Dispatch::new(Registry::default().with(Stateful)), right),
        ("+ ConventionLayer", Dispatch::new(Registry::default().with(ConventionLayer::new().layer())), right),
        ("+ ConventionLayer beside a layer whose filter refuses the span", Dispatch::new(beside), right),
        ("+ ConventionLayer, profile off", Dispatch::new(Registry::default().with(off.layer())), right),
        ("registry alone, somebody else's span", Dispatch::new(Registry::default()), other),
        (
            "ConventionLayer, somebody else's span",
            Dispatch::new(Registry::default().with(ConventionLayer::new().layer())),
            other,
        ),
    ];
    let mut times = vec![Vec::new(); settings.len()];
    for _ in 0..ROUNDS {
        for ((_, dispatch, body), times) in settings.iter().zip(&mut times) {
            times.push(time(dispatch, *body));
        }
    }
    for ((name, ..), times) in settings.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{:>8.0} ns  {name}", times[ROUNDS / 2]);
    }
}
