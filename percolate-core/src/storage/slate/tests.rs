//! Databases on object stores: URLs, one writer, readers, and stores that fail.

mod faults;
pub(crate) mod faulty;
mod readers;
mod refusals;
mod removed;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::otel::ErrorType as _;
use crate::storage::{
    MaintenanceError, OpenError, ScanRange, ServerAddress, StatusCode, Storage, StorageOptions,
    WriteError,
};

/// A URL of a store in memory that no other test has.
fn url() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("memory:///tests/{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn options() -> StorageOptions {
    StorageOptions::new().column_family("a").column_family("b")
}

fn keys(storage: &Storage) -> Vec<Vec<u8>> {
    let all = storage.scan("a", ScanRange::all()).unwrap();
    all.map(|entry| entry.unwrap().0.into()).collect()
}

#[test]
fn a_store_has_the_names_of_its_engine_and_place() {
    let storage = Storage::open("memory:///shelves/library", options()).unwrap();
    assert_eq!(storage.system(), "slatedb");
    assert_eq!(storage.namespace(), "library");
    assert_eq!(storage.server_address(), None);
    assert_eq!(storage.column_families(), ["a", "b", "meta"]);
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/db", dir.path().display());
    let storage = Storage::open(&url, options()).unwrap();
    assert_eq!(storage.path().to_str(), Some(&*url));
    let address = dir.path().join("db").display().to_string();
    assert_eq!(storage.server_address(), Some(&*address));
    let omitted = options().server_address(ServerAddress::Omit);
    drop(storage);
    assert_eq!(Storage::open(url, omitted).unwrap().server_address(), None);
}

/// RFC 3986, section 3.1.
#[test]
fn a_scheme_can_be_written_in_any_letter_case() {
    let dir = tempfile::tempdir().unwrap();
    let written = format!("FILE://{}/Db", dir.path().display());
    let storage = Storage::open(&written, options()).unwrap();
    let canonical = written.replace("FILE", "file");
    assert_eq!(storage.path().to_str(), Some(&*canonical));
    assert_eq!(storage.namespace(), "Db");
    let address = dir.path().join("Db").display().to_string();
    assert_eq!(storage.server_address(), Some(&*address));
    let named = Storage::open("Memory:///Letters/case", options().sync(true)).unwrap();
    named.put("a", "key", "").unwrap();
    let read_only = StorageOptions::new().read_only(true);
    let reader = Storage::open("memory:///Letters/case", read_only).unwrap();
    assert_eq!(keys(&reader), [b"key"]);
    assert_eq!(
        Storage::open("MEMORY://", options()).unwrap().namespace(),
        "memory"
    );
    for (url, shown) in [
        ("S3://shelf/a?b", "at s3://shelf/a:"),
        ("S3://key@shelf/a", "at s3://…:"),
        ("Gopher://shelf", "for `gopher://`"),
        ("FILE://host/a", "at file://host/a:"),
    ] {
        let error = Storage::open(url, StorageOptions::new()).unwrap_err();
        assert!(error.to_string().contains(shown), "{error}");
    }
}

#[test]
fn a_database_is_in_one_directory_whatever_its_name_is() {
    for (written, named) in [
        ("100%25", "100%"),
        ("reading room", "reading room"),
        ("日本", "日本"),
        ("%E6%97%A5", "日"),
        ("a~b[1]", "a~b[1]"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}/{written}", dir.path().display());
        let storage = Storage::open(&url, options()).unwrap();
        assert_eq!(storage.namespace(), named);
        storage.put("a", "key", "value").unwrap();
        storage.flush_wal(true).unwrap();
        let reader = Storage::open(&url, options().read_only(true)).unwrap();
        assert_eq!(keys(&reader), [b"key"], "{written}");
        drop((storage, reader));
        let found: Vec<_> = dir
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(found, [named], "{written}");
    }
}

#[test]
fn a_bucket_is_known_by_its_host_and_its_options_are_not_printed() {
    let options = options()
        .object_store_option("aws_endpoint", "http://127.0.0.1:1")
        .object_store_option("aws_allow_http", "true")
        .object_store_option("aws_access_key_id", "AKIA-canary")
        .object_store_option("aws_secret_access_key", "canary")
        .object_store_retries(0);
    assert!(!format!("{options:?}").contains("canary"));
    let place = super::ObjectPlace::parse("s3://shelf/library", &options).unwrap();
    assert_eq!(place.address().as_deref(), Some("127.0.0.1"));
    assert_eq!(place.name(), "library");
    assert!(!format!("{place:?}").contains("canary"));
    let error = Storage::open("s3://shelf/library", options).unwrap_err();
    let text = format!("{error:?} {error} {:?}", std::error::Error::source(&error));
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(error.error_type(), "Unavailable");
    let plain = StorageOptions::new().object_store_option("aws_region", "eu-north-1");
    let place = super::ObjectPlace::parse("s3://shelf", &plain).unwrap();
    assert_eq!(
        place.address().as_deref(),
        Some("shelf.s3.eu-north-1.amazonaws.com")
    );
    assert_eq!(place.name(), "shelf");
}

