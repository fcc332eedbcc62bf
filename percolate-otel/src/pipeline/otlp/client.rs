//! [`OtlpClient`]: encodes a request once, sends it to the collector over either transport, and sends
//! it again within the time limit of the export. The messages are created in `exporters`.
//! Invariant: it uses the decided settings only; no library below reads the environment.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use serde_core::Serialize;

use super::super::drive::Driver;
use super::super::error::TelemetryError;
use super::super::export_queue::Rejected;
use super::super::otlp_options::OtlpProtocol;
use super::super::settings::OtlpSettings;
use super::encoding::Encoding;
use super::endpoint::failed;
use super::grpc::GrpcTransport;
use super::http::HttpTransport;
use super::message::{ExportResponse, public_message};
use super::retry::{Backoff, Failure};
use crate::identity::new_span_id;

/// Sends the requests of one signal.
#[derive(Debug)]
pub(super) struct OtlpClient {
    transport: Transport,
    encoding: Encoding,
    timeout: Duration,
    /// The values of the headers, which no message may contain.
    secrets: Vec<String>,
}

#[derive(Debug)]
enum Transport {
    Grpc(Box<GrpcTransport>),
    Http(Box<HttpTransport>),
}

/// The attempts of one export so far.
#[derive(Debug, Default)]
struct Attempts {
    count: usize,
    /// The failure of the last finished attempt.
    last: Option<Failure>,
    /// Set while an attempt has no response.
    waiting: bool,
}

impl OtlpClient {
    /// Creates the client. It does not connect.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, TelemetryError> {
        if let Some(problem) = &settings.refused {
            return Err(failed(settings, problem.clone()));
        }
        let transport = match settings.protocol {
            OtlpProtocol::Grpc => Transport::Grpc(Box::new(GrpcTransport::new(settings)?)),
            OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => {
                Transport::Http(Box::new(HttpTransport::new(settings)?))
            }
        };
        Ok(Self {
            transport,
            encoding: Encoding::of(settings.protocol),
            timeout: settings.timeout,
            secrets: settings
                .headers
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
        })
    }

    /// Sends a request until it is accepted, refused, or out of time. Blocks the thread. The time
    /// limit is `timeout` or that of the settings, whichever is shorter. Returns how much the
    /// response `R` rejects, or an error message that names the cause.
    pub(super) fn export<R: ExportResponse>(
        &self,
        driver: &Driver,
        timeout: Duration,
        request: &(impl Message + Serialize),
    ) -> Result<Rejected, String> {
        let request = Bytes::from(self.encoding.encode(request)?);
        let response = self.export_bytes(driver, timeout, &request)?;
        let (count, message) = self.encoding.decode::<R>(&response).rejected();
        Ok(Rejected {
            count: usize::try_from(count).unwrap_or(0),
            message: public_message(&message, &request, &self.secrets),
        })
    }

    fn export_bytes(
        &self,
        driver: &Driver,
        timeout: Duration,
        request: &Bytes,
    ) -> Result<Bytes, String> {
        let started = Instant::now();
        let timeout = timeout.min(self.timeout);
        let request = match &self.transport {
            Transport::Grpc(_) => request.clone(),
            Transport::Http(http) => http.body(request)?,
        };
        let attempts = RefCell::default();
        let sending = self.send(request, started + timeout, &attempts);
        let result = driver.run(timeout, sending);
        match result {
            Some(Ok(response)) => Ok(response),
            Some(Err(failure)) => Err(attempts.into_inner().gave_up(Some(failure), started)),
            None => Err(attempts.into_inner().gave_up(None, started)),
        }
    }

    async fn send(
        &self,
        request: Bytes,
        deadline: Instant,
        attempts: &RefCell<Attempts>,
    ) -> Result<Bytes, Failure> {
        let mut backoff = Backoff::default();
        loop {
            {
                let mut attempts = attempts.borrow_mut();
                attempts.count += 1;
                attempts.waiting = true;
            }
            let result = match &self.transport {
                Transport::Grpc(grpc) => grpc.send(request.clone()).await,
                Transport::Http(http) => http.send(request.clone()).await,
            };
            attempts.borrow_mut().waiting = false;
            let failure = match result {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(delay) = backoff.next(failure.retry, left, jitter()) else {
                return Err(failure);
            };
            attempts.borrow_mut().last = Some(failure);
            tokio::time::sleep(delay).await;
        }
    }
}

impl Attempts {
    /// Returns the error message of the export.
    fn gave_up(self, failure: Option<Failure>, started: Instant) -> String {
        let seconds = started.elapsed().as_secs_f64();
        let waited = match (&failure, self.waiting) {
            (None, true) => Some(format!("no response in time ({seconds:.1} s)")),
            _ => None,
        };
        let cause = failure.or(self.last).map(|failure| failure.to_string());
        let mut message = match (waited, cause) {
            (Some(waited), Some(cause)) => format!("{waited}; before that: {cause}"),
            (Some(waited), None) => waited,
            (None, Some(cause)) => cause,
            (None, None) => format!("not sent in time ({seconds:.1} s)"),
        };
        if self.count > 1 {
            message = format!("{message}; {} attempts in {seconds:.1} s", self.count);
        }
        message
    }
}

/// Returns a random number from 0 to 1.
fn jitter() -> f64 {
    let [a, b, c, d, ..] = new_span_id().to_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}
