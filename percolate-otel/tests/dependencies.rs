//! What a library that annotates its functions depends on: the default features of percolate-otel.

use std::collections::BTreeSet;
use std::process::Command;

/// The most crates that the default features may bring, percolate-otel included.
const MOST_CRATES: usize = 22;

/// Crates that belong to applications, not to instrumented libraries.
const EXCLUDED: [&str; 5] = [
    "opentelemetry_sdk",
    "regex",
    "sqlparser",
    "tracing-opentelemetry",
    "tracing-subscriber",
];

#[test]
fn a_library_depends_on_the_opentelemetry_api_and_tracing_alone() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "percolate-otel"])
        .args(["-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "`cargo tree` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    // A line is `name vX.Y.Z`, and ` (*)` where a crate comes again.
    let crates: BTreeSet<&str> = tree
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(" (").next().unwrap_or(line))
        .collect();
    for line in &crates {
        let name = line.split(' ').next().unwrap_or(line);
        assert!(
            !EXCLUDED.contains(&name),
            "percolate-otel depends on {name} by default:\n{tree}"
        );
    }
    assert!(
        crates.len() <= MOST_CRATES,
        "percolate-otel brings {} crates by default, more than {MOST_CRATES}:\n{tree}",
        crates.len()
    );
    assert!(crates.iter().any(|line| line.starts_with("opentelemetry ")));
}