/// S3 repeats the access key, and what it signed, in its answers.
#[test]
fn an_answer_of_s3_is_told_without_credentials() {
    let options = StorageOptions::new()
        .object_store_option("aws_access_key_id", "AKIA-canary")
        .object_store_option("aws_secret_access_key", "secret-canary")
        .object_store_option("aws_session_token", "token-canary");
    let place = super::ObjectPlace::parse("s3://shelf", &options).unwrap();
    let answer = "Server returned 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
                  <Message>The signature of AKIA-canary does not match</Message>\
                  <AWSAccessKeyId>AKIA-other-canary</AWSAccessKeyId><StringToSign>canary</StringToSign></Error> (401)";
    assert_eq!(
        place.describe(&answer),
        "Server returned 403 Forbidden: SignatureDoesNotMatch: The signature of … does not match (401)"
    );
    for text in ["key secret-canary", "token token-canary, <Error>canary"] {
        let described = place.describe(&text);
        assert!(!described.contains("canary"), "{described}");
    }
    assert_eq!(place.describe(&"503: <Error> is cut"), "503: no code");
}

#[test]
fn a_malformed_url_is_refused_with_what_to_write_instead() {
    for (url, part) in [
        ("s3://", "the bucket is missing"),
        ("s3:///prefix", "the bucket is missing"),
        ("s3://key:canary@bucket/a", "must not contain a user"),
        ("s3://bucket/a?token=canary", "must not have a query"),
        ("s3://reading room/a", "is not the name of a bucket"),
        ("file://host/a", "`file:///directory`"),
        ("file:///", "the directory is missing"),
        ("memory://name", "`memory:///name`"),
        ("gopher://shelf/a", "no object stores for `gopher://`"),
        (
            "s3:/key:canary@bucket/a",
            "pass `s3://…` as text, or `./s3:/…`",
        ),
        ("File:/a", "pass `File://…` as text"),
    ] {
        let error = Storage::open(url, StorageOptions::new()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert_eq!(error.error_type(), "Url");
    }
    for name in ["timeout", "aws_allow_http", "aws_endpoint"] {
        let wrong = StorageOptions::new().object_store_option(name, "canary");
        let text = match Storage::open("s3://shelf/a", wrong.object_store_retries(0)) {
            Ok(_) => panic!("it opens with a wrong `{name}`"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!text.contains("canary"), "{text}");
        assert!(
            name == "aws_endpoint"
                || text.contains(&format!("failed to parse the value of `{name}`")),
            "{text}"
        );
    }
    for (name, value, reason) in [
        ("aws_endpoint", "canary", "is not a URL"),
        ("aws_endpoint", "https://canary\n", "a line break"),
        ("aws_endpoint", "http://canary", "set `aws_allow_http`"),
        ("aws_endpoint", "https://user:canary@host", "a password"),
        ("aws_access_key_id", "canary\n", "a line break"),
        ("aws_secret_access_key", "canary ", "a space"),
        ("aws_session_token", "canary\r", "a line break"),
        ("aws_region", "canary\n", "a line break"),
    ] {
        let wrong = StorageOptions::new().object_store_option(name, value);
        let error = Storage::open("s3://shelf/a", wrong.object_store_retries(0)).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(&format!("the value of `{name}`")), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(error.error_type(), "Url");
    }
}

#[test]
fn an_option_that_the_place_does_not_have_is_refused_without_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("db").display().to_string();
    let in_files = format!("file://{directory}");
    for (url, place, names) in [
        ("s3://shelf/a", "S3", "`aws_regoin` and `sync`"),
        (
            &in_files,
            "`file://`",
            "`aws_regoin`, `aws_region` and `sync`",
        ),
        (
            "memory://",
            "`memory://`",
            "`aws_regoin`, `aws_region` and `sync`",
        ),
        ("gs://shelf", "", "no object stores for `gs://`"),
    ] {
        let mut given = options().object_store_retries(0);
        for name in ["aws_regoin", "aws_region", "sync"] {
            given = given.object_store_option(name, "canary");
        }
        let error = Storage::open(url, given).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(names) && text.contains(place), "{text}");
        assert!(!text.contains("canary"), "{text}");
        let is_option = !place.is_empty();
        assert_eq!(
            error.error_type(),
            if is_option { "UnknownOptions" } else { "Url" }
        );
    }
    // A directory, whatever the engine of these tests is.
    let place = crate::storage::place::Place::parse(
        directory.as_ref(),
        &options().object_store_option("aws_region", "canary"),
    );
    let text = place.unwrap_err().to_string();
    assert!(text.contains(": `aws_region`; leave them out"), "{text}");
    assert!(!dir.path().join("db").exists());
}

