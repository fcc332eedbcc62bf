//! Errors of the disk: `shim.c` is preloaded into the writing process and makes calls on the files of
//! its database fail. Each call of the database then fails with a typed error or succeeds, the process
//! ends in time, and the database opens without errors afterwards and has all that it acknowledged.
//!
//! `PERCOLATE_DISK_FAULTS` sets how many faults are tried, of those in [`faults`], and
//! `PERCOLATE_DISK_FAULT` tries only the one with this number.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use percolate_core::otel::ErrorType;
use percolate_core::{Database, Error};

use crate::engine;
use crate::load::{self, Acknowledged, Random};

const DIRECTORY: &str = "PERCOLATE_DISK_DIRECTORY";
const FIRST: &str = "PERCOLATE_DISK_FIRST";

/// The steps of a process under a fault.
const STEPS: u64 = 24;

/// How long closing may take, and how long a process.
const CLOSING: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_mins(1);

/// The error types that a fault may cause.
const TYPED: [&str; 8] = [
    "IOError",
    "InvalidArgument",
    "Corruption",
    "Poisoned",
    "Background",
    "CloseTimeout",
    "VectorSave",
    "Path",
];

/// Calls that fail.
#[derive(Debug, Clone, Copy)]
struct Fault {
    files: &'static str,
    call: &'static str,
    error: &'static str,
    /// The number of the first call that fails.
    first: u64,
    /// Whether all later calls fail too.
    persists: bool,
    /// Whether the database exists before.
    exists: bool,
}

/// The files, the calls on them that fail, the errors, and how often a run makes such a call.
const CALLS: [(&str, &str, &[&str], u64); 30] = [
    ("*.log", "open", &["EIO", "ENOSPC"], 6),
    ("*.log", "write", &["EIO", "ENOSPC", "torn"], 50),
    ("*.log", "sync", &["EIO", "ENOSPC", "lost"], 50),
    ("*.log", "read", &["EIO"], 4),
    ("*.log", "unlink", &["EIO"], 4),
    ("*.sst", "open", &["EIO", "ENOSPC"], 30),
    ("*.sst", "write", &["EIO", "ENOSPC", "torn"], 30),
    ("*.sst", "sync", &["EIO", "ENOSPC", "lost"], 20),
    ("*.sst", "read", &["EIO"], 40),
    ("*.sst", "unlink", &["EIO"], 4),
    ("MANIFEST-*", "open", &["EIO", "ENOSPC"], 3),
    ("MANIFEST-*", "write", &["EIO", "ENOSPC", "torn"], 30),
    ("MANIFEST-*", "sync", &["EIO", "ENOSPC", "lost"], 16),
    ("MANIFEST-*", "read", &["EIO"], 3),
    ("CURRENT", "open", &["EIO"], 3),
    ("CURRENT", "read", &["EIO"], 3),
    ("CURRENT", "rename", &["EIO", "ENOSPC"], 2),
    ("*.dbtmp", "open", &["EIO", "ENOSPC"], 3),
    ("*.dbtmp", "write", &["EIO", "ENOSPC", "torn"], 3),
    ("*.dbtmp", "sync", &["EIO", "lost"], 3),
    ("OPTIONS-*", "open", &["EIO"], 2),
    ("OPTIONS-*", "read", &["EIO"], 2),
    ("OPTIONS-*", "rename", &["EIO", "ENOSPC"], 2),
    ("*.unfinished", "open", &["EIO", "ENOSPC"], 3),
    ("*.unfinished", "write", &["EIO", "ENOSPC", "torn"], 3),
    ("*.unfinished", "sync", &["EIO", "lost"], 3),
    ("*.vec", "rename", &["EIO", "ENOSPC"], 3),
    ("*.vec", "read", &["EIO"], 1),
    (".", "open", &["EIO"], 2),
    (".", "sync", &["EIO"], 6),
];

/// Returns every error of every call, once and for ever, in a new database and in one that exists, in
/// a random order.
fn faults() -> Vec<Fault> {
    let mut random = Random::new(19);
    let mut faults = Vec::new();
    for (files, call, errors, often) in CALLS {
        for error in errors {
            for (persists, exists) in [(false, false), (true, false), (false, true), (true, true)] {
                faults.push(Fault {
                    files,
                    call,
                    error,
                    first: 1 + random.below(often),
                    persists,
                    exists,
                });
            }
        }
    }
    for place in (1..faults.len()).rev() {
        let other = usize::try_from(random.below(place as u64 + 1)).unwrap();
        faults.swap(place, other);
    }
    faults
}

/// The process under a fault. It opens the database again after each error. Does nothing unless the
/// test below started it.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let first = load::number(FIRST, 1);
    let mut open = None;
    for number in first..first + STEPS {
        let done = open
            .take()
            .map_or_else(|| load::open(Path::new(&directory)), Ok)
            .and_then(|db| match load::step(&db, number, load::acknowledge) {
                Ok(()) => Ok(db),
                Err(error) => {
                    report_error(number, &error);
                    db.close_within(CLOSING)?;
                    load::open(Path::new(&directory))
                }
            });
        match done {
            Ok(db) => open = Some(db),
            Err(error) => {
                report_error(number, &error);
                if matches!(error, Error::CloseTimeout { .. }) {
                    break;
                }
            }
        }
    }
    if let Some(Err(error)) = open.map(|db: Database| db.close_within(CLOSING)) {
        report_error(first + STEPS, &error);
    }
    load::report("ended");
}

