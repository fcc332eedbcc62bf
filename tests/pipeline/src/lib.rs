//! A collector in the test process: an OTLP receiver on loopback, over gRPC or HTTP, that keeps the
//! received data. It can be slow or refuse requests. It runs on its own threads, independent of the
//! runtime of the test.

mod http2;
mod written;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric, metric::Data};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};

pub use self::written::Written;
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// The responses of the collector.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Accepts immediately.
    Accept,
    /// Accepts after a delay.
    After(Duration),
    /// Refuses with an error that is not retried.
    Refuse,
    /// Refuses this many requests and requests a delay, then accepts.
    Busy {
        /// The number of refused requests, over all signals.
        requests: usize,
        /// The time to wait, in whole seconds over HTTP.
        wait: Duration,
    },
    /// Accepts all but one item of each request.
    RejectOne,
    /// Rejects all items of each request, with this message in a successful response.
    RejectAll(&'static str),
    /// Accepts with this message in the response.
    Warn(&'static str),
    /// Accepts with a response of more than this many bytes.
    Long(usize),
    /// Accepts with a response that ends in the middle, with its connection.
    CutOff,
    /// Accepts with a response that cannot be decoded.
    Garbage,
    /// Accepts the first request of each connection. Then closes the connection: over gRPC with
    /// GOAWAY when the second request arrives.
    GoAway,
    /// Refuses every second request with an error that is not retried.
    Flap,
}

impl Answer {
    /// Returns the number of rejected items and the message of a successful response to a request
    /// with this many items.
    fn partial_success(self, items: usize) -> (i64, String) {
        match self {
            Self::RejectOne => (1, String::new()),
            Self::RejectAll(message) => {
                (i64::try_from(items).expect("few items"), message.to_owned())
            }
            Self::Warn(message) => (0, message.to_owned()),
            Self::Long(bytes) => (0, "a".repeat(bytes)),
            _ => (0, String::new()),
        }
    }
}

fn span_count(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter();
    scopes
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum()
}

fn trace_response(
    answer: Answer,
    request: &ExportTraceServiceRequest,
) -> ExportTraceServiceResponse {
    let (rejected_spans, error_message) = answer.partial_success(span_count(request));
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message,
        }),
    }
}

/// Returns the response to metrics, of which any number of points is rejected as one.
fn metrics_response(answer: Answer) -> ExportMetricsServiceResponse {
    let (rejected_data_points, error_message) = answer.partial_success(1);
    ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points,
            error_message,
        }),
    }
}

fn logs_response(answer: Answer, request: &ExportLogsServiceRequest) -> ExportLogsServiceResponse {
    let records = request
        .resource_logs
        .iter()
        .flat_map(|resource| &resource.scope_logs)
        .map(|scope| scope.log_records.len())
        .sum();
    let (rejected_log_records, error_message) = answer.partial_success(records);
    ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records,
            error_message,
        }),
    }
}

/// The received requests.
#[derive(Debug, Default)]
struct Received {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
    headers: Vec<HashMap<String, String>>,
    paths: Vec<String>,
    bodies: Vec<Vec<u8>>,
    /// When a request was refused because the collector was busy.
    refused: Vec<Instant>,
    /// When a request was accepted.
    accepted: Vec<Instant>,
}

impl Received {
    /// Counts a request that may be refused. Returns `true` for every second one.
    fn is_flapping(&mut self) -> bool {
        let refuses = self.refused.len() <= self.accepted.len();
        if refuses {
            self.refused.push(Instant::now());
        }
        refuses
    }

    /// Counts a refused request if the collector is still busy.
    fn is_busy(&mut self, requests: usize) -> bool {
        let busy = self.refused.len() < requests;
        if busy {
            self.refused.push(Instant::now());
        }
        busy
    }
}

/// A running collector. Dropping it stops it.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    received: Arc<Mutex<Received>>,
    _runtime: tokio::runtime::Runtime,
}

