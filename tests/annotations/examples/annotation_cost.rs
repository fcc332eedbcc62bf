//! The compile-time cost of an annotation: compile time and machine code of two hundred functions
//! without an annotation, with `#[tracing::instrument]` and with `#[db_op]`, each in its own crate.
//!
//! Run it with `cargo run -p percolate-annotation-tests --example annotation_cost`. Times are
//! processor time of the compiler, best of five runs, so that other work on the machine has little
//! influence. The results are in `docs/macros.md`.

#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FUNCTIONS: usize = 200;
const RUNS: usize = 5;

/// The crates, and the attribute above each of their functions.
const CRATES: [(&str, &str); 4] = [
    ("bare", ""),
    (
        "instrument",
        "#[tracing::instrument(level = \"info\", skip_all, fields(cf = cf))]",
    ),
    (
        "instrument_err",
        "#[tracing::instrument(level = \"info\", skip_all, fields(cf = cf), err)]",
    ),
    (
        "db_op",
        "#[percolate_otel::db_op(get, cf, system = \"redb\")]",
    ),
];

const HEAD: &str = r#"
#[derive(Debug)]
pub enum Error {
    Missing,
}
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("missing")
    }
}
impl std::error::Error for Error {}
pub type Boxed<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Option<Vec<u8>>, Error>> + Send + 'a>>;
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let place = workspace.join("target/annotation-cost");
    println!("{FUNCTIONS} functions, added to those of the bare crate of their kind:");
    for is_async in [false, true] {
        let mut bare = None;
        for (name, attribute) in CRATES {
            let name = format!("{name}{}", if is_async { "_async" } else { "" });
            let package = write_package(&place, &workspace, &name, attribute, is_async)?;
            let checked = best(&package, "check")?;
            let built = best(&package, "build --release")?;
            let code = machine_code(&place.join(format!("target/release/lib{name}.rlib")))?;
            let (bare_checked, bare_built, bare_code) = *bare.get_or_insert((checked, built, code));
            println!(
                "{name:20} check {:5.2} s   release build {:5.2} s   machine code {:5} bytes a function",
                checked - bare_checked,
                built - bare_built,
                code.saturating_sub(bare_code) / FUNCTIONS,
            );
        }
    }
    Ok(())
}

/// Writes a crate whose functions have one attribute. Each asynchronous function is boxed once, so
/// that its code is generated.
fn write_package(
    place: &Path,
    workspace: &Path,
    name: &str,
    attribute: &str,
    is_async: bool,
) -> Result<PathBuf, Box<dyn Error>> {
    let package = place.join(name);
    fs::create_dir_all(package.join("src"))?;
    let otel = workspace.join("percolate-otel");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         percolate-otel = {{ path = \"{}\" }}\ntracing = \"0.1\"\n\n\
         [profile.release]\ncodegen-units = 1\n",
        otel.display()
    );
    fs::write(package.join("Cargo.toml"), manifest)?;
    fs::copy(workspace.join("Cargo.lock"), package.join("Cargo.lock"))?;
    let mut source = String::from(HEAD);
    let keyword = if is_async { "async fn" } else { "fn" };
    for number in 0..FUNCTIONS {
        write!(
            source,
            "{attribute}\npub {keyword} get_{number}(cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {{\n    \
             if key.len() == {number} {{\n        return Err(Error::Missing);\n    }}\n    \
             Ok((cf.len() > {number}).then(|| key.to_vec()))\n}}\n"
        )?;
        if is_async {
            writeln!(
                source,
                "pub fn boxed_{number}<'a>(cf: &'a str, key: &'a [u8]) -> Boxed<'a> {{\n    \
                 Box::pin(get_{number}(cf, key))\n}}"
            )?;
        }
    }
    fs::write(package.join("src/lib.rs"), source)?;
    Ok(package)
}

/// Returns the smallest processor time, in seconds, of compiling the package without its
/// dependencies.
fn best(package: &Path, command: &str) -> Result<f64, Box<dyn Error>> {
    let run = || -> Result<f64, Box<dyn Error>> {
        let script = format!(
            "TIMEFORMAT='%U %S'; time {} {command} --quiet --offline",
            env!("CARGO")
        );
        let output = Command::new("bash")
            .args(["-c", &script])
            .env("CARGO_TARGET_DIR", package.with_file_name("target"))
            .env("CARGO_INCREMENTAL", "0")
            .current_dir(package)
            .output()?;
        let printed = String::from_utf8(output.stderr)?;
        if !output.status.success() {
            return Err(format!(
                "`cargo {command}` failed in {}:\n{printed}",
                package.display()
            )
            .into());
        }
        let times = printed
            .lines()
            .last()
            .unwrap_or_default()
            .split_whitespace();
        Ok(times.map(str::parse::<f64>).sum::<Result<f64, _>>()?)
    };
    run()?;
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let source = package.join("src/lib.rs");
        let text = fs::read(&source)?;
        fs::write(&source, text)?;
        best = best.min(run()?);
    }
    Ok(best)
}

/// Returns the bytes of code and constants in a library's object files, as counted by `size`.
fn machine_code(library: &Path) -> Result<usize, Box<dyn Error>> {
    let output = Command::new("size").arg(library).output()?;
    let text = String::from_utf8(output.stdout)?;
    let sizes = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    Ok(sizes.sum())
}
