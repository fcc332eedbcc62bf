//! What percolate costs beside the alternatives, measured in one run.
//!
//! Every setting runs in a process of its own, so that each installs what it needs globally, as programs do. The
//! parent (`rounds.rs`) lets all of them run one after another, round by round, in an order shuffled for each round,
//! and compares medians. What is installed is in `settings.rs`, one call written in each way in `calls.rs`, what is
//! called in `bodies.rs`. `docs/benchmarks.md` says how to read the result.

mod bodies;
mod calls;
mod child;
mod cpu;
mod export;
mod instructions;
mod report;
mod rounds;
mod settings;

use std::error::Error;
use std::io::{self, Write as _};

/// Everything here fails with a sentence for the person at the terminal.
type Failed = Box<dyn Error + Send + Sync>;

const HELP: &str = "\
percolate-bench [PART..] [--rounds N] [--restarts N] [--only NAME,..]

Parts, all of them when none is named:
  empty          an empty body: what the instrumentation alone costs, in nanoseconds
  store          calls of RocksDB (feature `store`), or one of them: get, put, scan, batch
  instructions   instructions of one call on an empty body (needs valgrind)
  cpu            CPU of the whole process for a million spans, through to a local OTLP receiver

  --rounds N     rounds between two restarts of all processes (default 10)
  --restarts N   times that all processes are started afresh (default 3)
  --only NAMES   these settings, and `bare`

Writes target/bench/overhead.json.
";

/// What to measure, and how long.
#[derive(Debug)]
struct Plan {
    parts: Vec<String>,
    rounds: usize,
    restarts: usize,
    only: Vec<String>,
}

impl Plan {
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, Failed> {
        let mut plan = Self { parts: Vec::new(), rounds: 10, restarts: 3, only: Vec::new() };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{arg}` wants a value\n\n{HELP}"));
            match arg.as_str() {
                "--rounds" => plan.rounds = value()?.parse()?,
                "--restarts" => plan.restarts = value()?.parse()?,
                "--only" => plan.only = value()?.split(',').map(str::to_owned).collect(),
                "empty" | "store" | "get" | "put" | "scan" | "batch" | "instructions" | "cpu" => plan.parts.push(arg),
                _ => return Err(format!("unknown argument `{arg}`\n\n{HELP}").into()),
            }
        }
        Ok(plan)
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    fn wants(&self, setting: &str) -> bool {
        self.only.is_empty() || setting == "bare" || self.only.iter().any(|wanted| wanted == setting)
    }
}

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1).peekable();
    match args.peek().map(String::as_str) {
        Some("child") => return child::serve(&args.skip(1).collect::<Vec<_>>()),
        Some("count") => return child::count(&args.skip(1).collect::<Vec<_>>()),
        Some("spans") => return cpu::send(&args.skip(1).collect::<Vec<_>>()),
        Some("receiver") => return cpu::receive(),
        Some("help" | "--help" | "-h") => {
            io::stdout().write_all(HELP.as_bytes())?;
            return Ok(());
        }
        _ => {}
    }
    let plan = Plan::from_args(args)?;
    let mut report = report::Report::new();
    if plan.has("empty") {
        rounds::measure(&plan, bodies::EMPTY, &mut report)?;
    }
    for workload in bodies::STORE {
        if plan.has("store") || plan.has(workload.name) {
            rounds::measure(&plan, workload, &mut report)?;
        }
    }
    if plan.has("instructions") {
        instructions::measure(&plan, &mut report)?;
    }
    if plan.has("cpu") {
        cpu::measure(&plan, &mut report)?;
    }
    report.write()
}
