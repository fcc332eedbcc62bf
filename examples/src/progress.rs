//! Showing the progress of an import and of a rebuild on standard error: one line that is overwritten on
//! a terminal, a line for each report elsewhere.
//!
//! Progress functions are called between batches and pages, and can end the work there.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;

use percolate_core::{Database, ImportOptions, Progress};
use serde_json::json;

const ROWS: usize = 20_000;

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let database = Database::open(directory.path())?;
    database.register_schema("articles", &json!({ "key_field": "slug" }))?;
    let mut lines = Vec::new();
    for n in 0..ROWS {
        writeln!(lines, "{}", json!({ "slug": format!("article {n}") }))?;
    }

    let options = ImportOptions::new()
        .batch_size(5_000)
        .on_progress(show("import"));
    let report = database.import_jsonl("articles", lines.as_slice(), &options)?;
    end_line();
    assert_eq!(report.written, ROWS);

    let indexes = database.indexes().page_size(10_000);
    let report = indexes.on_progress(show("rebuild")).rebuild_key_index()?;
    end_line();
    assert_eq!(report.entities, ROWS);
    println!("{ROWS} rows imported, and their index rebuilt");
    Ok(())
}

/// Returns a progress function that shows the part of the work that is done.
fn show(work: &'static str) -> impl Fn(Progress) -> ControlFlow<()> + Send + Sync {
    move |progress| {
        let part = match progress.total {
            Some(total) => format!("{} of {total}", progress.done),
            None => progress.done.to_string(),
        };
        let seconds = progress.elapsed.as_secs_f32();
        let mut stderr = std::io::stderr().lock();
        // A failure to show the progress is no reason to end the work.
        _ = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{work}: {part}, {seconds:.1} s").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{work}: {part}, {seconds:.1} s")
        };
        ControlFlow::Continue(())
    }
}

/// Ends the line that was overwritten.
#[expect(clippy::print_stderr, reason = "the progress is on standard error")]
fn end_line() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}
