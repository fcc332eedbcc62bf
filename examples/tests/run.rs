//! Runs every example and checks its output. Each example also checks itself.

mod gallery;

use std::fs;
use std::path::Path;
use std::process::Command;

use percolate_pipeline_tests::{Answer, Collector};

/// Runs a program with only these `OTEL_*` variables, and returns its output.
fn run(program: &str, arguments: &[&Path], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("the example starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} ended with {}\n{printed}\n{errors}",
        output.status
    );
    assert_eq!(errors, "", "{program} printed errors");
    printed
}

fn assert_shows(printed: &str, expected: &[&str]) {
    for text in expected {
        assert!(printed.contains(text), "`{text}` is missing in\n{printed}");
    }
}

fn registry(packages: &[(&str, &str)]) -> tempfile::TempDir {
    let registry = tempfile::tempdir().expect("a temporary folder");
    add_index(registry.path(), "index.example", packages);
    registry
}

fn add_index(registry: &Path, index: &str, packages: &[(&str, &str)]) {
    for (name, version) in packages {
        let folder = registry.join(index).join(format!("{name}-{version}"));
        fs::create_dir_all(&folder).expect("a folder");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nkeywords = [\"async\"]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).expect("a file");
    }
}

#[test]
fn quickstart_shows_a_trace_a_table_and_the_convention_report() {
    let registry = registry(&[
        ("tracing", "0.1.0"),
        ("tracing-core", "0.1.0"),
        ("rand", "0.9.5"),
        ("rand", "0.10.4"),
    ]);
    let report = registry.path().join("report.html");
    let printed = run(
        env!("CARGO_BIN_EXE_quickstart"),
        &[registry.path()],
        &[("PERCOLATE_REPORT", report.to_str().expect("text"))],
    );
    let page = fs::read_to_string(&report).expect("the report is written");
    assert_shows(&printed, &[&report.display().to_string()]);
    assert_shows(
        &page,
        &[
            "catalogue.import",
            "POST /packages",
            "rocksdb.",
            "quickstart.rs",
        ],
    );
    assert_shows(
        &printed,
        &[
            "stored        4 packages",
            "found         2 packages",
            "counted       1 package names",
            "removed       1 packages",
        ],
    );
    assert_shows(
        &printed,
        &[
            "quickstart",
            "├─ catalogue.import registry",
            "│  │  ├─ get entities",
            "├─ SELECT packages",
            "│  └─ scan entities",
            "└─ index.key.rebuild all",
        ],
    );
    assert_shows(
        &printed,
        &[
            "\n  operation    collection   count      p50      p99  errors",
            "\n  insert       packages         4 ",
        ],
    );
    let (before, after) = printed
        .split_once("hand-written span")
        .expect("a part about a hand-written span");
    assert_shows(before, &["checked: no problems found"]);
    assert_shows(
        after,
        &[
            "4 violations",
            "did you mean `db.collection.name`?",
            "#[db_op(search, \"packages\")]",
        ],
    );
    assert_eq!(printed.matches("  trace ").count(), 1, "{printed}");
}

#[test]
fn quickstart_reads_a_package_of_two_registries_once() {
    let registry = registry(&[("tracing", "0.1.0"), ("rand", "0.9.5")]);
    add_index(
        registry.path(),
        "mirror.example",
        &[("rand", "0.9.5"), ("rand", "0.10.4")],
    );
    let printed = run(env!("CARGO_BIN_EXE_quickstart"), &[registry.path()], &[]);
    assert_shows(
        &printed,
        &["stored        3 packages", "removed       1 packages"],
    );
}

#[test]
fn quickstart_reads_this_machines_own_registry() {
    let printed = run(env!("CARGO_BIN_EXE_quickstart"), &[], &[]);
    assert_shows(
        &printed,
        &[
            "more × insert packages",
            "index.key.rebuild all",
            "checked: no problems found",
        ],
    );
}

#[test]
fn quickstart_exports_the_same_run_to_a_collector() {
    let registry = registry(&[("tracing", "0.1.0"), ("rand", "0.9.5"), ("rand", "0.10.4")]);
    let collector = Collector::grpc(Answer::Accept);
    let endpoint = collector.endpoint();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let printed = run(
        env!("CARGO_BIN_EXE_quickstart"),
        &[registry.path()],
        &variables,
    );
    assert_shows(
        &printed,
        &[
            "checked: no problems found",
            &format!("The telemetry was also exported to {endpoint}"),
        ],
    );

    let spans = collector.spans();
    let named = |name: &str| {
        spans
            .iter()
            .filter(move |received| received.span.name == name)
            .collect::<Vec<_>>()
    };
    let (import, mut inserts) = (named("catalogue.import registry"), named("insert packages"));
    // Those of refused requests are in other traces.
    inserts.retain(|insert| insert.span.trace_id == import[0].span.trace_id);
    assert_eq!((import.len(), inserts.len()), (1, 3));
    for insert in inserts {
        assert_eq!(insert.span.parent_span_id, import[0].span.span_id);
        assert_eq!(insert.span.trace_id, named("quickstart")[0].span.trace_id);
    }
}

#[test]
fn quickstart_succeeds_without_its_collector() {
    let registry = registry(&[("tracing", "0.1.0")]);
    let unreachable = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_LOG_LEVEL", "none"),
    ];
    let printed = run(
        env!("CARGO_BIN_EXE_quickstart"),
        &[registry.path()],
        &unreachable,
    );
    assert_shows(
        &printed,
        &[
            "checked: no problems found",
            "The export to http://127.0.0.1:1",
            "was incomplete: ",
            "The report, a page for a browser: ",
        ],
    );
}

