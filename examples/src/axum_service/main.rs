//! A service on a `Storage` that handles requests and calls another service: one trace across two
//! processes.
//!
//! It stores JSON articles. It requests a missing article from its peer and stores it. Start two
//! services and call the first:
//!
//! ```text
//! sleep infinity | OTEL_SERVICE_NAME=b axum_service 127.0.0.1:8081 /tmp/b &
//! sleep infinity | OTEL_SERVICE_NAME=a axum_service 127.0.0.1:8080 /tmp/a http://127.0.0.1:8081 &
//! curl -X PUT  -d '{"title":"Percolation"}' -H 'content-type: application/json' 127.0.0.1:8081/articles/1
//! curl 127.0.0.1:8080/articles/1
//! ```
//!
//! The trace of the second request contains the spans of both services: `GET /articles/{id}` and
//! `get articles` of the first, its call to the second, there `GET /articles/{id}` and
//! `get articles`, and then `put articles` of the first. With `OTEL_EXPORTER_OTLP_ENDPOINT` set,
//! traces are exported, otherwise they are printed. `OTEL_SERVICE_NAME` distinguishes the services.
//! A service flushes its telemetry and stops when its standard input ends.

mod incoming;
mod outgoing;

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use percolate_core::otel::{Telemetry, carry};
use percolate_core::storage::{Storage, StorageOptions};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use outgoing::Caller;

const ARTICLES: &str = "articles";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let telemetry = Telemetry::builder().install()?;
    let storage = Storage::open(
        &arguments.path,
        StorageOptions::new().column_family(ARTICLES),
    )?;
    let service = Arc::new(Service {
        storage,
        peer: arguments.peer,
        caller: Caller::new(),
    });

    let app = Router::new()
        .route("/articles/{id}", get(read).put(write))
        .layer(middleware::from_fn(incoming::trace))
        .with_state(service);
    let listener = TcpListener::bind(&arguments.listen).await?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    axum::serve(listener, app)
        .with_graceful_shutdown(end_of_input())
        .await?;
    telemetry.shutdown(Duration::from_secs(5))?;
    Ok(())
}

struct Arguments {
    listen: String,
    path: String,
    peer: Option<String>,
}

impl Arguments {
    fn read() -> Result<Self, &'static str> {
        let mut arguments = std::env::args().skip(1);
        match (
            arguments.next(),
            arguments.next(),
            arguments.next(),
            arguments.next(),
        ) {
            (Some(listen), Some(path), peer, None) => Ok(Self { listen, path, peer }),
            _ => Err(
                "usage: axum_service <address to listen on> <directory of the store> [address of the peer]",
            ),
        }
    }
}

struct Service {
    storage: Storage,
    peer: Option<String>,
    caller: Caller,
}

async fn read(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    if let Some(article) = service.stored(&id).await? {
        return Ok(json(StatusCode::OK, article.into()));
    }
    let Some(peer) = &service.peer else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let uri = format!("{peer}/articles/{id}").parse()?;
    let (status, article) = service.caller.call(Method::GET, uri, Bytes::new()).await?;
    if status == StatusCode::OK {
        service.store(id, article.clone()).await?;
    }
    Ok(json(status, article))
}

async fn write(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    Json(article): Json<Value>,
) -> Result<StatusCode, Failure> {
    service
        .store(id, serde_json::to_vec(&article)?.into())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Service {
    /// Runs a blocking RocksDB call on a blocking thread. `carry` makes its spans children of the
    /// request.
    async fn stored(&self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        let (storage, key) = (self.storage.clone(), id.to_owned());
        Ok(tokio::task::spawn_blocking(carry(move || storage.get(ARTICLES, key))).await??)
    }

    async fn store(&self, id: String, article: Bytes) -> Result<(), Failure> {
        let storage = self.storage.clone();
        Ok(
            tokio::task::spawn_blocking(carry(move || storage.put(ARTICLES, id, article)))
                .await??,
        )
    }
}

fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [("content-type", "application/json")], body).into_response()
}

/// Any error. The caller receives status 500 without details.
struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::warn!(error = %self.0, "a request failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// Resolves when standard input ends: on Ctrl-D, or when the parent process has exited.
async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        // The receiver is dropped if the service stopped for another reason.
        _ = ended.send(());
    });
    _ = end.await;
}