/// A received span with its scope and resource.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    /// The encoded span.
    pub span: Span,
    /// The instrumentation scope.
    pub scope: InstrumentationScope,
    /// The attributes of the resource.
    pub resource: Vec<KeyValue>,
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    /// Starts a collector over gRPC.
    pub fn grpc(answer: Answer) -> Self {
        Self::grpc_with(answer, None)
    }

    /// Starts a collector over gRPC on this port.
    pub fn grpc_on(port: u16, answer: Answer) -> Self {
        Self::serve_grpc(listen(port), answer, None)
    }

    /// Starts a collector over gRPC, optionally with TLS.
    pub fn grpc_with(answer: Answer, tls: Option<ServerTlsConfig>) -> Self {
        Self::serve_grpc(listen(0), answer, tls)
    }

    fn serve_grpc(
        (runtime, listener): (tokio::runtime::Runtime, TcpListener),
        answer: Answer,
        tls: Option<ServerTlsConfig>,
    ) -> Self {
        let address = listener.local_addr().expect("bound");
        let received = Arc::<Mutex<Received>>::default();
        let service = Service {
            received: Arc::clone(&received),
            answer,
        };
        if matches!(answer, Answer::CutOff | Answer::Garbage | Answer::GoAway) {
            assert!(tls.is_none(), "these faults are without TLS");
            let kept = Arc::clone(&received);
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(http2::serve(stream, Arc::clone(&kept), answer));
                }
            });
            return Self {
                address,
                scheme: "http",
                received,
                _runtime: runtime,
            };
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).expect("valid certificates");
        }
        let gzip = tonic::codec::CompressionEncoding::Gzip;
        let server = server
            .add_service(TraceServiceServer::new(service.clone()).accept_compressed(gzip))
            .add_service(MetricsServiceServer::new(service.clone()).accept_compressed(gzip))
            .add_service(LogsServiceServer::new(service).accept_compressed(gzip));
        runtime.spawn(
            server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
        );
        Self {
            address,
            scheme,
            received,
            _runtime: runtime,
        }
    }

    /// Starts a collector over HTTP/1.1. It decodes uncompressed bodies only.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn http(answer: Answer) -> Self {
        Self::http_with(answer, None)
    }

    /// Starts a collector over HTTP/1.1, optionally with TLS.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn http_with(answer: Answer, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::serve_http(listen(0), answer, tls)
    }

    /// Starts a collector over HTTP/1.1 on this port.
    pub fn http_on(port: u16, answer: Answer) -> Self {
        Self::serve_http(listen(port), answer, None)
    }

    fn serve_http(
        (runtime, listener): (tokio::runtime::Runtime, TcpListener),
        answer: Answer,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let address = listener.local_addr().expect("bound");
        let received = Arc::<Mutex<Received>>::default();
        let kept = Arc::clone(&received);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.map(TlsAcceptor::from);
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, tls) = (Arc::clone(&kept), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => while serve_http(&mut stream, &kept, answer).await.is_some() {},
                        Some(tls) => {
                            let Ok(mut stream) = tls.accept(stream).await else {
                                return;
                            };
                            while serve_http(&mut stream, &kept, answer).await.is_some() {}
                        }
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            received,
            _runtime: runtime,
        }
    }

    /// Returns the URL to export to.
    pub fn endpoint(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Returns all received spans.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let received = lock(&self.received);
        let resources = received
            .traces
            .iter()
            .flat_map(|request| &request.resource_spans);
        let mut spans = Vec::new();
        for resource in resources {
            let attributes = resource.resource.clone().unwrap_or_default().attributes;
            for scope in &resource.scope_spans {
                spans.extend(scope.spans.iter().map(|span| ReceivedSpan {
                    span: span.clone(),
                    scope: scope.scope.clone().unwrap_or_default(),
                    resource: attributes.clone(),
                }));
            }
        }
        spans
    }

    /// Returns the only span with this name.
    ///
    /// # Panics
    ///
    /// If there is none or more than one.
    #[track_caller]
    pub fn span(&self, name: &str) -> ReceivedSpan {
        let spans = self.spans();
        let mut named: Vec<_> = spans
            .iter()
            .filter(|received| received.span.name == name)
            .collect();
        let names: Vec<_> = spans.iter().map(|received| &received.span.name).collect();
        assert_eq!(named.len(), 1, "spans named `{name}` among {names:?}");
        named.remove(0).clone()
    }

    /// Returns all received metrics.
    pub fn metrics(&self) -> Vec<Metric> {
        let received = lock(&self.received);
        let scopes = received
            .metrics
            .iter()
            .flat_map(|request| &request.resource_metrics);
        scopes
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| scope.metrics.clone())
            .collect()
    }

    /// Returns the unit and the points of a histogram with explicit bounds from its last export.
    pub fn histogram(&self, name: &str) -> (String, Vec<HistogramDataPoint>) {
        let metric = self
            .metrics()
            .into_iter()
            .rfind(|metric| metric.name == name);
        match metric {
            Some(Metric {
                unit,
                data: Some(Data::Histogram(histogram)),
                ..
            }) => (unit, histogram.data_points),
            _ => (String::new(), Vec::new()),
        }
    }

    /// Returns all received log records.
    pub fn logs(&self) -> Vec<LogRecord> {
        let received = lock(&self.received);
        let scopes = received
            .logs
            .iter()
            .flat_map(|request| &request.resource_logs);
        scopes
            .flat_map(|resource| &resource.scope_logs)
            .flat_map(|scope| scope.log_records.clone())
            .collect()
    }

    /// Returns the values of a header over all requests.
    pub fn header(&self, name: &str) -> Vec<String> {
        lock(&self.received)
            .headers
            .iter()
            .filter_map(|headers| headers.get(name).cloned())
            .collect()
    }

    /// Returns the time between the last refused request and the first accepted one.
    ///
    /// # Panics
    ///
    /// If no request was refused, or none accepted.
    pub fn waited(&self) -> Duration {
        let received = lock(&self.received);
        let refused = received.refused.last().expect("a refused request");
        let accepted = received.accepted.first().expect("an accepted request");
        accepted.saturating_duration_since(*refused)
    }

    /// Returns the bodies of the HTTP requests.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        lock(&self.received).bodies.clone()
    }

    /// Returns the paths of the HTTP requests.
    pub fn paths(&self) -> Vec<String> {
        lock(&self.received).paths.clone()
    }
}