#[test]
fn quickstart_without_a_report_does_not_name_its_file_or_a_collector() {
    let registry = registry(&[("tracing", "0.1.0")]);
    let missing = registry.path().join("missing").join("x.html");
    let printed = run(
        env!("CARGO_BIN_EXE_quickstart"),
        &[registry.path()],
        &[
            ("PERCOLATE_REPORT", missing.to_str().expect("text")),
            ("OTEL_LOG_LEVEL", "none"),
        ],
    );
    assert_shows(
        &printed,
        &[
            "The report is not there: cannot write `",
            "create the folder",
        ],
    );
    assert!(!printed.contains("a page for a browser"), "{printed}");
    assert!(!printed.contains("incomplete"), "{printed}");
}

#[test]
fn quickstart_writes_the_files_that_a_variable_lists() {
    let registry = registry(&[("tracing", "0.1.0")]);
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.html");
    let printed = run(
        env!("CARGO_BIN_EXE_quickstart"),
        &[registry.path()],
        &[
            ("PERCOLATE_REPORT", report.to_str().expect("text")),
            (
                "PERCOLATE_FILE_FOLDER",
                folder.path().to_str().expect("text"),
            ),
            ("OTEL_TRACES_EXPORTER", "otlp_file,chrome"),
        ],
    );
    for name in ["traces.jsonl", "trace.json"] {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).expect("the file is written");
        assert_shows(&text, &["catalogue.import registry"]);
        let exported = format!("The telemetry was also exported to {}", path.display());
        assert_shows(&printed, &[&exported]);
    }
}

#[test]
fn quickstart_explains_itself() {
    let program = env!("CARGO_BIN_EXE_quickstart");
    let printed = run(program, &[Path::new("--help")], &[]);
    assert!(printed.starts_with("Usage: quickstart"), "{printed}");
    let refused = Command::new(program).arg("--reprot").output();
    let refused = refused.expect("the example starts");
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && error.contains("unknown option `--reprot`"));
}

#[test]
fn the_gallery_shows_the_traces_of_the_programs() {
    for (source, program) in [
        ("src/own_store.rs", env!("CARGO_BIN_EXE_own_store")),
        ("src/redb_store.rs", env!("CARGO_BIN_EXE_redb_store")),
        ("src/fjall_store.rs", env!("CARGO_BIN_EXE_fjall_store")),
        ("src/sqlite_store.rs", env!("CARGO_BIN_EXE_sqlite_store")),
        ("src/queue_worker.rs", env!("CARGO_BIN_EXE_queue_worker")),
        ("src/object_store.rs", env!("CARGO_BIN_EXE_object_store")),
        ("src/service.rs", env!("CARGO_BIN_EXE_service")),
    ] {
        let printed = run(program, &[], &[]);
        let shown = gallery::trace(source);
        assert!(
            printed.starts_with(shown),
            "docs/gallery.md shows for examples/{source}:\n{shown}\nand it printed:\n{printed}"
        );
    }
}

#[test]
fn the_gallery_names_every_program() {
    let manifest = include_str!("../Cargo.toml");
    let paths = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    for path in paths {
        let path = path.trim_end_matches("main.rs");
        assert!(
            gallery::PAGE.contains(&format!("`examples/{path}`")),
            "docs/gallery.md does not name examples/{path}"
        );
    }
}

#[test]
fn own_store_prints_the_metric_of_its_engine() {
    assert_shows(
        &run(env!("CARGO_BIN_EXE_own_store"), &[], &[]),
        &["3 puts, 1 of which failed with Sealed"],
    );
}

#[test]
fn object_store_has_one_writer_and_readers_that_refresh() {
    assert_shows(
        &run(env!("CARGO_BIN_EXE_object_store"), &[], &[]),
        &[
            "the first reader counted 1, then 1, then 2",
            "the second writer: stored",
            "the first writer:  another process writes now",
            "the second reader counted 3",
        ],
    );
}

#[test]
fn service_passes_the_callers_trace_on() {
    assert_shows(
        &run(env!("CARGO_BIN_EXE_service"), &[], &[]),
        &["out: traceparent: 00-0af76519"],
    );
}

#[test]
fn progress_is_written_as_lines_where_there_is_no_terminal() {
    let output = Command::new(env!("CARGO_BIN_EXE_progress"))
        .output()
        .expect("the example starts");
    let lines = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lines}");
    let parts: Vec<_> = lines
        .lines()
        .filter_map(|line| line.split(',').next())
        .collect();
    assert_eq!(parts[0], "import: 5000");
    assert_eq!(parts[3..5], ["import: 20000", "import: 5000 of 20000"]);
    assert_eq!(parts[7], "import: 20000 of 20000");
    assert_eq!(parts[8], "rebuild: 10000");
}