#[test]
fn a_name_in_memory_is_one_database_as_long_as_a_handle_exists() {
    let url = url();
    let first = Storage::open(&url, options().sync(true)).unwrap();
    first.put("a", "key", "value").unwrap();
    let reader = Storage::open(&url, StorageOptions::new().read_only(true)).unwrap();
    drop(first);
    assert_eq!(reader.get("a", "key").unwrap().unwrap(), b"value");
    drop(reader);
    let read_only = StorageOptions::new().read_only(true);
    let error = Storage::open(&url, read_only).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
}

#[test]
fn a_second_writer_ends_the_rights_of_the_first_and_loses_nothing_durable() {
    let url = url();
    let first = Storage::open(&url, options().sync(true)).unwrap();
    first.put("a", "1", "durable").unwrap();
    let second = Storage::open(&url, options().sync(true)).unwrap();
    let error = first.put("a", "2", "late").unwrap_err();
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    assert_eq!(error.error_type(), "Fenced");
    assert_eq!(error.status_code().unwrap(), "Fenced");
    assert!(error.to_string().contains("only one writer"), "{error}");
    let mut batch = first.batch();
    batch.put("a", "3", "late").unwrap();
    let error = batch.commit().unwrap_err();
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    second.put("a", "4", "").unwrap();
    drop(first);
    assert_eq!(keys(&second), [b"1", b"4"]);
}

#[test]
fn of_writers_that_open_a_database_at_the_same_time_exactly_one_can_write() {
    const WRITERS: u8 = 4;
    for round in 0..40 {
        let url = url();
        // Keeps the store in memory. In the second half, the database exists.
        let keep = super::ObjectPlace::parse(&url, &options()).unwrap();
        if round >= 20 {
            drop(Storage::open(&url, options()).unwrap());
        }
        let start = std::sync::Barrier::new(WRITERS.into());
        let opened: Vec<_> = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                let interval = Duration::from_millis(1);
                Storage::open(&url, options().sync(true).flush_interval(interval))
            };
            let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(open)).collect();
            let threads = threads.into_iter();
            threads.map(|thread| thread.join().unwrap()).collect()
        });
        for error in opened.iter().filter_map(|storage| storage.as_ref().err()) {
            assert_eq!(error.error_type(), "Fenced", "{error:?}");
        }
        let opened = opened.iter().enumerate();
        let survivors: Vec<_> = opened
            .filter_map(|(number, storage)| Some((number, storage.as_ref().ok()?)))
            .filter(|(number, storage)| {
                let key = number.to_be_bytes();
                match storage
                    .put("a", key, "")
                    .and_then(|()| storage.put("a", key, ""))
                {
                    Ok(()) => true,
                    Err(WriteError::Fenced(_)) => false,
                    Err(error) => panic!("{error:?}"),
                }
            })
            .collect();
        let [(number, survivor)] = &*survivors else {
            panic!("{} survivors in round {round}", survivors.len());
        };
        assert_eq!(keys(survivor), [number.to_be_bytes()]);
        drop(keep);
    }
}

#[test]
fn a_reader_keeps_its_state_until_it_is_refreshed() {
    let url = url();
    let writer = Storage::open(&url, options().sync(true)).unwrap();
    writer.put("a", "1", "").unwrap();
    let reader = Storage::open(&url, StorageOptions::new().read_only(true)).unwrap();
    writer.put("a", "2", "").unwrap();
    writer.create_column_family("c").unwrap();
    writer.flush().unwrap();
    writer.put("a", "3", "").unwrap();
    assert_eq!(keys(&reader), [b"1"]);
    assert_eq!(
        reader.multi_get("a", &["1", "3"]).unwrap(),
        [Some(vec![]), None]
    );
    assert_eq!(reader.column_families(), ["a", "b", "meta"]);
    let current = reader.refreshed().unwrap();
    assert_eq!(keys(&current), [b"1", b"2", b"3"]);
    assert_eq!(current.column_families(), ["a", "b", "c", "meta"]);
    assert_eq!(keys(&reader), [b"1"], "the old one is as it was");
    assert_eq!(reader.put("a", "4", "").unwrap_err(), WriteError::ReadOnly);
    assert_eq!(reader.snapshot().get("a", "1").unwrap(), Some(vec![]));
    assert!(matches!(
        reader.create_column_family("d").unwrap_err(),
        MaintenanceError::ReadOnly { .. }
    ));
}