fn report_error(step: u64, error: &Error) {
    load::report(&format!("error {} {step} {error:?}", error.error_type()));
}

/// What a process under a fault did.
struct Run {
    printed: String,
    took: Duration,
    /// The number of calls that failed.
    failed: u64,
}

fn run(directory: &Path, first: u64, shim: &Path, fault: Option<Fault>) -> Result<Run, String> {
    let counter = tempfile::NamedTempFile::new().unwrap();
    let mut command = load::child("disk::child");
    command
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string());
    if let Some(fault) = fault {
        let count = if fault.persists { u32::MAX } else { 1 };
        command
            .env("LD_PRELOAD", shim)
            .env("PERCOLATE_SHIM_DIRECTORY", directory)
            .env("PERCOLATE_SHIM_FILES", fault.files)
            .env("PERCOLATE_SHIM_CALL", fault.call)
            .env("PERCOLATE_SHIM_ERROR", fault.error)
            .env("PERCOLATE_SHIM_FIRST", fault.first.to_string())
            .env("PERCOLATE_SHIM_COUNT", count.to_string())
            .env("PERCOLATE_SHIM_FAILED", counter.path());
    }
    let started = Instant::now();
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (
        process.stdout.take().unwrap(),
        process.stderr.take().unwrap(),
    );
    let read = std::thread::spawn(move || {
        let (mut printed, mut errors) = (String::new(), String::new());
        stdout.read_to_string(&mut printed).unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (printed, errors)
    });
    let status = loop {
        match process.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > DEADLINE => {
                process.kill().unwrap();
                process.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (printed, errors) = read.join().unwrap();
    match status {
        Some(status) if status.success() && printed.contains("ended") => Ok(Run {
            printed,
            took: started.elapsed(),
            failed: fs::metadata(counter.path()).unwrap().len(),
        }),
        Some(status) => Err(format!("{status}\n{printed}\n{errors}")),
        None => Err(format!("it did not end in time\n{printed}\n{errors}")),
    }
}

/// Compiles the library that is preloaded.
fn compile(directory: &Path) -> PathBuf {
    let library = directory.join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/disk/shim.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    library
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Returns whether a call failed.
fn try_fault(fault: Fault, shim: &Path, existing: &Path, before: &str) -> Result<bool, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(directory.path()).unwrap().join("db");
    let mut acknowledged = Acknowledged::default();
    let mut first = 1;
    if fault.exists {
        copy(existing, &path);
        before.lines().for_each(|line| acknowledged.read(line));
        first += STEPS;
    }
    let run = run(&path, first, shim, Some(fault))?;
    for line in run.printed.lines() {
        acknowledged.read(line);
        if let Some((_, error)) = line.split_once("error ") {
            let error_type = error.split(' ').next().unwrap();
            if !TYPED.contains(&error_type) {
                return Err(run.printed);
            }
        }
    }
    let printed = &run.printed;
    let checked = std::panic::catch_unwind(|| {
        let db = load::open(&path).unwrap();
        load::check(&db, &acknowledged, first + STEPS);
        // It can be written again.
        let next = first + STEPS + 1;
        (next..next + 7).for_each(|number| load::step(&db, number, |_, _| ()).unwrap());
        db.close_within(CLOSING).unwrap();
        load::open(&path).unwrap().close_within(CLOSING).unwrap();
    });
    checked.map_err(|_| format!("the database afterwards, after {:?}\n{printed}", run.took))?;
    Ok(run.failed > 0)
}

#[test]
fn every_error_of_the_disk_is_typed_and_loses_nothing() {
    if !engine::is_rocksdb_or_skip("the faults are those of RocksDB's files") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let shim = compile(directory.path());
    let existing = directory.path().join("db");
    let before = run(&existing, 1, &shim, None).unwrap().printed;
    assert!(!before.contains("error "), "{before}");
    let faults = faults();
    let all = faults.len();
    let wanted = usize::try_from(load::number("PERCOLATE_DISK_FAULTS", 6)).unwrap();
    let only = std::env::var("PERCOLATE_DISK_FAULT").map(|number| number.parse::<usize>().unwrap());
    let (mut tried, mut failed) = (0, 0);
    let mut broken = Vec::new();
    for (number, fault) in faults.into_iter().enumerate() {
        if only.as_ref().is_ok_and(|only| *only != number) || tried == wanted {
            continue;
        }
        tried += 1;
        match try_fault(fault, &shim, &existing, &before) {
            Ok(hit) => failed += usize::from(hit),
            Err(reason) => broken.push(format!("fault {number}, {fault:?}: {reason}")),
        }
    }
    load::report(&format!(
        "{tried} of {all} faults were tried, {failed} of them were met"
    ));
    assert!(
        broken.is_empty(),
        "{} broken:\n{}",
        broken.len(),
        broken.join("\n\n")
    );
    assert!(
        only.is_ok() || failed * 3 > tried,
        "{failed} of {tried} faults were met"
    );
}
