//! What the quickstart shows, in order: its own lines, and what the console exporters wrote, kept until it is their
//! turn. Plain text: the same on a terminal and in a file.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps what the console exporters write: one block for each trace and for each set of tables.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Vec<String>>>);

impl Screen {
    fn blocks(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The traces written so far.
    pub(crate) fn traces(&self) -> String {
        self.blocks()
            .iter()
            .filter(|block| block.starts_with("trace "))
            .map(String::as_str)
            .collect()
    }

    /// The tables written last whose first column has one of these titles.
    pub(crate) fn tables(&self, titles: &[&str]) -> String {
        let blocks = self.blocks();
        let newest = blocks.iter().rfind(|block| !block.starts_with("trace "));
        let tables = newest.map(String::as_str).unwrap_or_default().split("\n\n");
        let wanted = tables.filter(|table| {
            titles
                .iter()
                .any(|title| table.starts_with(&format!("{title} ")))
        });
        wanted.collect::<Vec<_>>().join("\n\n")
    }
}

impl Write for Screen {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.blocks()
            .push(String::from_utf8_lossy(block).into_owned());
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A title, with space before it.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn heading(text: &str) {
    println!("\n== {text}\n");
}

/// What was done, and to how many.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn line(what: &str, count: usize, of: &str) {
    println!("  {what:<10} {count:>4} {of}");
}

/// A block of text, indented.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn block(text: &str) {
    for line in text.trim().lines() {
        println!("{}", format!("  {line}").trim_end());
    }
}
