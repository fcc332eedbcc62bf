//! A database in a bucket: the protocol of S3, with `moto_server` as the server. Without it the tests are
//! skipped; `scripts/setup.sh tools` installs it into `.venv`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use percolate_core::otel::ErrorType as _;
use percolate_core::otel::testing::Capture;
use percolate_core::storage::{OpenError, ScanRange, Storage, StorageOptions, WriteError};
use percolate_core::{Database, DatabaseOptions};
use serde_json::json;

/// Credentials, which must not appear anywhere.
const CANARY: &str = "canary";

/// A server with the empty bucket `shelf`.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts a server, or says that there is none. `actions` is the number of requests without valid
    /// credentials that it accepts.
    fn start(actions: Option<u32>) -> Option<Self> {
        let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/moto_server");
        let program = if venv.exists() {
            venv
        } else {
            "moto_server".into()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = Command::new(program);
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(actions) = actions {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", actions.to_string());
        }
        let Ok(process) = command.spawn() else {
            let text =
                "skipped: moto_server is not installed; `scripts/setup.sh tools` installs it\n";
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        };
        let server = Self { process, port };
        let began = Instant::now();
        while !server.creates_bucket() {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "it does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn creates_bucket(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let request = format!(
            "PUT /shelf HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        true
    }

    fn options(&self) -> StorageOptions {
        StorageOptions::new()
            .sync(true)
            .flush_interval(Duration::from_millis(1))
            .object_store_option("aws_endpoint", format!("http://127.0.0.1:{}", self.port))
            .object_store_option("aws_allow_http", "true")
            .object_store_option("aws_region", "us-east-1")
            .object_store_option("aws_access_key_id", "AKIAcanary")
            .object_store_option("aws_secret_access_key", "canary/secret")
            .object_store_option("aws_session_token", "canary-token")
            .object_store_retries(2)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What is written through `tracing` by all threads of this program, at the level TRACE.
fn logs() -> Arc<Mutex<Vec<u8>>> {
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    static LINES: Mutex<Option<Arc<Mutex<Vec<u8>>>>> = Mutex::new(None);
    let mut lines = LINES.lock().unwrap();
    let lines = lines.get_or_insert_with(|| {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&writer)))
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    });
    Arc::clone(lines)
}

