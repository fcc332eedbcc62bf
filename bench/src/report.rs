//! The results, as tables and as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

use crate::Failed;
use crate::child::Pair;
use crate::rounds::median;

/// One setting with one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Nanoseconds of one call, by the wall clock.
    median_ns: f64,
    /// The ratio of the medians of instrumented and bare calls.
    ratio: f64,
    /// The smallest ratio of a round.
    ratio_min: f64,
    /// The largest ratio of a round.
    ratio_max: f64,
    /// Nanoseconds of one call, by the CPU clock of the calling thread.
    cpu_median_ns: f64,
    /// The ratio of the CPU times.
    cpu_ratio: f64,
}

impl Row {
    pub(crate) fn new(pairs: &[Pair]) -> Self {
        let of = |pick: fn(&Pair) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>());
        let ratios = || pairs.iter().map(|pair| pair.setting.wall / pair.bare.wall);
        let (median_ns, cpu_median_ns) =
            (of(|pair| pair.setting.wall), of(|pair| pair.setting.cpu));
        Self {
            median_ns: rounded(median_ns, 10.0),
            ratio: rounded(median_ns / of(|pair| pair.bare.wall), 1000.0),
            ratio_min: rounded(ratios().fold(f64::INFINITY, f64::min), 1000.0),
            ratio_max: rounded(ratios().fold(0.0, f64::max), 1000.0),
            cpu_median_ns: rounded(cpu_median_ns, 10.0),
            cpu_ratio: rounded(cpu_median_ns / of(|pair| pair.bare.cpu), 1000.0),
        }
    }
}

/// Rounds to one part in `parts`.
pub(crate) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// The results of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    settings: BTreeMap<String, Row>,
    /// Instructions of one call on an empty body, on the calling thread.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) instructions: BTreeMap<String, u64>,
    /// Seconds of CPU of the whole process for a million spans, to a local OTLP receiver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) cpu_seconds_per_million_spans: BTreeMap<String, f64>,
    /// The lines of the plots: the number of what grows, and the cost.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) growth: BTreeMap<String, Vec<(f64, f64)>>,
    /// CPU nanoseconds of one call that is not sampled: on its thread, and in the whole process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole_process_ns: Option<(f64, f64)>,
    /// A hundred thousand real entities; each name ends with its unit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) entities: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    system: String,
    load_before: String,
}

impl Machine {
    fn this() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processor: processor.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            load_before: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            machine: Machine::this(),
            settings: BTreeMap::new(),
            instructions: BTreeMap::new(),
            cpu_seconds_per_million_spans: BTreeMap::new(),
            growth: BTreeMap::new(),
            whole_process_ns: None,
            entities: BTreeMap::new(),
        }
    }

    /// Prints the current step to standard error.
    #[expect(clippy::unused_self, reason = "all output goes through the report")]
    pub(crate) fn progress(&self, what: &str) -> Result<(), Failed> {
        Ok(writeln!(io::stderr(), "measuring {what}")?)
    }

    /// Adds a table, and prints it.
    pub(crate) fn add(&mut self, title: &str, rows: Vec<(String, Row)>) -> Result<(), Failed> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n{title}\n")?;
        writeln!(
            out,
            "{:<52} {:>10} {:>8} {:>17} {:>10} {:>9}",
            "setting", "ns a call", "ratio", "within a round", "cpu ns", "cpu ratio"
        )?;
        for (name, row) in rows {
            writeln!(
                out,
                "{name:<52} {:>10.1} {:>8.3} {:>8.3}..{:>7.3} {:>10.1} {:>9.3}",
                row.median_ns,
                row.ratio,
                row.ratio_min,
                row.ratio_max,
                row.cpu_median_ns,
                row.cpu_ratio
            )?;
            self.settings.insert(name, row);
        }
        Ok(out.flush()?)
    }

    /// Prints lines under a title.
    #[expect(clippy::unused_self, reason = "all output goes through the report")]
    pub(crate) fn print(&self, title: &str, lines: &[String]) -> Result<(), Failed> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n{title}\n")?;
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }

    /// Writes `target/bench/overhead.json`.
    pub(crate) fn write(&self) -> Result<(), Failed> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")),
            PathBuf::from,
        );
        let folder = target.join("bench");
        fs::create_dir_all(&folder)?;
        let path = folder.join("overhead.json");
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        writeln!(io::stdout(), "\nwritten to {}", path.display())?;
        Ok(())
    }
}
