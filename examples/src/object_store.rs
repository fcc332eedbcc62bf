//! One database on an object store and four processes: a writer, two readers, and a second writer that takes
//! over. The store is a directory, so that the example needs no account; pass a URL such as
//! `s3://bucket/prefix` to use a bucket, with its credentials in the environment.
//!
//! The program starts itself once for each role, and sends commands to the others as lines.

use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use percolate_core::otel::testing::Capture;
use percolate_core::storage::StorageOptions;
use percolate_core::{Database, DatabaseOptions};
use serde_json::json;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Opens the database. Writes wait until they are durable, so that readers see them.
fn open(url: &str, read_only: bool) -> Result<Database> {
    let storage = StorageOptions::new().read_only(read_only).sync(true);
    let options = DatabaseOptions::new().storage(storage);
    Ok(Database::open_with(url, options)?)
}

/// Adds an article for each line, and answers how that went.
fn write(url: &str, mut lines: impl Iterator<Item = io::Result<String>>) -> Result<()> {
    let db = open(url, false)?;
    let schema = json!({ "properties": { "title": { "type": "string" } }, "key_field": "title" });
    db.register_schema("articles", &schema)?;
    lines.try_for_each(
        |title| match db.insert("articles", &json!({ "title": title? })) {
            Ok(_) => answer("stored"),
            // A write that reads first has the error of the read.
            Err(error) if error.is_fenced() => answer("another process writes now"),
            Err(error) => answer(&error.to_string()),
        },
    )
}

/// Counts the articles for each line `count`, and takes over what others have written for `refresh`.
async fn read(url: &str, lines: impl Iterator<Item = io::Result<String>>) -> Result<()> {
    let mut db = open(url, true)?;
    let capture = Capture::new();
    for line in lines {
        match &*line? {
            "count" => {
                let sql = "SELECT count(*) FROM articles WHERE title > 'a'";
                let counted = capture.instrument(db.query(sql)).await?;
                let row = counted.rows().next().ok_or("a count has one row")?;
                answer(&row[0].to_string())?;
            }
            "refresh" => {
                db = db.refreshed()?;
                answer("refreshed")?;
            }
            _ => {
                let trace = capture.spans().tree_with(&["db.system.name"]);
                answer(&trace.replace('\n', "\t"))?;
            }
        }
    }
    Ok(())
}

fn answer(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Another process, which answers each line with a line.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &str, url: &str) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args([role, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.ok_or("the process has no output")?);
        Ok(Self {
            child,
            input,
            output,
        })
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        let input = self.input.as_mut().ok_or("the process has ended")?;
        writeln!(input, "{line}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    fn end(mut self) -> Result<()> {
        drop(self.input.take());
        self.child.wait()?;
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn conduct(url: &str) -> Result<()> {
    let mut writer = Process::start("writer", url)?;
    writer.ask("percolation")?;
    let mut readers = [
        Process::start("reader", url)?,
        Process::start("reader", url)?,
    ];
    let mut counts = vec![readers[0].ask("count")?];
    println!("{}", readers[0].ask("trace")?.replace('\t', "\n"));

    writer.ask("sediment")?;
    counts.push(readers[0].ask("count")?);
    readers[0].ask("refresh")?;
    counts.push(readers[0].ask("count")?);
    println!("the first reader counted {}", counts.join(", then "));

    let mut second = Process::start("writer", url)?;
    println!("the second writer: {}", second.ask("aquifer")?);
    println!("the first writer:  {}", writer.ask("too late")?);
    readers[1].ask("refresh")?;
    println!("the second reader counted {}", readers[1].ask("count")?);
    for process in [writer, second].into_iter().chain(readers) {
        process.end()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let lines = io::stdin().lock().lines();
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["writer", url] => write(url, lines),
        ["reader", url] => read(url, lines).await,
        [url] => conduct(url),
        _ => {
            let directory = tempfile::tempdir()?;
            conduct(&format!("file://{}/articles", directory.path().display()))
        }
    }
}
