//! Requests that are refused for good. They are not repeated: with the number of retries of these tests, a
//! test that repeats one does not end.

use std::error::Error as _;
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use slatedb::object_store;

use super::faulty::{FaultyStore, Mode};
use super::{keys, options};
use crate::otel::ErrorType as _;
use crate::storage::slate::refused::{Reason, reason_of_bucket, reason_of_files};
use crate::storage::{OpenError, ScanRange, StatusCode, Storage, StorageOptions, WriteError};

/// Options of a database that repeats what may succeed later for weeks.
fn patient() -> StorageOptions {
    options()
        .sync(true)
        .flush_interval(Duration::from_millis(1))
        .object_store_retries(1_000_000)
        .close_deadline(Duration::from_secs(2))
        .cache_size(0)
}

/// Starts a server that answers every request like this. Returns its port, and the number of requests.
fn server(status: &'static str, document: &'static str) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let length = document.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(document.as_bytes()).unwrap();
        }
    });
    (port, requests)
}

fn in_bucket(port: u16) -> StorageOptions {
    patient()
        .object_store_option("aws_endpoint", format!("http://127.0.0.1:{port}"))
        .object_store_option("aws_allow_http", "true")
        .object_store_option("aws_region", "us-east-1")
        .object_store_option("aws_access_key_id", "key")
        .object_store_option("aws_secret_access_key", "secret")
}

#[test]
fn a_bucket_that_refuses_is_asked_once_and_the_error_says_what_to_do() {
    for (status, document, error_type, advice) in [
        (
            "404 Not Found",
            "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>",
            "NoBucket",
            "there is no bucket `shelf`; create it, or check the name and the region",
        ),
        (
            "301 Moved Permanently",
            "<Error><Code>PermanentRedirect</Code></Error>",
            "OtherRegion",
            "set `aws_region`",
        ),
        (
            "400 Bad Request",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message></Error>",
            "OtherRegion",
            "set `aws_region`",
        ),
        (
            "403 Forbidden",
            "<Error><Code>SignatureDoesNotMatch</Code></Error>",
            "Denied",
            "the credentials and policies",
        ),
        (
            "401 Unauthorized",
            "",
            "Denied",
            "the credentials and policies",
        ),
        (
            "400 Bad Request",
            "<Error><Code>ExpiredToken</Code></Error>",
            "Denied",
            "the credentials and policies",
        ),
        (
            "400 Bad Request",
            "<Error><Code>InvalidBucketName</Code></Error>",
            "Refused",
            "s3://shelf/a",
        ),
        (
            "501 Not Implemented",
            "<Error><Code>NotImplemented</Code></Error>",
            "Refused",
            "s3://shelf/a",
        ),
    ] {
        for read_only in [false, true] {
            let (port, requests) = server(status, document);
            let options = in_bucket(port).read_only(read_only);
            let error = Storage::open("s3://shelf/a", options).unwrap_err();
            assert_eq!(error.error_type(), error_type, "{error:?}");
            assert!(error.to_string().contains(advice), "{error}");
            let code = document.split(['>', '<']).nth(4).unwrap_or_default();
            let source = error.source().unwrap().to_string();
            let is_redirect = status.starts_with("301");
            assert!(is_redirect || source.contains(code), "{source}");
            // The client of S3 repeats what a server cannot do.
            let expected = if status.starts_with("501") { 3 } else { 1 };
            assert_eq!(requests.load(Ordering::Relaxed), expected, "{status}");
        }
    }
}

#[test]
fn an_answer_of_a_bucket_that_may_pass_is_not_a_refusal() {
    for (status, document) in [
        ("503 Slow Down", "<Error><Code>SlowDown</Code></Error>"),
        (
            "400 Bad Request",
            "<Error><Code>RequestTimeout</Code></Error>",
        ),
        ("429 Too Many Requests", ""),
        ("307 Temporary Redirect", "<Error/>"),
    ] {
        let (port, requests) = server(status, document);
        let options = in_bucket(port).object_store_retries(1);
        let error = Storage::open("s3://shelf/a", options).unwrap_err();
        let is_redirect = status.starts_with("307");
        if !is_redirect {
            assert_eq!(error.error_type(), "Unavailable", "{error:?}");
            assert!(requests.load(Ordering::Relaxed) > 1, "{status}");
        }
    }
}

