//! The OTLP exporters, and the runtime that drives their connections on one thread,
//! `percolate-otlp`. The SDK's builders read only a part of the environment, so that the channel is
//! created here from the decided settings. Invariant: creating an exporter does not connect; an
//! unreachable collector is an error of the export only.

mod endpoint;
mod http;
mod timed;
mod tls;

use std::str::FromStr;
use std::sync::Arc;
use std::thread;

use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::metrics::Temporality;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::{Channel, Endpoint};

pub(super) use self::endpoint::describe;
use self::endpoint::failed;
use self::http::HttpTransport;
pub(super) use self::timed::{TimedLogs, TimedMetrics, batched_logs};
use super::error::TelemetryError;
use super::otlp_options::{OtlpCompression, OtlpProtocol};
use super::settings::OtlpSettings;
use crate::quiet::quiet;

/// The thread `percolate-otlp`. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct OtlpThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl OtlpThread {
    pub(super) fn start() -> Result<Self, TelemetryError> {
        let failed = |source| TelemetryError::Thread {
            name: "percolate-otlp",
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("percolate-otlp".to_owned())
            .spawn(move || {
                let _quiet = quiet();
                // The channel closes when the `OtlpThread` is dropped: the signal to stop.
                _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

/// Builds one exporter of the SDK from the decided settings.
macro_rules! exporter {
    ($builder:expr, $settings:expr) => {{
        let settings: &OtlpSettings = $settings;
        let gzip = (settings.compression == OtlpCompression::Gzip).then_some(Compression::Gzip);
        let built = match settings.protocol {
            OtlpProtocol::Grpc => {
                let builder = $builder.with_tonic().with_timeout(settings.timeout);
                let builder = builder
                    .with_channel(channel(settings)?)
                    .with_interceptor(headers(settings)?);
                match gzip {
                    Some(gzip) => builder.with_compression(gzip).build(),
                    None => builder.build(),
                }
            }
            OtlpProtocol::HttpProtobuf => {
                let builder = $builder
                    .with_http()
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary);
                let builder = builder
                    .with_timeout(settings.timeout)
                    .with_endpoint(settings.endpoint.clone());
                let builder = builder.with_http_client(HttpTransport::new(settings)?);
                match gzip {
                    Some(gzip) => builder.with_compression(gzip).build(),
                    None => builder.build(),
                }
            }
        };
        built.map_err(|error| failed(settings, error.to_string()))
    }};
}

/// Creates the exporter of spans.
pub(super) fn span_exporter(
    settings: &OtlpSettings,
    handle: &Handle,
) -> Result<SpanExporter, TelemetryError> {
    let _entered = handle.enter();
    exporter!(SpanExporter::builder(), settings)
}

/// Creates the exporter of metrics.
pub(super) fn metric_exporter(
    settings: &OtlpSettings,
    temporality: Temporality,
    handle: &Handle,
) -> Result<MetricExporter, TelemetryError> {
    let _entered = handle.enter();
    exporter!(
        MetricExporter::builder().with_temporality(temporality),
        settings
    )
}

/// Creates the exporter of log records.
pub(super) fn log_exporter(
    settings: &OtlpSettings,
    handle: &Handle,
) -> Result<LogExporter, TelemetryError> {
    let _entered = handle.enter();
    exporter!(LogExporter::builder(), settings)
}

/// Creates a channel that connects at its first use.
fn channel(settings: &OtlpSettings) -> Result<Channel, TelemetryError> {
    let endpoint = Endpoint::from_shared(settings.endpoint.clone()).map_err(|error| {
        failed(
            settings,
            format!("not a valid URL such as http://collector:4317: {error}"),
        )
    })?;
    let endpoint = if endpoint.uri().scheme_str() == Some("https") {
        endpoint
            .tls_config(tls::for_tonic(settings)?)
            .map_err(|error| failed(settings, chain(&error)))?
    } else {
        endpoint
    };
    Ok(endpoint
        .timeout(settings.timeout)
        .connect_timeout(settings.timeout)
        .connect_lazy())
}

/// Returns an error message with its causes; tonic's own is only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Returns an interceptor that sets the decided headers on each request, over those that the SDK
/// has read from the environment.
fn headers(
    settings: &OtlpSettings,
) -> Result<
    impl Fn(tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> + Clone + use<>,
    TelemetryError,
> {
    let parsed = settings.headers.iter().map(|(name, value)| {
        let key = MetadataKey::<Ascii>::from_str(&name.to_ascii_lowercase()).ok();
        let value = MetadataValue::try_from(value.as_str()).ok();
        key.zip(value)
            .ok_or_else(|| failed(settings, format!("the header `{name}` is invalid")))
    });
    let parsed: Arc<[_]> = parsed.collect::<Result<Vec<_>, _>>()?.into();
    Ok(move |mut request: tonic::Request<()>| {
        for (key, value) in parsed.iter() {
            request.metadata_mut().insert(key.clone(), value.clone());
        }
        Ok(request)
    })
}
