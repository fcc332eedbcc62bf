//! A disk that takes no more, in the middle of writing: the failed write is a typed error, the handle refuses what would
//! follow it, and after reopening everything acknowledged is there.
//!
//! The limit is put on a process of its own, which is this test program asked to run [`child`] alone.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use percolate_core::otel::ErrorType;
use percolate_core::storage::{Storage, StorageOptions, WriteError};

const DIRECTORY: &str = "PERCOLATE_FAULT_DIRECTORY";

fn open(path: &Path) -> Storage {
    Storage::open(path, StorageOptions::new().column_family("articles")).unwrap()
}

/// Writes until it fails, then says how it failed. Does nothing unless the parent started it.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let storage = open(Path::new(&directory));
    let written =
        (0_u32..).find_map(|n| storage.put("articles", n.to_be_bytes(), [7; 4096]).err().map(|error| (n, error)));
    let (written, error) = written.unwrap();
    assert!(matches!(error, WriteError::DiskFull(_)), "{error:?}");
    assert_eq!((error.error_type(), error.status_code()), ("IOError".into(), Some("IOError".into())));
    let after = storage.put("articles", b"after", b"").unwrap_err();
    assert!(matches!(after, WriteError::Poisoned { .. }), "{after:?}");
    assert_eq!(storage.get("articles", b"after").unwrap(), None);
    writeln!(std::io::stdout(), "wrote {written}").unwrap();
}

#[test]
fn a_disk_that_takes_no_more_costs_the_failed_write_only() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let output = Command::new("sh")
        // Files may grow to 512 KiB; the signal that would end the process is ignored, so that writing fails instead.
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let written = said.split_once("wrote ").unwrap().1.split_whitespace().next().unwrap().parse::<u32>().unwrap();
    assert!(written > 10);
    let storage = open(directory.path());
    for n in 0..written {
        assert!(storage.get("articles", n.to_be_bytes()).unwrap().is_some(), "write {n} of {written}");
    }
    storage.put("articles", b"after", b"").unwrap();
}
