//! The quickstart: stores the package manifests of this machine's cargo registry through annotated
//! functions, and prints the resulting traces and metrics. Run it with `make demo`.
//!
//! It also writes a report, an HTML page, to `PERCOLATE_REPORT` or into the folder of the program.
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the telemetry is also exported there. The optional
//! argument is the path of another registry folder.

mod catalogue;
mod manifests;
mod requests;
mod screen;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percolate_core::otel::{ConventionLayer, Exporter, Telemetry};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::catalogue::{Catalogue, Result};
use crate::manifests::Manifests;
use crate::screen::{Screen, block, heading, line};

const DEADLINE: Duration = Duration::from_secs(5);
/// How long requests are served, so that the report has more than one trace.
const SERVING: Duration = Duration::from_millis(1500);

fn main() -> Result<()> {
    let screen = Screen::default();
    let conventions = ConventionLayer::new();
    let subscriber = tracing_subscriber::registry()
        .with(Telemetry::layer())
        .with(conventions.layer());
    tracing::subscriber::set_global_default(subscriber)?;
    let report = report_path()?;
    let telemetry = Telemetry::builder()
        .service_name("percolate-quickstart")
        .traces(exporters())
        .metrics(exporters())
        .console_writer(screen.clone())
        .report(&report)
        .report_conventions(&conventions)
        .install()?;

    let (folder, found) = read_registry()?;
    let store = tempfile::tempdir()?;
    heading(&format!(
        "Manifests of {} packages from {}",
        found.packages.len(),
        folder.display()
    ));
    let catalogue = tracing::info_span!("quickstart")
        .in_scope(|| tour(&store.path().join("catalogue"), &found))?;
    let exported = telemetry.force_flush(DEADLINE);

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
    // Its error would be that of the flush, which was printed.
    _ = telemetry.shutdown(DEADLINE);
    heading(&format!(
        "The report, a page for a browser: {}",
        report.display()
    ));
    match (collector(), exported) {
        (Some(collector), Ok(())) => {
            heading(&format!("The telemetry was also exported to {collector}"));
        }
        (_, Err(error)) => heading(&format!(
            "The export to the collector was incomplete: {error}"
        )),
        (None, Ok(())) => {}
    }
    Ok(())
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

fn read_registry() -> Result<(PathBuf, Manifests)> {
    let given = env::args_os().nth(1).map(PathBuf::from);
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

/// The screen, and a collector if the environment configures one.
fn exporters() -> Vec<Exporter> {
    if collector().is_some() {
        vec![Exporter::Console, Exporter::Otlp]
    } else {
        vec![Exporter::Console]
    }
}

fn collector() -> Option<String> {
    env::var("OTEL_EXPORTER_OTLP_ENDPOINT")
        .ok()
        .filter(|endpoint| !endpoint.trim().is_empty())
}