#[test]
fn every_call_ends_at_the_first_refusal() {
    const DENIED: &str = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code></Error>";
    let refused = || {
        let store = FaultyStore::new();
        let storage = Storage::open(store.url(), patient()).unwrap();
        storage.put("a", "1", "").unwrap();
        storage.flush().unwrap();
        drop(storage);
        let storage = Storage::open(store.url(), patient()).unwrap();
        storage.put("a", "0", "").unwrap();
        store.set(Mode::Answers(DENIED));
        (store, storage)
    };
    let (store, storage) = refused();
    let error = storage.get("a", "1").unwrap_err();
    assert_eq!(error.error_type(), "Refused");
    assert!(error.source().unwrap().to_string().contains("AccessDenied"));
    let scanned: Result<Vec<_>, _> = match storage.scan("a", ScanRange::all()) {
        Ok(entries) => entries.collect(),
        Err(error) => Err(error),
    };
    assert_eq!(scanned.unwrap_err().error_type(), "Refused");
    for failed in [
        storage.write_file("f", vec![1]).unwrap_err(),
        storage.read_file("f").unwrap_err(),
        storage.remove_file("f").unwrap_err(),
    ] {
        assert!(failed.to_string().contains("AccessDenied"), "{failed}");
    }
    for read_only in [false, true] {
        let error = Storage::open(store.url(), patient().read_only(read_only)).unwrap_err();
        assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
        assert_eq!(error.error_type(), "Denied");
    }
    // SlateDB may have closed the database before, because of a request in the background.
    let error = storage.put("a", "2", "").unwrap_err();
    assert!(
        ["Refused", "Poisoned"].contains(&&*error.error_type()),
        "{error:?}"
    );
    let error = storage.put("a", "2", "").unwrap_err();
    let code = StatusCode::Refused;
    assert_eq!(error, WriteError::Poisoned { code });
    store.set(Mode::Works);
    drop(storage);
    assert_eq!(
        keys(&Storage::open(store.url(), patient()).unwrap()),
        [b"0", b"1"]
    );

    let (_store, storage) = refused();
    let error = storage.flush().unwrap_err();
    assert_eq!(error.error_type(), "Refused");
    let (_store, storage) = refused();
    let error = storage.create_column_family("c").unwrap_err();
    assert_eq!(error.error_type(), "Refused");
}

#[test]
fn a_directory_that_the_file_system_cannot_have_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for (path, error_type) in [
        (dir.path().join("n".repeat(300)), "Path"),
        (dir.path().join("n".repeat(300)).join("db"), "Path"),
        (file.join("db"), "Path"),
        (file.clone(), "NotADirectory"),
    ] {
        let url = format!("file://{}", path.display());
        for read_only in [false, true] {
            let error = Storage::open(&url, patient().read_only(read_only)).unwrap_err();
            assert_eq!(error.error_type(), error_type, "{error:?}");
            assert!(error.to_string().contains(&url), "{error}");
        }
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

/// A link without a target, a loop of links, and a pipe, which a plain open would wait for.
#[cfg(unix)]
#[test]
fn a_path_with_links_to_nowhere_or_a_pipe_is_an_error_at_once() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let [dangling, one, two, pipe] = ["dangling", "one", "two", "pipe"].map(|n| dir.path().join(n));
    symlink(dir.path().join("nowhere"), &dangling).unwrap();
    symlink(&one, &two).unwrap();
    symlink(&two, &one).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for (path, part) in [
        (dangling.clone(), "has no target"),
        (dangling.join("db"), "has no target"),
        (one.clone(), "symbolic links"),
        (one.join("db"), "symbolic links"),
        (pipe, "Not a directory"),
    ] {
        let url = format!("file://{}", path.display());
        let error = Storage::open(&url, patient()).unwrap_err();
        assert_eq!(error.error_type(), "Path", "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&url) && text.contains(part), "{text}");
    }
}

/// No one can create directories there.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_without_permission_is_an_error_at_once() {
    let error = Storage::open("file:///sys/percolate/db", patient()).unwrap_err();
    assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
}

