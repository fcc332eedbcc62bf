//! Requests of clients, each in a trace of its own: several threads look packages up, and now and then
//! one sends a package that is refused.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::catalogue::Catalogue;
use crate::manifests::Manifests;

const CLIENTS: usize = 2;
/// One of so many requests is refused.
const REFUSED: usize = 50;
const PAUSE: Duration = Duration::from_millis(3);

/// Serves requests for this long.
pub(crate) fn serve(catalogue: &Catalogue, found: &Manifests, time: Duration) {
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let packages = found.packages.iter().cycle().skip(client * 7);
                for (number, package) in packages.enumerate() {
                    if Instant::now() > end {
                        return;
                    }
                    match number % REFUSED {
                        1 => refused(catalogue),
                        20 => listed(catalogue, &package.name),
                        _ => looked_up(catalogue, &package.id),
                    }
                    thread::sleep(PAUSE);
                }
            });
        }
    });
}

fn looked_up(catalogue: &Catalogue, id: &str) {
    let request = tracing::info_span!("GET /packages/{id}", otel.kind = "server");
    let found = request.in_scope(|| catalogue.package(id));
    assert!(found.is_ok(), "{found:?}");
}

fn listed(catalogue: &Catalogue, name: &str) {
    let request = tracing::info_span!("GET /packages", otel.kind = "server");
    let found = request.in_scope(|| catalogue.starting_with(name.get(..1).unwrap_or(name)));
    assert!(found.is_ok(), "{found:?}");
}

fn refused(catalogue: &Catalogue) {
    let request = tracing::info_span!("POST /packages", otel.kind = "server");
    let stored = request.in_scope(|| catalogue.upload(&json!({ "id": "a 0.1.0", "name": 7 })));
    assert!(stored.is_err(), "a name is a text");
}
