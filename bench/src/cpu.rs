//! CPU time of the process per span: the call, conversion, encoding, and sending to a local OTLP
//! receiver.
//!
//! The receiver runs in its own process and is not counted. Calls have an empty body and run in
//! bursts that fit into all queues; a flush follows each burst. The receiver counts the spans.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cpu_time::ProcessTime;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_sdk::trace::Sampler as SdkSampler;
use percolate_core::otel::runtime::RuntimeConfig;
use tonic::{Request, Response, Status};

use crate::bodies::Empty;
use crate::calls::Way;
use crate::export::batched;
use crate::report::{Report, rounded};
use crate::rounds::median;
use crate::settings::{Flush, percolate_to, sdk_to, tracing_otel_to};
use crate::{Failed, Plan};

const SPANS: u64 = 200_000;
const BURST: u64 = 10_000;
const SENDERS: [(&str, Way); 4] = [
    ("percolate", Way::Percolate),
    ("instrument_otel", Way::Instrument),
    ("instrument_otel_lean", Way::Instrument),
    ("otel_sdk", Way::Sdk),
];

/// Runs each setting several times, in turn.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    report.progress("CPU for a million spans")?;
    let mut receiver = Receiver::start()?;
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..plan.restarts.max(3) {
        for (name, _) in SENDERS {
            let out = Command::new(std::env::current_exe()?)
                .args(["spans", name, &receiver.endpoint, &SPANS.to_string()])
                .stderr(Stdio::inherit())
                .output()?;
            let seconds: f64 = String::from_utf8(out.stdout)?.trim().parse()?;
            let arrived = receiver.taken()?;
            if arrived != SPANS {
                return Err(format!("`{name}` sent {SPANS} spans, {arrived} arrived").into());
            }
            found.entry(name).or_default().push(seconds);
        }
    }
    let mut lines = Vec::new();
    for (name, _) in SENDERS {
        let seconds = rounded(median(&found[name]), 1000.0);
        lines.push(format!("{name:<44} {seconds:>8.3} s"));
        report
            .cpu_seconds_per_million_spans
            .insert(name.to_owned(), seconds);
    }
    report.print(
        "CPU of the process for a million spans to a local OTLP receiver",
        &lines,
    )
}

/// `spans SETTING ENDPOINT COUNT`: sends spans, and prints the CPU seconds per million.
pub(crate) fn send(args: &[String]) -> Result<(), Failed> {
    let [name, endpoint, count] = args else {
        return Err("`spans` needs a setting, an endpoint and a count".into());
    };
    let count: u64 = count.parse()?;
    let (_, way) = SENDERS
        .iter()
        .find(|(known, _)| known == name)
        .ok_or("unknown setting")?;
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let inside = tokio.enter();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    let processor = batched(exporter);
    let always = SdkSampler::AlwaysOn;
    let flush: Flush = match name.as_str() {
        "percolate" => percolate_to(RuntimeConfig::default(), Arc::new(processor))?,
        "otel_sdk" => flush_of(sdk_to(always, processor)),
        lean => flush_of(tracing_otel_to(
            always,
            processor,
            lean == "instrument_otel",
        )?),
    };
    let function = way.get::<Empty>();
    let before = ProcessTime::try_now()?;
    for _ in 0..count / BURST {
        for turn in 0..usize::try_from(BURST)? {
            std::hint::black_box(function(&Empty, "articles", turn)?);
        }
        flush()?;
    }
    let spent = before.try_elapsed()?;
    drop(inside);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand spans")]
    let seconds = spent.as_secs_f64() * 1e6 / count as f64;
    writeln!(io::stdout(), "{seconds}")?;
    Ok(())
}

fn flush_of(provider: opentelemetry_sdk::trace::SdkTracerProvider) -> Flush {
    Box::new(move || Ok(provider.force_flush()?))
}

/// The receiver's process.
struct Receiver {
    child: Child,
    endpoint: String,
    answers: BufReader<std::process::ChildStdout>,
}

impl Receiver {
    fn start() -> Result<Self, Failed> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("receiver")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("the process has no output")?);
        let mut endpoint = String::new();
        answers.read_line(&mut endpoint)?;
        Ok(Self {
            child,
            endpoint: endpoint.trim().to_owned(),
            answers,
        })
    }

    /// Returns the number of spans received since the last request.
    fn taken(&mut self) -> Result<u64, Failed> {
        writeln!(
            self.child
                .stdin
                .as_mut()
                .ok_or("the process has no input")?,
            "count"
        )?;
        let mut count = String::new();
        self.answers.read_line(&mut count)?;
        Ok(count.trim().parse()?)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.stdin = None;
        _ = self.child.wait();
    }
}

#[derive(Debug, Clone, Default)]
struct Counter(Arc<AtomicU64>);

#[tonic::async_trait]
impl TraceService for Counter {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = &request.get_ref().resource_spans;
        let spans = resources
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len());
        self.0
            .fetch_add(spans.sum::<usize>() as u64, Ordering::AcqRel);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// `receiver`: prints its address, then, for each input line, the number of spans received since
/// the last one.
pub(crate) fn receive() -> Result<(), Failed> {
    let counter = Counter::default();
    let service = TraceServiceServer::new(counter.clone());
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = tokio.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    io::stdout().flush()?;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let serving =
        tokio.spawn(tonic::transport::Server::builder().serve_with_incoming(service, incoming));
    for _ in io::stdin().lock().lines() {
        writeln!(io::stdout(), "{}", counter.0.swap(0, Ordering::AcqRel))?;
    }
    serving.abort();
    Ok(())
}