#[test]
fn a_range_is_deleted_with_what_the_batch_wrote_before() {
    let storage = Storage::open(url(), options()).unwrap();
    for key in ["a", "b", "c", "d"] {
        storage.put("a", key, "").unwrap();
        storage.put("b", key, "").unwrap();
    }
    let mut batch = storage.batch();
    batch.put("a", "bb", "").unwrap();
    batch.delete_range("a", "b", "d").unwrap();
    batch.put("a", "c", "again").unwrap();
    batch.delete_range("a", "d", "a").unwrap();
    assert_eq!(batch.commit().unwrap(), 4);
    assert_eq!(keys(&storage), [b"a", b"c", b"d"]);
    assert_eq!(storage.get("a", "c").unwrap().unwrap(), b"again");
    assert_eq!(storage.scan("b", ScanRange::all()).unwrap().count(), 4);
}

#[test]
fn what_slatedb_cannot_do_is_said() {
    let storage = Storage::open(url(), options()).unwrap();
    let error = storage.compact("a").unwrap_err();
    assert!(
        error.to_string().contains("SlateDB does not support it"),
        "{error}"
    );
    let error = storage.checkpoint("copy").unwrap_err();
    assert!(error.to_string().contains("copy_to"), "{error}");
    for name in [String::new(), "n".repeat(256)] {
        let error = storage.create_column_family(&name).unwrap_err();
        assert_eq!(
            error,
            MaintenanceError::ColumnFamilyName { size: name.len() }
        );
        let error = Storage::open(url(), options().column_family(name)).unwrap_err();
        assert!(error.to_string().contains("1 to 255 bytes"), "{error}");
    }
    storage.create_column_family(&"n".repeat(255)).unwrap();
}

#[test]
fn objects_of_others_are_not_mixed_with_a_database() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let url = format!("file://{}", dir.path().display());
    let error = Storage::open(&url, options()).unwrap_err();
    assert!(error.to_string().contains("`notes.txt`"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    // A database of RocksDB is one of these others.
    let rocks = tempfile::tempdir().unwrap();
    drop(crate::storage::rocks::RocksEngine::open(rocks.path(), &options(), "t").unwrap());
    let url = format!("file://{}", rocks.path().display());
    let error = Storage::open(&url, options()).unwrap_err();
    assert!(matches!(error, OpenError::NotEmpty { .. }), "{error:?}");
}

#[test]
fn callers_inside_of_runtimes_of_any_kind_are_served() {
    let single = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let several = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    for runtime in [single, several] {
        runtime.block_on(async {
            let storage = Storage::open(url(), options().sync(true)).unwrap();
            let tasks: Vec<_> = (0..8_u8)
                .map(|n| {
                    let storage = storage.clone();
                    tokio::spawn(async move { storage.put("a", [n], [n]).unwrap() })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(keys(&storage).len(), 8);
            drop(storage);
        });
    }
}

#[test]
fn an_unsynced_write_is_durable_after_the_interval() {
    let url = url();
    let writer = Storage::open(&url, options().flush_interval(Duration::from_millis(5))).unwrap();
    writer.put("a", "1", "").unwrap();
    let read_only = || StorageOptions::new().read_only(true);
    let mut reader = Storage::open(&url, read_only()).unwrap();
    for _ in 0..1_000 {
        if reader.get("a", "1").unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
        reader = reader.refreshed().unwrap();
    }
    panic!("the write did not reach the object store");
}

#[test]
fn a_limit_of_the_memory_tables_of_any_size_is_accepted() {
    for bytes in [0, 1, 64 << 20, usize::MAX] {
        let storage = Storage::open(url(), options().memory_table_limit(bytes)).unwrap();
        for number in 0..20_u8 {
            storage.put("a", [number], vec![number; 10_000]).unwrap();
        }
        assert_eq!(keys(&storage).len(), 20, "{bytes} bytes");
    }
}

#[test]
fn status_codes_have_names() {
    for code in [
        StatusCode::Unavailable,
        StatusCode::Refused,
        StatusCode::Fenced,
        StatusCode::Closed,
        StatusCode::Internal,
    ] {
        assert_eq!(code.as_str(), format!("{code:?}"));
    }
}
