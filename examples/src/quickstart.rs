//! The quickstart: stores the package manifests of this machine's cargo registry through annotated
//! functions, and prints the resulting traces and metrics. Run it with `make demo`.
//!
//! It also writes a report, an HTML page, to `PERCOLATE_REPORT` or into the folder of the program.
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the telemetry is also exported there, or to the exporters
//! that `OTEL_TRACES_EXPORTER` and `OTEL_METRICS_EXPORTER` list. The optional argument is the path of
//! another registry folder.

mod catalogue;
mod manifests;
mod requests;
mod screen;

use std::collections::BTreeMap;
use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percolate_core::otel::{ConventionLayer, Exporter, ExporterStatus, Telemetry, TelemetryGuard};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::catalogue::{Catalogue, Result};
use crate::manifests::Manifests;
use crate::screen::{Screen, block, heading, line};

const DEADLINE: Duration = Duration::from_secs(5);
/// How long requests are served, so that the report has more than one trace.
const SERVING: Duration = Duration::from_millis(1500);

const USAGE: &str = "\
Usage: quickstart [REGISTRY]

Stores the package manifests of a cargo registry and shows the telemetry of it.
REGISTRY is a registry folder; default: ~/.cargo/registry/src.

Variables:
  PERCOLATE_REPORT             the file of the report; default: report.html next to the program
  OTEL_EXPORTER_OTLP_ENDPOINT  a collector that also receives the telemetry
  OTEL_TRACES_EXPORTER         also export spans to: otlp, otlp_file, chrome, none
  OTEL_METRICS_EXPORTER        also export metrics to: otlp, otlp_file, none
  PERCOLATE_FILE_FOLDER        the folder of these files; default: the current folder";

fn main() -> Result<()> {
    let argument = env::args_os().nth(1).map(PathBuf::from);
    if let Some(option) = argument.as_ref().and_then(|it| it.to_str()) {
        if matches!(option, "-h" | "--help") {
            writeln!(std::io::stdout(), "{USAGE}")?;
            return Ok(());
        }
        if option.starts_with('-') {
            return Err(format!("unknown option `{option}`; --help shows the usage").into());
        }
    }
    let screen = Screen::default();
    let conventions = ConventionLayer::new();
    let subscriber = tracing_subscriber::registry()
        .with(Telemetry::layer())
        .with(conventions.layer());
    tracing::subscriber::set_global_default(subscriber)?;
    let report = report_path()?;
    let telemetry = Telemetry::builder()
        .service_name("percolate-quickstart")
        .traces(exporters("OTEL_TRACES_EXPORTER")?)
        .metrics(exporters("OTEL_METRICS_EXPORTER")?)
        .console_writer(screen.clone())
        .report(&report)
        .report_conventions(&conventions)
        .install()?;

    let (folder, found) = read_registry(argument)?;
    let store = tempfile::tempdir()?;
    heading(&format!(
        "Manifests of {} packages from {}",
        found.packages.len(),
        folder.display()
    ));
    let catalogue = tracing::info_span!("quickstart")
        .in_scope(|| tour(&store.path().join("catalogue"), &found))?;
    // Its error is in the status, which is printed at the end.
    _ = telemetry.force_flush(DEADLINE);

    heading(
        "The trace: annotated calls, the database's calls and plain `tracing` spans in one tree",
    );
    block(&screen.traces());
    heading("Metrics: every call is counted and timed, sampled or not");
    block(&screen.tables(&["operation", "job"]));
    heading("Check against the OpenTelemetry conventions");
    block(&conventions.report().to_string());

    heading("The same check on a hand-written span with mistakes");
    conventions.clear();
    wrong_on_purpose();
    block(&conventions.report().to_string());

    heading("The code behind it");
    block(THE_CODE);
    requests::serve(&catalogue, &found, SERVING);
    _ = telemetry.shutdown(DEADLINE);
    print_exports(&telemetry, &report);
    Ok(())
}