/// Checks that no credentials are in the spans, metrics and logs, nor in `others`.
fn assert_no_credentials(capture: &Capture, others: &str) {
    let mut text = format!("{others}{}", capture.metrics().text());
    for span in capture.spans().iter() {
        writeln!(text, "{:?}", span.data()).unwrap();
    }
    let logs = String::from_utf8_lossy(&logs().lock().unwrap()).into_owned();
    assert!(logs.contains("hyper"), "the client logs its requests");
    text.push_str(&logs);
    let found: Vec<_> = text.lines().filter(|line| line.contains(CANARY)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

fn keys(storage: &Storage) -> Vec<Vec<u8>> {
    let all = storage.scan("a", ScanRange::all()).unwrap();
    all.map(|entry| entry.unwrap().0.into()).collect()
}

#[test]
fn a_store_in_a_bucket_has_one_writer_and_readers() {
    let Some(server) = Server::start(None) else {
        return;
    };
    _ = logs();
    let url = "s3://shelf/a/library";
    let options = || server.options().column_family("a");
    let capture = Capture::new();
    let storage = capture.run(|| {
        let storage = Storage::open(url, options()).unwrap();
        storage.put("a", "1", "one").unwrap();
        let mut batch = storage.batch();
        batch.put("a", "2", "two").unwrap();
        batch.put("a", "3", "three").unwrap();
        batch.delete("a", "1").unwrap();
        batch.commit().unwrap();
        assert_eq!(storage.get("a", "1").unwrap(), None);
        let found = storage.multi_get("a", &["3", "1"]).unwrap();
        assert_eq!(found, [Some(b"three".to_vec()), None]);
        storage.create_column_family("b").unwrap();
        storage.flush().unwrap();
        storage
    });
    assert_eq!(storage.namespace(), "library");
    let spans = capture.spans();
    for name in ["put a", "get a", "multi_get a", "flush library"] {
        let address = spans.span(name).attribute("server.address");
        assert_eq!(address.unwrap().to_string(), "127.0.0.1", "{name}");
    }
    let reader = Storage::open(url, server.options().read_only(true)).unwrap();
    assert_eq!(reader.column_families(), ["a", "b", "meta"]);

    // A second writer ends the rights of the first: both create the same object, and one is refused.
    let second = Storage::open(url, options()).unwrap();
    let error = capture.run(|| storage.put("a", "4", "late").unwrap_err());
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    second.put("a", "5", "five").unwrap();
    assert_eq!(keys(&reader), [b"2", b"3"]);
    assert_eq!(keys(&reader.refreshed().unwrap()), [b"2", b"3", b"5"]);
    drop((storage, second, reader));
    let reopened = Storage::open(url, options()).unwrap();
    assert_eq!(keys(&reopened), [b"2", b"3", b"5"]);
    // The other prefixes of the bucket are other databases.
    let other = Storage::open("s3://shelf/a/other", options()).unwrap();
    assert_eq!(keys(&other).len(), 0);
    let error = Storage::open("s3://shelf/a", options()).unwrap_err();
    assert!(matches!(error, OpenError::NotEmpty { .. }), "{error:?}");
    let place = format!("{:?} {error:?} {error} {:?}", options(), reopened.path());
    assert_no_credentials(&capture, &place);
}

#[test]
fn a_large_scan_reads_the_bucket_in_both_directions() {
    const ENTRIES: u32 = 20_000;
    let Some(server) = Server::start(None) else {
        return;
    };
    let options = || server.options().column_family("a");
    let storage = Storage::open("s3://shelf/large", options()).unwrap();
    for first in (0..ENTRIES).step_by(2_000) {
        let mut batch = storage.batch();
        for number in first..first + 2_000 {
            let value = [
                number.to_be_bytes(),
                number.wrapping_mul(2_654_435_769).to_be_bytes(),
            ];
            batch
                .put("a", number.to_be_bytes(), value.concat().repeat(10))
                .unwrap();
        }
        batch.commit().unwrap();
    }
    storage.flush().unwrap();
    drop(storage);
    let storage = Storage::open("s3://shelf/large", options()).unwrap();
    for is_reverse in [false, true] {
        let range = if is_reverse {
            ScanRange::all().reverse()
        } else {
            ScanRange::all()
        };
        let mut expected = 0;
        for entry in storage.scan("a", range).unwrap() {
            let (key, value) = entry.unwrap();
            let number = if is_reverse {
                ENTRIES - 1 - expected
            } else {
                expected
            };
            assert_eq!(&*key, number.to_be_bytes());
            assert_eq!(value.len(), 80);
            expected += 1;
        }
        assert_eq!(expected, ENTRIES);
    }
    let page = ScanRange::all().after(100_u32.to_be_bytes());
    let page = storage.scan("a", page).unwrap().take(3);
    let page: Vec<_> = page.map(|entry| entry.unwrap().0).collect();
    assert_eq!(&*page[0], 101_u32.to_be_bytes());
    storage
        .delete_range("a", 10_u32.to_be_bytes(), 19_990_u32.to_be_bytes())
        .unwrap();
    assert_eq!(keys(&storage).len(), 20);
}

#[tokio::test]
async fn entities_in_a_bucket_are_queried_and_searched() {
    let Some(server) = Server::start(None) else {
        return;
    };
    _ = logs();
    let url = "s3://shelf/articles";
    let options = || DatabaseOptions::new().storage(server.options());
    let db = Database::open_with(url, options()).unwrap();
    let schema = json!({
        "properties": { "slug": { "type": "string" }, "year": { "type": "integer" }, "body": { "type": "string" } },
        "key_field": "slug",
        "indexed_fields": ["year"],
        "embedding_fields": ["body"],
    });
    db.register_schema("articles", &schema).unwrap();
    let articles: Vec<_> = (0..50)
        .map(|n| json!({ "slug": format!("s{n}"), "year": n, "body": format!("the body of {n}") }))
        .collect();
    db.insert_batch("articles", &articles).unwrap();
    db.generate_embeddings("articles").await.unwrap();
    let capture = Capture::new();
    let found = capture.instrument(db.search("articles", "the body of 7", 3, None));
    let found = found.await.unwrap();
    assert_eq!(found.len(), 3);
    let counted = db
        .query("SELECT count(*) FROM articles WHERE year >= 40")
        .await
        .unwrap();
    assert_eq!(counted.num_rows(), 1);
    assert_eq!(db.save_index("articles").unwrap(), 50);
    assert!(db.indexes().verify().unwrap().is_clean());
    db.close().unwrap();

    let db = Database::open_with(url, options()).unwrap();
    assert_eq!(db.load_index("articles").unwrap(), 50);
    assert_eq!(db.find("articles", "year", 10..20).unwrap().len(), 10);
    assert_no_credentials(&capture, &format!("{:?}", options()));
}

#[test]
fn refused_credentials_are_an_error_at_once_that_does_not_repeat_them() {
    let Some(server) = Server::start(Some(1)) else {
        return;
    };
    _ = logs();
    let began = Instant::now();
    let options = server.options().object_store_retries(30);
    let error = Storage::open("s3://shelf/a", options).unwrap_err();
    assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
    assert_eq!(error.error_type(), "Denied");
    assert!(began.elapsed() < Duration::from_secs(20));
    let source = std::error::Error::source(&error).unwrap();
    assert!(
        source.to_string().contains("InvalidAccessKeyId"),
        "{source}"
    );
    let all = format!("{error} {error:?} {source}");
    assert_no_credentials(&Capture::new(), &all);
}

#[test]
fn a_bucket_that_does_not_exist_is_an_error_at_once() {
    let Some(server) = Server::start(None) else {
        return;
    };
    let options = server.options().object_store_retries(1_000_000);
    let error = Storage::open("s3://attic/a", options).unwrap_err();
    assert!(matches!(error, OpenError::NoBucket { .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("NoSuchBucket"), "{source}");
}

#[test]
fn a_server_that_ends_is_an_error_and_the_loss_is_logged() {
    let Some(server) = Server::start(None) else {
        return;
    };
    let logs = logs();
    let capture = Capture::new();
    let options = server.options().sync(false).object_store_retries(1);
    let storage = Storage::open("s3://shelf/ends", options.column_family("a")).unwrap();
    storage.put("a", "1", "durable").unwrap();
    storage.flush_wal(true).unwrap();
    drop(server);
    let began = Instant::now();
    let error = loop {
        if let Err(error) = storage.put("a", "2", "lost") {
            break error;
        }
        assert!(began.elapsed() < Duration::from_mins(2), "no error");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(matches!(error, WriteError::Poisoned { .. }), "{error:?}");
    let error = capture.run(|| storage.get("a", "1").unwrap_err());
    assert_eq!(error.error_type(), "Unavailable");
    drop(storage);
    let text = String::from_utf8_lossy(&logs.lock().unwrap()).into_owned();
    let lost: Vec<_> = text
        .lines()
        .filter(|line| line.contains("SlateDB has closed the database on the object store"))
        .collect();
    assert!(!lost.is_empty(), "{text}");
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("open the database again"));
    assert_no_credentials(&capture, &format!("{error:?} {source}"));
}

/// The process is stopped: connections are accepted, and nothing answers.
#[cfg(unix)]
#[test]
fn a_server_that_does_not_answer_is_an_error_after_the_time_out() {
    let Some(server) = Server::start(None) else {
        return;
    };
    let signal = |name: &str| {
        let process = server.process.id().to_string();
        let sent = Command::new("kill").args([name, &process]).status();
        assert!(sent.unwrap().success());
    };
    let options = || {
        let options = server.options().column_family("a");
        options
            .object_store_option("timeout", "300ms")
            .object_store_retries(0)
    };
    let storage = Storage::open("s3://shelf/stops", options()).unwrap();
    storage.put("a", "1", "durable").unwrap();
    signal("-STOP");
    let began = Instant::now();
    let error = storage.put("a", "2", "").unwrap_err();
    assert_eq!(error.error_type(), "Unavailable");
    Storage::open("s3://shelf/stops", options()).unwrap_err();
    drop(storage);
    assert!(began.elapsed() < Duration::from_secs(40));
    signal("-CONT");
    let storage = Storage::open("s3://shelf/stops", server.options()).unwrap();
    assert!(keys(&storage).contains(&b"1".to_vec()));
}
