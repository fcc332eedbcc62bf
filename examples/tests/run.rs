//! Every example runs, by itself and without arguments, and shows what it promises. Each one also checks itself.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a program without any `OTEL_*` variable, and gives back what it printed.
fn run(program: &str, arguments: &[&Path], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    let output = command.args(arguments).envs(variables.iter().copied()).output().expect("the example starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} ended with {}\n{printed}\n{complaints}", output.status);
    assert_eq!(complaints, "", "{program} complained");
    printed
}

fn assert_shows(printed: &str, expected: &[&str]) {
    for text in expected {
        assert!(printed.contains(text), "`{text}` is missing in\n{printed}");
    }
}

fn registry(packages: &[(&str, &str)]) -> tempfile::TempDir {
    let registry = tempfile::tempdir().expect("a temporary folder");
    for (name, version) in packages {
        let folder = registry.path().join("index.example").join(format!("{name}-{version}"));
        fs::create_dir_all(&folder).expect("a folder");
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nkeywords = [\"async\"]\n");
        fs::write(folder.join("Cargo.toml"), manifest).expect("a file");
    }
    registry
}

#[test]
fn quickstart_shows_one_trace_a_table_no_findings_and_then_some() {
    let registry = registry(&[("tracing", "0.1.0"), ("tracing-core", "0.1.0"), ("rand", "0.9.5"), ("rand", "0.10.4")]);
    let printed = run(env!("CARGO_BIN_EXE_quickstart"), &[registry.path()], &[]);
    assert_shows(&printed, &["4 package manifests"]);
}

#[test]
fn quickstart_reads_this_machines_own_registry() {
    let printed = run(env!("CARGO_BIN_EXE_quickstart"), &[], &[]);
    assert_shows(&printed, &["package manifests", "put packages", "index.key.rebuild"]);
}

#[test]
fn own_store_observes_an_engine_of_the_users() {
    assert_shows(
        &run(env!("CARGO_BIN_EXE_own_store"), &[], &[]),
        &["get books", "3 puts, 1 of them failed with Sealed"],
    );
}

#[test]
fn service_continues_the_callers_trace() {
    assert_shows(&run(env!("CARGO_BIN_EXE_service"), &[], &[]), &["(remote parent)", "out: traceparent: 00-0af76519"]);
}
