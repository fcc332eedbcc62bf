//! Loads a hundred thousand real entities and measures time, memory and files of all operations.
//! One process loads and changes them, another one opens the same files, so that their memory is
//! measured separately.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{fs, mem};

use cpu_time::ProcessTime;
use percolate_core::Database;
use serde_json::Value;

use crate::Failed;
use crate::declarations::{self, TABLE};
use crate::report::{Report, rounded};

const MOST: usize = 100_000;
const BATCH: usize = 1000;

/// The results in order: a name that ends with its unit, and a number.
type Figures = Vec<(String, f64)>;

/// Runs both processes, one after the other.
pub(crate) fn measure(report: &mut Report) -> Result<(), Failed> {
    report.progress("a hundred thousand entities")?;
    let dir = tempfile::tempdir()?;
    let mut figures = child("load", dir.path())?;
    figures.extend(child("reopen", dir.path())?);
    let lines: Vec<_> = figures
        .iter()
        .map(|(name, figure)| format!("{name:<44} {figure:>12}"))
        .collect();
    report.entities.extend(figures);
    report.print(
        "real entities, each figure taken once; the operating system has the files in memory",
        &lines,
    )
}

fn child(step: &str, dir: &Path) -> Result<Figures, Failed> {
    let out = Command::new(std::env::current_exe()?)
        .args(["entities-child", step])
        .arg(dir)
        .output()?;
    if !out.status.success() {
        return Err(format!("`{step}` failed: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// `entities-child STEP FOLDER`: prints the results.
pub(crate) fn serve(args: &[String]) -> Result<(), Failed> {
    let [step, dir] = args else {
        return Err("`entities-child` needs a step and a folder".into());
    };
    let figures = match step.as_str() {
        "load" => load(Path::new(dir))?,
        "reopen" => reopen(Path::new(dir))?,
        _ => return Err(format!("unknown step `{step}`").into()),
    };
    Ok(serde_json::to_writer(io::stdout().lock(), &figures)?)
}

fn load(dir: &Path) -> Result<Figures, Failed> {
    let db = Database::open(dir)?;
    db.register_schema(TABLE, &declarations::schema())?;
    let mut figures = Figures::new();
    let (mut seconds, mut cpu_seconds, mut bytes, mut entities) = (0.0, 0.0, 0, 0_u32);
    let mut insert = |batch: Vec<Value>| -> Result<(), Failed> {
        let (cpu, started) = (ProcessTime::try_now()?, Instant::now());
        entities += u32::try_from(db.insert_batch(TABLE, &batch)?.len())?;
        seconds += started.elapsed().as_secs_f64();
        cpu_seconds += cpu.try_elapsed()?.as_secs_f64();
        Ok(())
    };
    let mut batch = Vec::with_capacity(BATCH);
    declarations::each(MOST, &mut |entity| {
        bytes += entity.to_string().len();
        batch.push(entity);
        if batch.len() == BATCH {
            insert(mem::replace(&mut batch, Vec::with_capacity(BATCH)))
        } else {
            Ok(())
        }
    })?;
    insert(batch)?;
    note(&mut figures, "entities", f64::from(entities));
    note(&mut figures, "json_mib", mib(bytes as u64));
    note(&mut figures, "load_s", seconds);
    note(&mut figures, "load_cpu_s", cpu_seconds);
    note(&mut figures, "load_rss_mib", rss());
    let counted = taking(&mut figures, "count", || Ok(db.count(TABLE)?))?;
    if counted != usize::try_from(entities)? {
        return Err(format!("{entities} entities were inserted, but {counted} are stored").into());
    }
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    taking(&mut figures, "embed", || {
        Ok(tokio.block_on(db.generate_embeddings(TABLE))?)
    })?;
    let indexes = db.indexes();
    taking(&mut figures, "rebuild_key_index", || {
        Ok(indexes.rebuild_key_index()?)
    })?;
    taking(&mut figures, "rebuild_field_indexes", || {
        Ok(indexes.rebuild_field_indexes(TABLE)?)
    })?;
    taking(&mut figures, "rebuild_vector_index", || {
        Ok(indexes.rebuild_hnsw_index()?)
    })?;
    let report = taking(&mut figures, "verify", || Ok(indexes.verify()?))?;
    if !report.is_clean() {
        return Err(format!("the indexes disagree with the entities: {report:?}").into());
    }
    taking(&mut figures, "save_vector_index", || {
        Ok(db.save_index(TABLE)?)
    })?;
    note(&mut figures, "all_rss_mib", rss());
    note(&mut figures, "files_mib", mib(size(dir)));
    db.close()?;
    Ok(figures)
}

fn reopen(dir: &Path) -> Result<Figures, Failed> {
    let mut figures = Figures::new();
    let db = taking(&mut figures, "reopen", || Ok(Database::open(dir)?))?;
    note(&mut figures, "reopen_rss_mib", rss());
    taking(&mut figures, "reopen_count", || Ok(db.count(TABLE)?))?;
    taking(&mut figures, "reopen_load_vector_index", || {
        Ok(db.load_index(TABLE)?)
    })?;
    note(&mut figures, "reopen_with_vectors_rss_mib", rss());
    Ok(figures)
}

/// Measures wall clock and CPU time of the process, including RocksDB's threads.
fn taking<T>(
    figures: &mut Figures,
    name: &str,
    run: impl FnOnce() -> Result<T, Failed>,
) -> Result<T, Failed> {
    let (cpu, started) = (ProcessTime::try_now()?, Instant::now());
    let done = run()?;
    note(
        figures,
        &format!("{name}_s"),
        started.elapsed().as_secs_f64(),
    );
    note(
        figures,
        &format!("{name}_cpu_s"),
        cpu.try_elapsed()?.as_secs_f64(),
    );
    writeln!(io::stderr(), "  {name}")?;
    Ok(done)
}

fn note(figures: &mut Figures, name: &str, figure: f64) {
    figures.push((name.to_owned(), rounded(figure, 1000.0)));
}

/// Returns the resident memory of this process, or 0 where the system does not report it.
fn rss() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    mib(kib.unwrap_or(0_u64) * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "mebibytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                size(&entry.path())
            } else {
                entry.metadata().map_or(0, |file| file.len())
            }
        })
        .sum()
}