#[test]
fn an_error_of_a_file_system_that_waiting_does_not_change_is_a_refusal() {
    let of = |kind: io::ErrorKind| {
        reason_of_files(&object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(io::Error::from(kind)),
        })
    };
    for (kind, reason) in [
        (io::ErrorKind::PermissionDenied, Some(Reason::Denied)),
        (io::ErrorKind::ReadOnlyFilesystem, Some(Reason::Denied)),
        (io::ErrorKind::InvalidFilename, Some(Reason::Path)),
        (io::ErrorKind::NotADirectory, Some(Reason::Path)),
        (io::ErrorKind::AlreadyExists, Some(Reason::Path)),
        (io::ErrorKind::NotFound, Some(Reason::Path)),
        (io::ErrorKind::StorageFull, None),
        (io::ErrorKind::ResourceBusy, None),
        (io::ErrorKind::Other, None),
    ] {
        assert_eq!(of(kind), reason, "{kind}");
    }
}

#[test]
fn a_machine_without_credentials_is_denied() {
    let text = "Error performing GET http://169.254.169.254/latest/meta-data/iam/security-credentials/ - Server \
                returned non-2xx status code: 404 Not Found: ";
    for (text, reason) in [
        (text.to_owned(), Some(Reason::NoCredentials)),
        (
            text.replace("latest", "shelf").replace("169.254.", "10.0."),
            Some(Reason::Other),
        ),
        (text.replace("404", "503"), None),
    ] {
        let error = object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        };
        for has_answered in [false, true] {
            assert_eq!(reason_of_bucket(&error, has_answered), reason, "{error}");
        }
    }
}

/// The service is that of the machine, or a file with a token. A bucket that has answered before had
/// credentials, and the service may be back soon.
#[test]
fn a_machine_whose_service_of_credentials_cannot_be_reached_has_none() {
    for text in [
        "Error performing PUT http://10.9.8.7/latest/api/token in 3.1s, after 2 retries, max_retries: 2, \
         retry_timeout: 20s  - HTTP error: error sending request",
        "Failed to read token file '/token': No such file or directory (os error 2)",
    ] {
        let error = object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        };
        let reason = Some(Reason::NoCredentials);
        assert_eq!(reason_of_bucket(&error, false), reason, "{error}");
        assert_eq!(reason_of_bucket(&error, true), None, "{error}");
    }
}

#[test]
fn a_bucket_without_credentials_is_an_error_that_names_the_options() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let options = patient()
        .object_store_option("aws_region", "us-east-1")
        .object_store_option("aws_metadata_endpoint", format!("http://127.0.0.1:{port}"));
    let error = Storage::open("s3://shelf/a", options).unwrap_err();
    assert_eq!(error.error_type(), "Denied", "{error:?}");
    assert!(error.to_string().contains("s3://shelf/a"), "{error}");
    let source = error.source().unwrap().to_string();
    assert!(source.contains("set `aws_access_key_id`"), "{source}");
}

#[test]
fn advice_for_a_missing_permission_fits_the_place() {
    for (path, part) in [
        ("/shelf", "or open it read-only"),
        (
            "file:///shelf",
            "the mode of the directory and its files; a reader writes",
        ),
        (
            "s3://shelf",
            "the credentials and policies of the object store; a reader writes",
        ),
    ] {
        let error = OpenError::Denied {
            path: path.into(),
            source: "denied".into(),
        };
        assert!(error.to_string().contains(part), "{error}");
    }
}
