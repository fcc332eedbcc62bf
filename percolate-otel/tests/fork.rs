//! Programs that fork after telemetry was installed: children have ids of their own, and give up the
//! pipeline of their parent at once.
#![cfg(all(unix, feature = "pipeline"))]

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use percolate_otel::{Exporter, Telemetry, TelemetryError, current_trace_ids, db_op};

const CHILDREN: usize = 4;
const CALLS: usize = 100;

#[db_op(get, table, system = "shelf")]
fn ids_inside(table: &str) -> Option<String> {
    current_trace_ids().map(|ids| format!("{ids:?}"))
}

#[test]
fn forked_children_have_other_ids_and_leave_the_pipeline_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    // The children of a fork must not return into the harness, so this test runs itself.
    let out = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "a_program_that_forks",
        ])
        .env("PERCOLATE_FORK_FOLDER", dir.path())
        .output()
        .expect("it runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut all = HashSet::new();
    for process in 0..=CHILDREN {
        let text = std::fs::read_to_string(dir.path().join(process.to_string()));
        let text = text.expect("each process writes a file");
        let (ids, rest) = text.split_once("\n\n").expect("ids, and the end");
        assert_eq!(ids.lines().count(), CALLS);
        all.extend(ids.lines().map(str::to_owned));
        assert_eq!(rest, "as expected");
    }
    assert_eq!(
        all.len(),
        (CHILDREN + 1) * CALLS,
        "ids of several processes are equal"
    );
}

#[test]
#[ignore = "run in a process of its own by the other test"]
fn a_program_that_forks() {
    let Some(folder) = std::env::var_os("PERCOLATE_FORK_FOLDER") else {
        return;
    };
    let install = || {
        Telemetry::builder()
            .traces([Exporter::Console])
            .metrics([Exporter::Console])
            .install()
    };
    let guard = install().expect("nothing else is installed");
    let before = ids_inside("books");
    assert!(before.is_some(), "calls are sampled");
    let mut children = Vec::new();
    for child in 1..=CHILDREN {
        #[expect(unsafe_code, reason = "the system has no safe form")]
        // SAFETY: the child ends with `_exit` and shares no lock with another thread.
        let process = unsafe { libc::fork() };
        if process == 0 {
            let is_right = in_child(&Path::new(&folder).join(child.to_string()), guard, install);
            #[expect(unsafe_code, reason = "the system has no safe form")]
            // SAFETY: it ends the process.
            unsafe {
                libc::_exit(i32::from(!is_right))
            }
        }
        assert!(process > 0, "the system can fork");
        children.push(process);
    }
    write(&Path::new(&folder).join("0"), "as expected");
    for child in children {
        let mut status = 0;
        #[expect(unsafe_code, reason = "the system has no safe form")]
        // SAFETY: the pointer is valid.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
    }
    guard.shutdown(Duration::from_secs(5)).expect("it ends");
}

fn in_child(
    file: &Path,
    guard: percolate_otel::TelemetryGuard,
    install: impl Fn() -> Result<percolate_otel::TelemetryGuard, TelemetryError>,
) -> bool {
    let started = Instant::now();
    let flushed = guard.force_flush(Duration::from_secs(5));
    let is_flush_refused = matches!(flushed, Err(TelemetryError::Forked { .. }));
    drop(guard);
    let own = install();
    let is_fast = started.elapsed() < Duration::from_secs(2);
    let end = format!("{is_flush_refused} {is_fast} {:?}", own.as_ref().err());
    let is_right = end == "true true None";
    write(file, if is_right { "as expected" } else { &end });
    if let Ok(own) = own {
        return own.shutdown(Duration::from_secs(5)).is_ok() && is_right;
    }
    is_right
}

/// Writes the ids of this process, and how it ended.
fn write(file: &Path, end: &str) {
    let ids: Vec<String> = (0..CALLS).filter_map(|_| ids_inside("books")).collect();
    std::fs::write(file, format!("{}\n\n{end}", ids.join("\n"))).expect("the folder exists");
}
