//! OTLP over gRPC: a channel that connects at its first use, and unary calls with an encoded
//! request. Messages are encoded and decoded by the exporters, so that an attempt copies nothing.

use std::error::Error as _;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::super::error::TelemetryError;
use super::super::otlp_options::OtlpCompression;
use super::super::settings::OtlpSettings;
use super::super::signal::Signal;
use super::endpoint::failed;
use super::message::MAX_RESPONSE;
use super::retry::{Failure, Retry, chain};
use super::tls;
use super::user_agent::USER_AGENT;

/// Calls the collector's service for one signal.
#[derive(Debug)]
pub(super) struct GrpcTransport {
    channel: Channel,
    compression: OtlpCompression,
    method: PathAndQuery,
    headers: MetadataMap,
}

impl GrpcTransport {
    /// Creates the channel. It must be called inside a tokio runtime.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, TelemetryError> {
        Ok(Self {
            channel: channel(settings)?,
            compression: settings.compression,
            method: PathAndQuery::from_static(method(settings.signal)),
            headers: headers(settings)?,
        })
    }

    /// Sends a request once and returns the response. A collector sends a response message only if
    /// it accepts the request. If the message does not arrive completely, cannot be decoded, or is
    /// too long, the request is accepted and the returned message is empty.
    pub(super) async fn send(&self, request: Bytes) -> Result<Bytes, Failure> {
        let arrived = Arrived::default();
        let watched = Watched {
            channel: self.channel.clone(),
            arrived: arrived.clone(),
        };
        // Compressed responses are not requested: their length would be unknown before they are
        // decompressed.
        let mut client = Grpc::new(watched).max_decoding_message_size(MAX_RESPONSE);
        if self.compression == OtlpCompression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let ready = client.ready().await;
        ready.map_err(|error| Failure::of_connection(&error))?;
        let mut request = Request::new(request);
        *request.metadata_mut() = self.headers.clone();
        match client.unary(request, self.method.clone(), Encoded).await {
            Ok(response) => Ok(response.into_inner()),
            Err(_) if arrived.is_message_without_status() => Ok(Bytes::new()),
            Err(status) => Err(failure(&status)),
        }
    }
}

fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// Creates a channel that connects at its first use.
fn channel(settings: &OtlpSettings) -> Result<Channel, TelemetryError> {
    let endpoint = Endpoint::from_shared(settings.endpoint.clone())
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|error| {
            failed(
                settings,
                format!(
                    "not a valid URL such as http://collector:4317: {}",
                    chain(&error)
                ),
            )
        })?;
    let endpoint = if endpoint.uri().scheme_str() == Some("https") {
        endpoint
            .tls_config(tls::for_tonic(settings)?)
            .map_err(|error| failed(settings, chain(&error)))?
    } else {
        endpoint
    };
    // A connection attempt that is not answered leaves time for another one.
    Ok(endpoint
        .connect_timeout(settings.timeout / 2)
        .connect_lazy())
}

fn headers(settings: &OtlpSettings) -> Result<MetadataMap, TelemetryError> {
    let mut headers = MetadataMap::with_capacity(settings.headers.len());
    for (name, value) in &settings.headers {
        let key = MetadataKey::<Ascii>::from_str(&name.to_ascii_lowercase()).ok();
        let value = MetadataValue::try_from(value.as_str()).ok();
        let (key, value) = key
            .zip(value)
            .ok_or_else(|| failed(settings, format!("the header `{name}` is invalid")))?;
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Describes a failed call. A message of the collector may repeat headers or data: only its code is
/// reported.
fn failure(status: &Status) -> Failure {
    if let Some(cause) = status.source() {
        return Failure::of_connection(cause);
    }
    let requested = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
        .filter(|delay| !delay.is_zero());
    let retry = match (status.code(), requested) {
        (Code::ResourceExhausted | Code::Unavailable, Some(delay)) => Retry::After(delay),
        (
            Code::Unavailable
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::DataLoss,
            _,
        ) => Retry::Backoff,
        _ => Retry::Never,
    };
    Failure {
        problem: format!("the collector returned the status {:?}", status.code()),
        retry,
    }
}

/// What has arrived of a response.
#[derive(Debug, Clone, Default)]
struct Arrived(Arc<AtomicU8>);

impl Arrived {
    /// A part of the response message.
    const MESSAGE: u8 = 1;
    /// The trailers, which contain the status.
    const STATUS: u8 = 2;

    fn add(&self, part: u8) {
        self.0.fetch_or(part, Ordering::Relaxed);
    }

    fn is_message_without_status(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::MESSAGE
    }
}

/// A channel for one call that keeps what has arrived of its response.
struct Watched {
    channel: Channel,
    arrived: Arrived,
}

impl GrpcService<Body> for Watched {
    type ResponseBody = Body;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        GrpcService::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let response = GrpcService::call(&mut self.channel, request);
        let arrived = self.arrived.clone();
        Box::pin(async move {
            Ok(response.await?.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    arrived.add(if frame.is_trailers() {
                        Arrived::STATUS
                    } else {
                        Arrived::MESSAGE
                    });
                    frame
                }))
            }))
        })
    }
}

/// Messages that are already encoded.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
