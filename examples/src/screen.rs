//! The output of the quickstart: its own lines, and the output of the console exporters, which is
//! buffered until it is printed. Plain text, on a terminal and in a file.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers the output of the console exporters: one block per trace and per set of tables.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Vec<String>>>);

impl Screen {
    fn blocks(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the traces written so far.
    pub(crate) fn traces(&self) -> String {
        self.blocks()
            .iter()
            .filter(|block| block.starts_with("trace "))
            .map(String::as_str)
            .collect()
    }

    /// Returns the most recent tables whose first column has one of the given titles.
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

/// Prints a title after an empty line.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn heading(text: &str) {
    println!("\n== {text}\n");
}

/// Prints a step and its count.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn line(what: &str, count: usize, of: &str) {
    println!("  {what:<10} {count:>4} {of}");
}

/// Prints an indented block of text.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn block(text: &str) {
    for line in text.trim().lines() {
        println!("{}", format!("  {line}").trim_end());
    }
}