/// Returns an endpoint without a listener.
///
/// # Panics
///
/// If there is no free port.
pub fn dead_endpoint() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    format!("http://{address}")
}

/// Returns the value of an attribute.
pub fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .clone()?
        .value
}

/// Returns the value of an attribute as text with its type: `string:articles`, `int:3`.
pub fn typed(attributes: &[KeyValue], key: &str) -> Option<String> {
    Some(match value(attributes, key)? {
        Value::StringValue(text) => format!("string:{text}"),
        Value::IntValue(number) => format!("int:{number}"),
        Value::BoolValue(flag) => format!("bool:{flag}"),
        other => format!("{other:?}"),
    })
}

/// Subscribers that receive nothing and live as long as the process.
///
/// While `tracing` has one registered subscriber, a thread without a subscriber that reaches a call
/// site first disables this call site for the whole process, and a test on another thread loses its
/// spans and events. With several, `tracing` considers all registered subscribers.
static OTHER_SUBSCRIBERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| {
    [
        Dispatch::new(NoSubscriber::default()),
        Dispatch::new(NoSubscriber::default()),
    ]
});

fn listen(port: u16) -> (tokio::runtime::Runtime, TcpListener) {
    LazyLock::force(&OTHER_SUBSCRIBERS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.expect("threads start");
    let listener = runtime
        .block_on(TcpListener::bind(("127.0.0.1", port)))
        .expect("a free port");
    (runtime, listener)
}

#[derive(Debug, Clone)]
struct Service {
    received: Arc<Mutex<Received>>,
    answer: Answer,
}

impl Service {
    async fn answer<T>(
        &self,
        request: Request<T>,
        keep: impl FnOnce(&mut Received, T),
    ) -> Result<(), Status> {
        match self.answer {
            Answer::After(delay) => tokio::time::sleep(delay).await,
            Answer::Refuse => return Err(Status::invalid_argument("refused")),
            Answer::Flap if lock(&self.received).is_flapping() => {
                return Err(Status::invalid_argument("refused"));
            }
            Answer::Busy { requests, wait } if lock(&self.received).is_busy(requests) => {
                let details = ErrorDetails::with_retry_info(Some(wait));
                return Err(Status::with_error_details(
                    Code::ResourceExhausted,
                    "busy",
                    details,
                ));
            }
            _ => {}
        }
        let headers = request.metadata().clone().into_headers();
        let headers = headers.iter().map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let headers = headers.collect();
        let mut received = lock(&self.received);
        received.accepted.push(Instant::now());
        received.headers.push(headers);
        keep(&mut received, request.into_inner());
        Ok(())
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let response = trace_response(self.answer, request.get_ref());
        self.answer(request, |received, request| received.traces.push(request))
            .await?;
        Ok(Response::new(response))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.answer(request, |received, request| received.metrics.push(request))
            .await?;
        Ok(Response::new(metrics_response(self.answer)))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let response = logs_response(self.answer, request.get_ref());
        self.answer(request, |received, request| received.logs.push(request))
            .await?;
        Ok(Response::new(response))
    }
}

/// Serves one request. Returns `None` when the connection has ended.
async fn serve_http(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    received: &Mutex<Received>,
    answer: Answer,
) -> Option<()> {
    let (path, headers, body) = read_http(stream).await?;
    match answer {
        Answer::After(delay) => tokio::time::sleep(delay).await,
        Answer::Refuse => return write_http(stream, "400 Bad Request").await,
        Answer::Flap if lock(received).is_flapping() => {
            return write_http(stream, "400 Bad Request").await;
        }
        Answer::Busy { requests, wait } if lock(received).is_busy(requests) => {
            let seconds = wait.as_secs();
            let status = format!("503 Service Unavailable\r\nretry-after: {seconds}");
            return write_http(stream, &status).await;
        }
        _ => {}
    }
    let response;
    {
        let mut received = lock(received);
        response = match path.as_str() {
            "/v1/traces" => {
                let request = decoded(&headers, &body).unwrap_or_default();
                let response = encoded(&headers, &trace_response(answer, &request));
                received.traces.push(request);
                response
            }
            "/v1/metrics" => {
                received.metrics.extend(decoded(&headers, &body));
                encoded(&headers, &metrics_response(answer))
            }
            "/v1/logs" => {
                let request = decoded(&headers, &body).unwrap_or_default();
                let response = encoded(&headers, &logs_response(answer, &request));
                received.logs.push(request);
                response
            }
            _ => Vec::new(),
        };
        received.accepted.push(Instant::now());
        received.headers.push(headers);
        received.paths.push(path);
        received.bodies.push(body);
    }
    let (length, body) = match answer {
        Answer::CutOff => (response.len() + 1, &response[..]),
        Answer::Garbage => (3, &[0xff; 3][..]),
        _ => (response.len(), &response[..]),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    (length == body.len() && !matches!(answer, Answer::GoAway)).then_some(())
}

/// Encodes a response as its request was encoded.
fn encoded(
    headers: &HashMap<String, String>,
    response: &(impl prost::Message + serde::Serialize),
) -> Vec<u8> {
    match headers.get("content-type").map(String::as_str) {
        Some("application/json") => serde_json::to_vec(response).expect("valid JSON"),
        _ => response.encode_to_vec(),
    }
}

/// Decodes a request, as JSON or protobuf by its content type.
fn decoded<M: prost::Message + Default + serde::de::DeserializeOwned>(
    headers: &HashMap<String, String>,
    body: &[u8],
) -> Option<M> {
    match headers.get("content-type").map(String::as_str) {
        Some("application/json") => serde_json::from_slice(body).ok(),
        _ => M::decode(body).ok(),
    }
}

async fn read_http(
    stream: &mut (impl AsyncRead + Unpin),
) -> Option<(String, HashMap<String, String>, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some((path, headers, body))
}

async fn write_http(stream: &mut (impl AsyncWrite + Unpin), status: &str) -> Option<()> {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()
}