/// Prints where the telemetry is, and what was not exported.
fn print_exports(telemetry: &TelemetryGuard, report: &Path) {
    let status = telemetry.status();
    let mut page = None;
    let mut others = BTreeMap::new();
    for ExporterStatus { to, counts, .. } in status.traces.iter().chain(&status.metrics) {
        let lost = (counts.lost() > 0).then(|| "it was not in time".to_owned());
        let problem = counts.last_error.clone().or(lost);
        if to.ends_with("(report)") {
            page = page.or(problem);
        } else if to != "console" {
            let of_others = others.entry(to).or_insert(None);
            *of_others = of_others.take().or(problem);
        }
    }
    match page {
        None => heading(&format!(
            "The report, a page for a browser: {}",
            report.display()
        )),
        Some(problem) => heading(&format!("The report is not there: {problem}")),
    }
    for (to, problem) in others {
        match problem {
            None => heading(&format!("The telemetry was also exported to {to}")),
            Some(problem) => heading(&format!("The export to {to} was incomplete: {problem}")),
        }
    }
}

const THE_CODE: &str = r#"
let _telemetry = Telemetry::from_env().install()?;

#[db_op(search, "packages")]
fn starting_with(&self, prefix: &str) -> Result<Vec<Package>> { ... }

#[background_job("catalogue.import", "registry", batch_size = packages.len())]
fn import(&self, packages: &[Package]) -> Result<()> { ... }
"#;

/// Stores, looks up, searches, queries and removes packages, and rebuilds an index.
fn tour(store: &Path, found: &Manifests) -> Result<Catalogue> {
    let catalogue = Catalogue::open(store)?;
    catalogue.register_metrics();
    catalogue.import(&found.packages)?;
    line(
        "stored",
        found.packages.len(),
        "packages, with a key and two indexes",
    );

    let wanted: Vec<_> = found.packages.iter().step_by(8).collect();
    for package in &wanted {
        assert_eq!(catalogue.package(&package.id)?.as_ref(), Some(*package));
    }
    assert_eq!(catalogue.package("no-such-package 0.0.0")?, None);
    line(
        "looked up",
        wanted.len() + 1,
        "packages by name and version, one of which does not exist",
    );

    let matching = catalogue.starting_with("tracing")?;
    assert!(
        matching
            .iter()
            .all(|package| package.name.starts_with("tracing"))
    );
    line(
        "found",
        matching.len(),
        "packages whose name starts with `tracing`",
    );

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let several = runtime.block_on(catalogue.in_several_versions())?;
    line(
        "counted",
        several,
        "package names with several versions, in SQL",
    );

    let superseded = found.superseded();
    assert!(several <= superseded.len());
    catalogue.remove(&superseded)?;
    line(
        "removed",
        superseded.len(),
        "packages of which a newer version exists",
    );

    let keys = catalogue.rebuild_keys()?;
    assert_eq!(keys, found.packages.len() - superseded.len());
    line(
        "rebuilt",
        keys,
        "entries of the key index, in a background job",
    );
    Ok(catalogue)
}

/// Creates a span with a deprecated name, a misspelled name and a number as text. It compiles.
fn wrong_on_purpose() {
    let span = tracing::info_span!(
        "get packages",
        otel.kind = "client",
        db.system = "rocksdb",
        db.operation.name = "get",
        db.colection.name = "packages",
        db.response.returned_rows = "1",
    );
    span.in_scope(|| ());
}

fn read_registry(given: Option<PathBuf>) -> Result<(PathBuf, Manifests)> {
    let folder = given
        .or_else(manifests::registry)
        .ok_or("cannot find the home folder; pass a registry folder as the argument")?;
    let found = manifests::read(&folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    Ok((folder, found))
}

/// The file of the report: `PERCOLATE_REPORT`, or `report.html` in the folder of the program.
fn report_path() -> Result<PathBuf> {
    if let Some(path) = env::var_os("PERCOLATE_REPORT").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    Ok(env::current_exe()?.with_file_name("report.html"))
}

/// The screen, and the exporters that this variable lists; by default a collector if the environment
/// configures one.
fn exporters(variable: &str) -> Result<Vec<Exporter>> {
    let mut exporters = vec![Exporter::Console];
    let default = || set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|_| "otlp".to_owned());
    let names = set(variable).or_else(default).unwrap_or_default();
    for name in names.split(',').map(str::trim) {
        exporters.push(match name {
            "otlp" => Exporter::Otlp,
            "otlp_file" => Exporter::OtlpFile,
            "chrome" => Exporter::Chrome,
            "" | "none" | "console" => continue,
            _ => return Err(format!("{variable}: unknown exporter `{name}`\n{USAGE}").into()),
        });
    }
    Ok(exporters)
}

/// Returns the value of a variable, unless it is blank.
fn set(variable: &str) -> Option<String> {
    let value = env::var(variable).ok()?;
    (!value.trim().is_empty()).then_some(value)
}
