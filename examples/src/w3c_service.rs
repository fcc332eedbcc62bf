//! An endpoint for the official W3C Trace Context test suite.
//!
//! The suite's harness posts a list of `{"url": …, "arguments": …}`. For each entry the service
//! posts the arguments to the url, with the trace context of the request it answers. Run
//! `w3c_service 127.0.0.1:5000`, and the suite with
//! `SERVICE_ENDPOINT=http://127.0.0.1:5000/test SPEC_LEVEL=2 STRICT_LEVEL=2`.

#[path = "axum_service/incoming.rs"]
mod incoming;
#[path = "axum_service/outgoing.rs"]
mod outgoing;

use std::error::Error;
use std::io::Write as _;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::post;
use axum::{Json, Router, middleware};
use percolate_core::otel::Telemetry;
use serde_json::Value;
use tokio::net::TcpListener;

use outgoing::Caller;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args()
        .nth(1)
        .ok_or("usage: w3c_service <address to listen on>")?;
    let _telemetry = Telemetry::builder().service_name("w3c_service").install()?;
    let app = Router::new()
        .route("/test", post(call_all))
        .layer(middleware::from_fn(incoming::trace))
        .with_state(Caller::new());
    let listener = TcpListener::bind(listen).await?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    Ok(axum::serve(listener, app).await?)
}

/// Calls every url of the list in turn.
async fn call_all(State(caller): State<Caller>, Json(calls): Json<Vec<Value>>) -> StatusCode {
    for call in calls {
        let uri = call
            .get("url")
            .and_then(Value::as_str)
            .and_then(|url| url.parse().ok());
        let (Some(uri), Some(arguments)) = (uri, call.get("arguments")) else {
            return StatusCode::BAD_REQUEST;
        };
        if let Err(error) = caller
            .call(Method::POST, uri, arguments.to_string().into())
            .await
        {
            tracing::warn!(%error, "a call failed");
            return StatusCode::BAD_GATEWAY;
        }
    }
    StatusCode::OK
}
