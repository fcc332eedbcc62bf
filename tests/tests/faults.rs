//! A disk that becomes full, and a directory without write permission. A write to a full disk
//! returns a typed error, the handle refuses further writes, and after reopening, every
//! acknowledged write is there.
//!
//! Each test starts this test program as a child process with a limited file size or without
//! privileges, which runs one of the ignored tests. Root ignores permissions, so as root the child
//! process runs as another user.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use percolate_core::otel::ErrorType;
use percolate_core::storage::{OpenError, Storage, StorageOptions, WriteError};
use percolate_core::{Database, DatabaseOptions, Error, VectorError};
use serde_json::json;

const DIRECTORY: &str = "PERCOLATE_FAULT_DIRECTORY";

fn open(path: &Path) -> Storage {
    Storage::open(path, StorageOptions::new().column_family("articles")).unwrap()
}

/// Writes until a write fails, and prints the number of writes. Does nothing unless the test below
/// started it.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let storage = open(Path::new(&directory));
    let written = (0_u32..).find_map(|n| {
        storage
            .put("articles", n.to_be_bytes(), [7; 4096])
            .err()
            .map(|error| (n, error))
    });
    let (written, error) = written.unwrap();
    assert!(matches!(error, WriteError::DiskFull(_)), "{error:?}");
    assert_eq!(
        (error.error_type(), error.status_code()),
        ("IOError".into(), Some("IOError".into()))
    );
    let after = storage.put("articles", b"after", b"").unwrap_err();
    assert!(matches!(after, WriteError::Poisoned { .. }), "{after:?}");
    assert_eq!(storage.get("articles", b"after").unwrap(), None);
    writeln!(std::io::stdout(), "wrote {written}").unwrap();
}

/// Runs one of the ignored tests in a process whose files cannot grow beyond 512 KiB, and returns
/// its output. The process ignores SIGXFSZ, so that the write fails.
fn limited(test: &str, directory: &Path) -> String {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    run(&mut shell, test, directory)
}

fn run(command: &mut Command, test: &str, directory: &Path) -> String {
    let command = command.args([
        test,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    let output = command.env(DIRECTORY, directory).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{printed}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(printed.contains("1 passed"), "{printed}");
    printed
}

#[test]
fn a_full_disk_loses_only_the_failed_write() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let printed = limited("child", directory.path());
    let written = printed
        .split_once("wrote ")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap()
        .parse::<u32>()
        .unwrap();
    assert!(written > 10);
    let storage = open(directory.path());
    for n in 0..written {
        assert!(
            storage.get("articles", n.to_be_bytes()).unwrap().is_some(),
            "write {n} of {written}"
        );
    }
    storage.put("articles", b"after", b"").unwrap();
}

/// Creates a database with a vector index. With 400 entities, its file exceeds the limit of
/// [`limited`].
fn library(path: &Path, entities: usize) -> Database {
    let db = Database::open(path).unwrap();
    db.register_schema(
        "articles",
        &json!({ "key_field": "slug", "embedding_fields": ["body"] }),
    )
    .unwrap();
    let article = |n| json!({ "slug": n, "body": format!("about {n}") });
    db.insert_batch("articles", &(0..entities).map(article).collect::<Vec<_>>())
        .unwrap();
    wait(db.generate_embeddings("articles")).unwrap();
    db.storage().flush().unwrap();
    db
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Saves an index that exceeds the limit. Does nothing unless the test below started it.
#[test]
#[ignore = "started by the test below"]
fn saver() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let db = Database::open(directory).unwrap();
    let error = db.save_index("articles").unwrap_err();
    assert!(
        matches!(error, Error::Vector(VectorError::Save { .. })),
        "{error:?}"
    );
    assert_eq!(error.error_type(), "VectorSave");
    // The store is still usable.
    db.insert("articles", &json!({ "slug": "after" })).unwrap();
    assert_eq!(
        wait(db.search("articles", "about 7", 3, None))
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn saving_an_index_to_a_full_disk_keeps_the_previous_file() {
    let directory = tempfile::tempdir().unwrap();
    let db = library(directory.path(), 400);
    assert_eq!(db.save_index("articles").unwrap(), 400);
    let files = || {
        let mut files: Vec<_> = fs::read_dir(directory.path().join("vectors"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        files.retain(|file| {
            file.path()
                .extension()
                .is_some_and(|extension| extension == "vec")
        });
        files
            .iter()
            .map(|file| fs::read(file.path()).unwrap())
            .collect::<Vec<_>>()
    };
    let before = files();
    assert!(before.len() == 1 && before[0].len() > 512 << 10);
    drop(db);
    limited("saver", directory.path());
    assert!(files() == before, "the previous file changed");
    let db = Database::open(directory.path()).unwrap();
    assert_eq!(db.load_index("articles").unwrap(), 400);
    assert!(db.indexes().verify().unwrap().is_clean());
}

/// Removes the write permission from a directory and its contents, and restores it when dropped.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn new(path: &'a Path) -> Self {
        permit(path, 0o555, 0o444);
        Self(path)
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        permit(self.0, 0o755, 0o644);
    }
}

fn permit(path: &Path, directories: u32, files: u32) {
    // The directory first: without permission to enter it, its contents cannot be changed.
    let mode = if path.is_dir() { directories } else { files };
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten() {
        permit(&entry.unwrap().path(), directories, files);
    }
}

/// Opens, reads and writes in directories without write permission. Does nothing unless the test
/// below started it.
#[test]
#[ignore = "started by the test below"]
fn reader() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = Path::new(&directory);
    let denied = |path: &Path| {
        let error = Database::open(path).unwrap_err();
        assert!(
            matches!(error, Error::Open(OpenError::Denied { .. })),
            "{error:?}"
        );
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    };
    denied(&directory.join("db"));
    denied(&directory.join("empty"));
    denied(&directory.join("empty/none/below"));
    let read_only = DatabaseOptions::new().storage(StorageOptions::new().read_only(true));
    let db = Database::open_with(directory.join("db"), read_only).unwrap();
    assert_eq!(db.count("articles").unwrap(), 20);
    assert_eq!(
        wait(db.search("articles", "about 7", 3, None))
            .unwrap()
            .len(),
        3
    );
    assert!(db.indexes().verify().unwrap().is_clean());
    for error in [
        db.insert("articles", &json!({ "slug": "new" }))
            .map(drop)
            .unwrap_err(),
        db.save_index("articles").map(drop).unwrap_err(),
        db.register_schema("others", &json!({})).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Write(WriteError::ReadOnly)),
            "{error:?}"
        );
    }
}

#[test]
fn without_write_permission_opening_names_the_directory_and_read_only_works() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let (db, empty) = (directory.path().join("db"), directory.path().join("empty"));
    drop(library(&db, 20));
    fs::create_dir(&empty).unwrap();
    let _read_only = (ReadOnly::new(&db), ReadOnly::new(&empty));
    let mut command = if fs::write(empty.join("probe"), b"").is_ok() {
        fs::remove_file(empty.join("probe")).unwrap();
        // The other user may have no access to the program's path, but always to `/proc/self/exe`.
        let mut command = Command::new("/proc/self/exe");
        command.gid(65_534).uid(65_534).current_dir("/");
        command
    } else {
        Command::new(std::env::current_exe().unwrap())
    };
    run(&mut command, "reader", directory.path());
}

#[test]
fn missing_parent_directories_of_a_database_are_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some/where/below");
    drop(library(&path, 1));
    assert_eq!(Database::open(path).unwrap().count("articles").unwrap(), 1);
}
