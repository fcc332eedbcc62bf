//! The cost of percolate compared with the alternatives, measured in one run.
//!
//! Each setting runs in its own process, so that it can install its pipeline globally, as programs
//! do. The parent (`rounds.rs`) runs them one after another, round by round, in an order that is
//! shuffled for each round, and compares medians. `settings.rs` installs the settings, `calls.rs`
//! has the call with each library, `bodies.rs` the measured bodies. `storage.rs`, `insert.rs`,
//! `search.rs`, `sql.rs` and `entities.rs` compare the database with its parts, on the input from
//! `declarations.rs`. `growth.rs` draws how the cost of a call grows. `docs/benchmarks.md` explains the results.

mod bodies;
mod calls;
mod child;
mod cpu;
#[cfg(feature = "store")]
mod declarations;
#[cfg(feature = "object-store")]
mod engines;
#[cfg(feature = "store")]
mod entities;
mod export;
#[cfg(feature = "plots")]
mod growth;
#[cfg(feature = "store")]
mod insert;
mod instructions;
#[cfg(feature = "plots")]
mod plot;
mod report;
mod rounds;
#[cfg(feature = "store")]
mod search;
mod settings;
#[cfg(feature = "store")]
mod side_by_side;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "store")]
mod storage;

use std::error::Error;
use std::io::{self, Write as _};

/// The error of this program: a message for the terminal.
type Failed = Box<dyn Error + Send + Sync>;

const HELP: &str = "\
percolate-bench [PART..] [--rounds N] [--restarts N] [--only NAME,..]

Parts (default: all):
  empty          an empty body: the cost of the instrumentation alone, in nanoseconds
  store          calls of RocksDB (feature `store`), or one of them: get, put, scan, batch
  storage        `Storage` compared with RocksDB alone (feature `store`), or one operation:
                 storage_get, storage_put, storage_scan, storage_batch, storage_multi_get
  insert         `Database::insert` compared with its parts (feature `store`)
  search         `Database::search` compared with usearch alone, among 10,000 and 100,000 texts
                 (feature `store`)
  sql            one query with an index and without (feature `sql`)
  entities       100,000 entities: loading, memory, reopening, rebuilding (feature `store`)
  engines        RocksDB and SlateDB below the same calls (feature `object-store`)
  instructions   instructions of one call on an empty body (needs valgrind)
  cpu            CPU of the whole process for a million spans to a local OTLP receiver
  growth         the cost of a call by the number of series, threads, nested calls and attributes,
                 as plots in docs/plots (feature `plots`)

  --rounds N     rounds between two restarts of all processes (default 10)
  --restarts N   how often all processes are restarted (default 3)
  --only NAMES   measure only these settings, and `bare`

Writes target/bench/overhead.json.
";

const PARTS: [&str; 20] = [
    "empty",
    "store",
    "get",
    "put",
    "scan",
    "batch",
    "storage",
    "storage_get",
    "storage_put",
    "storage_scan",
    "storage_batch",
    "storage_multi_get",
    "insert",
    "search",
    "sql",
    "entities",
    "engines",
    "instructions",
    "cpu",
    "growth",
];

/// The parts to measure, and the number of rounds.
#[derive(Debug)]
struct Plan {
    parts: Vec<String>,
    rounds: usize,
    restarts: usize,
    only: Vec<String>,
}

impl Plan {
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, Failed> {
        let mut plan = Self {
            parts: Vec::new(),
            rounds: 10,
            restarts: 3,
            only: Vec::new(),
        };
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next()
                    .ok_or_else(|| format!("`{arg}` needs a value\n\n{HELP}"))
            };
            match arg.as_str() {
                "--rounds" => plan.rounds = value()?.parse()?,
                "--restarts" => plan.restarts = value()?.parse()?,
                "--only" => plan.only = value()?.split(',').map(str::to_owned).collect(),
                part if PARTS.contains(&part) => plan.parts.push(arg),
                _ => return Err(format!("unknown argument `{arg}`\n\n{HELP}").into()),
            }
        }
        Ok(plan)
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    fn includes(&self, setting: &str) -> bool {
        self.only.is_empty()
            || setting == "bare"
            || self.only.iter().any(|wanted| wanted == setting)
    }
}

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1).peekable();
    match args.peek().map(String::as_str) {
        Some("child") => return child::serve(&args.skip(1).collect::<Vec<_>>()),
        Some("count") => return child::count(&args.skip(1).collect::<Vec<_>>()),
        Some("spans") => return cpu::send(&args.skip(1).collect::<Vec<_>>()),
        Some("receiver") => return cpu::receive(),
        #[cfg(feature = "plots")]
        Some("curve") => return growth::serve(&args.skip(1).collect::<Vec<_>>()),
        #[cfg(feature = "store")]
        Some("entities-child") => return entities::serve(&args.skip(1).collect::<Vec<_>>()),
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
    #[cfg(feature = "store")]
    of_the_database(&plan, &mut report)?;
    if plan.has("instructions") {
        instructions::measure(&plan, &mut report)?;
    }
    if plan.has("cpu") {
        cpu::measure(&plan, &mut report)?;
    }
    #[cfg(feature = "plots")]
    if plan.has("growth") {
        growth::measure(&plan, &mut report)?;
    }
    report.write()
}

/// The parts that measure the database.
#[cfg(feature = "store")]
fn of_the_database(plan: &Plan, report: &mut report::Report) -> Result<(), Failed> {
    for workload in storage::WORKLOADS {
        if plan.has("storage") || plan.has(workload.name) {
            rounds::measure(plan, workload, report)?;
        }
    }
    if plan.has("insert") {
        insert::measure(plan, report)?;
    }
    if plan.has("search") {
        search::measure(plan, report)?;
    }
    #[cfg(feature = "sql")]
    if plan.has("sql") {
        sql::measure(plan, report)?;
    }
    if plan.has("entities") {
        entities::measure(report)?;
    }
    #[cfg(feature = "object-store")]
    if plan.has("engines") {
        engines::measure(plan, report)?;
    }
    Ok(())
}
