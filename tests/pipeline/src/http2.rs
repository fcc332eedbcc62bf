//! A gRPC service at the level of HTTP/2, for the faults that a gRPC server does not have: a
//! connection that ends in the middle of a response, GOAWAY, and a response that cannot be decoded.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tonic::codegen::http::{HeaderMap, Request, Response};

use crate::{Answer, Received, lock};

/// The time for what is already written to reach the client before its connection ends.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// Serves the requests of one connection until it ends.
pub(crate) async fn serve(stream: TcpStream, received: Arc<Mutex<Received>>, answer: Answer) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let cut = Arc::new(Notify::new());
    let mut requests = 0;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = cut.notified() => {
                _ = tokio::time::timeout(LAST_BYTES, connection.accept()).await;
                return;
            }
        };
        let Some(Ok((request, response))) = accepted else {
            return;
        };
        requests += 1;
        if matches!(answer, Answer::GoAway) && requests == 2 {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            continue;
        }
        let (received, cut) = (Arc::clone(&received), Arc::clone(&cut));
        tokio::spawn(async move {
            let sent = respond(request, response, &received, answer).await;
            if sent.is_none() || matches!(answer, Answer::CutOff) {
                cut.notify_one();
                // Dropping an unfinished stream discards what was not yet written.
                tokio::time::sleep(2 * LAST_BYTES).await;
            }
        });
    }
}

/// Keeps one request and responds to it. Returns the stream of the response, or `None` if the
/// connection ended meanwhile.
async fn respond(
    request: Request<RecvStream>,
    mut response: SendResponse<Bytes>,
    received: &Mutex<Received>,
    answer: Answer,
) -> Option<SendStream<Bytes>> {
    let path = request.uri().path().to_owned();
    let message = message(request.into_body()).await?;
    keep(received, &path, &message);
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .ok()?;
    let mut stream = response.send_response(head, false).ok()?;
    let (length, body) = match answer {
        Answer::CutOff => (9, &[0; 3][..]),
        Answer::Garbage => (3, &[0xff; 3][..]),
        _ => (0, &[][..]),
    };
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(body);
    stream.send_data(frame.freeze(), false).ok()?;
    if !matches!(answer, Answer::CutOff) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().ok()?);
        stream.send_trailers(trailers).ok()?;
    }
    Some(stream)
}

/// Reads the message of a request, which is not compressed.
async fn message(mut body: RecvStream) -> Option<Bytes> {
    let mut read = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        _ = body.flow_control().release_capacity(chunk.len());
        read.extend_from_slice(&chunk);
    }
    let frame = read.freeze();
    assert_eq!(frame.first(), Some(&0), "a message without compression");
    Some(frame.slice(5..))
}

fn keep(received: &Mutex<Received>, path: &str, message: &[u8]) {
    fn decoded<M: Message + Default>(message: &[u8]) -> M {
        M::decode(message).expect("a request of the exporter")
    }
    let mut received = lock(received);
    received.accepted.push(Instant::now());
    match path.rsplit('.').next() {
        Some("TraceService/Export") => {
            let request: ExportTraceServiceRequest = decoded(message);
            received.traces.push(request);
        }
        Some("MetricsService/Export") => {
            let request: ExportMetricsServiceRequest = decoded(message);
            received.metrics.push(request);
        }
        _ => {
            let request: ExportLogsServiceRequest = decoded(message);
            received.logs.push(request);
        }
    }
}
