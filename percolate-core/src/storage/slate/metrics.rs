//! SlateDB's own figures as observable instruments, which are read when metrics are collected.
//!
//! The names are percolate's own, defined in `semconv/`.

use std::sync::{Arc, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::figures::FIGURES;
use super::store::SlateEngine;
use crate::otel::conventions::{MetricDef, attribute};
use crate::storage::engine::definition;

/// Registers the figures of a store with a meter, with the attributes `about`.
pub(super) fn register(engine: &Arc<SlateEngine>, meter: &Meter, about: &[KeyValue]) {
    let mut names: Vec<_> = FIGURES.iter().map(|figure| figure.metric).collect();
    names.dedup();
    for name in names {
        let Some(definition) = definition(name) else {
            continue;
        };
        let source = Source {
            engine: Arc::downgrade(engine),
            about: about.to_vec(),
            metric: name,
        };
        // The SDK keeps the callback; the handle is not needed.
        if definition.instrument == "counter" {
            register_counter(source, meter, definition);
        } else {
            register_value(source, meter, definition);
        }
    }
}

/// Where a callback finds the values of a metric. It does not keep the store open.
struct Source {
    engine: Weak<SlateEngine>,
    about: Vec<KeyValue>,
    metric: &'static str,
}

impl Source {
    fn observe<T>(&self, observer: &dyn AsyncInstrument<T>, convert: impl Fn(u64) -> T) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        for (figure, value) in engine.figures.current() {
            if figure.metric != self.metric {
                continue;
            }
            let mut attributes = self.about.clone();
            if let Some(kind) = figure.kind {
                attributes.push(KeyValue::new(attribute::SLATEDB_REQUEST_KIND, kind));
            }
            observer.observe(convert(value), &attributes);
        }
    }
}

fn register_counter(source: Source, meter: &Meter, definition: &'static MetricDef) {
    _ = meter
        .u64_observable_counter(definition.name)
        .with_unit(definition.unit)
        .with_description(definition.brief)
        .with_callback(move |observer| source.observe(observer, |value| value))
        .build();
}

fn register_value(source: Source, meter: &Meter, definition: &'static MetricDef) {
    let signed = |value| i64::try_from(value).unwrap_or(i64::MAX);
    _ = meter
        .i64_observable_up_down_counter(definition.name)
        .with_unit(definition.unit)
        .with_description(definition.brief)
        .with_callback(move |observer| source.observe(observer, signed))
        .build();
}
