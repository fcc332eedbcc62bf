//! Showing the progress of an import and of a rebuild on standard error: a bar on a terminal, a line for
//! each report elsewhere.
//!
//! Progress functions are called between batches and pages, and can end the work there.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};
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

    let bar = ProgressBar::no_length().with_prefix("import");
    let options = ImportOptions::new()
        .batch_size(5_000)
        .on_progress(show(&bar)?);
    let report = database.import_jsonl("articles", lines.as_slice(), &options)?;
    bar.abandon();
    assert_eq!(report.written, ROWS);

    let bar = ProgressBar::no_length().with_prefix("rebuild");
    let indexes = database.indexes().page_size(10_000);
    let report = indexes.on_progress(show(&bar)?).rebuild_key_index()?;
    bar.abandon();
    assert_eq!(report.entities, ROWS);
    println!("{ROWS} rows imported, and their index rebuilt");
    Ok(())
}

/// Returns a progress function that shows the part of the work that is done.
fn show(
    bar: &ProgressBar,
) -> Result<impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static, Box<dyn Error>> {
    let with_total =
        ProgressStyle::with_template("{prefix}: {wide_bar} {pos} of {len}, {elapsed}")?;
    let without = ProgressStyle::with_template("{prefix}: {pos}, {elapsed}")?;
    let bar = bar.clone();
    Ok(move |progress: Progress| {
        if !std::io::stderr().is_terminal() {
            // A failure to show the progress is no reason to end the work.
            _ = writeln!(std::io::stderr(), "{}", line(&bar.prefix(), progress));
            return ControlFlow::Continue(());
        }
        if let Some(total) = progress.total {
            bar.set_style(with_total.clone());
            bar.set_length(total as u64);
        } else {
            bar.set_style(without.clone());
        }
        bar.set_position(progress.done as u64);
        ControlFlow::Continue(())
    })
}

fn line(work: &str, progress: Progress) -> String {
    let part = match progress.total {
        Some(total) => format!("{} of {total}", progress.done),
        None => progress.done.to_string(),
    };
    format!("{work}: {part}, {:.1} s", progress.elapsed.as_secs_f32())
}
