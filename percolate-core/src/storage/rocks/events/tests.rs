//! RocksDB's own counters are compared with the spans of its jobs; what RocksDB does rarely is passed
//! to the recorder directly.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::Value;
use opentelemetry::trace::SpanId;
use rocksdb::properties::LIVE_SST_FILES_SIZE;
use rocksdb::statistics::{Histogram, Ticker};
use rocksdb::{IngestExternalFileOptions, SstFileWriter, WaitForCompactOptions};

use super::event::{
    CompactionResult, Condition, Event, FamilyName, FileSize, StallCause, ThreadMark, What,
};
use super::recorder::Recorder;
use super::sink::Sink;
use crate::otel::testing::{ABSENT, Capture, CapturedSpan, Spans};
use crate::otel::{LinkTarget, Sampler, assert_span, attach_trace_context, tracing::info_span};
use crate::storage::{StatusCode, Storage, StorageOptions};

const FAMILIES: [&str; 2] = ["articles", "words"];

fn options() -> StorageOptions {
    StorageOptions::new()
        .column_family("articles")
        .column_family("words")
        .namespace("library")
        .statistics(true)
}

/// A directory in memory where there is one: each of many small flushes waits for the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a directory can be made")
}

/// Opens a store inside the capture, with memory tables of 128 KiB.
fn open(capture: &Capture, dir: &std::path::Path) -> Storage {
    let storage = capture.run(|| Storage::open(dir, options()).expect("it opens"));
    for family in FAMILIES {
        set(&storage, family, &[("write_buffer_size", "131072")]);
    }
    storage
}

fn set(storage: &Storage, family: &str, options: &[(&str, &str)]) {
    let handle = storage.rocks().db.cf_handle(family).expect("it exists");
    storage
        .rocks()
        .db
        .set_options_cf(&handle, options)
        .expect("the options are valid");
}

/// Writes about a MiB for each 16 rounds to a family. Keys repeat.
fn storm(storage: &Storage, family: &str, rounds: u32) {
    for round in 0..rounds {
        for n in 0..64_u32 {
            let mut value = [0; 1000];
            for (place, byte) in (0_u32..).zip(&mut value) {
                *byte = (place * (n + 7 * round + 1)).to_le_bytes()[0];
            }
            let key = (round * 37 + n * 11) % 3000;
            storage
                .put(family, key.to_be_bytes(), value)
                .expect("it writes");
        }
    }
}

/// Waits until RocksDB has nothing to do.
fn rest(storage: &Storage) {
    storage
        .rocks()
        .db
        .wait_for_compact(&WaitForCompactOptions::default())
        .expect("nothing fails");
}

fn number(span: &CapturedSpan, name: &str) -> u64 {
    match span.attribute(name) {
        Some(Value::I64(number)) => u64::try_from(*number).expect("it is not negative"),
        other => panic!("{name} is an integer, not {other:?}"),
    }
}

fn sum(spans: &[&CapturedSpan], name: &str) -> u64 {
    spans.iter().map(|span| number(span, name)).sum()
}

/// The spans of a type of job, of both families.
fn jobs<'a>(spans: &'a Spans, job_type: &str) -> Vec<&'a CapturedSpan> {
    spans
        .iter()
        .filter(|span| span.name().starts_with(job_type))
        .collect()
}

#[test]
fn every_flush_and_compaction_of_a_write_storm_is_a_span_with_its_bytes() {
    let dir = directory();
    let capture = Capture::builder().compact_records().build();
    let storage = open(&capture, dir.path());
    std::thread::scope(|scope| {
        for family in FAMILIES {
            let storage = &storage;
            scope.spawn(move || storm(storage, family, 80));
        }
    });
    storage.flush().expect("it flushes");
    for family in FAMILIES {
        storage.compact(family).expect("it compacts");
    }
    rest(&storage);
    let statistics = storage
        .rocks()
        .statistics
        .as_ref()
        .expect("they are enabled");
    let count = |histogram| statistics.get_histogram_data(histogram).count();
    let (flushes, compactions) = (
        count(Histogram::FlushTime),
        count(Histogram::CompactionTime),
    );
    let flushed = statistics.get_ticker_count(Ticker::FlushWriteBytes);
    let compacted = statistics.get_ticker_count(Ticker::CompactWriteBytes);
    let size = |family| storage.rocks().property(family, LIVE_SST_FILES_SIZE);
    let sizes = FAMILIES.map(|family| size(family).expect("it is known"));
    let events = storage.rocks().events.as_ref().expect("it is writable");
    assert_eq!(events.dropped(), 0);
    drop(storage);

    let spans = capture.spans();
    let flush_spans = jobs(&spans, "rocksdb.flush");
    assert!(flushes > 30, "a storm has many flushes: {flushes}");
    assert_eq!(flush_spans.len() as u64, flushes);
    // The statistics include what the same threads write to the log and the manifest.
    let in_files = sum(&flush_spans, "rocksdb.output.size");
    assert!(
        (flushed * 8 / 10..=flushed).contains(&in_files),
        "{in_files} of {flushed}"
    );
    let (moves, merges): (Vec<_>, Vec<_>) = jobs(&spans, "rocksdb.compaction")
        .into_iter()
        .partition(|span| span.attribute("rocksdb.compaction.move").is_some());
    assert!(compactions > 4, "a storm has compactions: {compactions}");
    assert_eq!(merges.len() as u64, compactions);
    let in_files = sum(&merges, "rocksdb.output.size");
    assert!(
        (compacted * 8 / 10..=compacted).contains(&in_files),
        "{in_files} of {compacted}"
    );
    for span in &moves {
        assert!(number(span, "rocksdb.output.files") > 0);
    }
    // What was written is either in a file or was dropped.
    let dropped = sum(&merges, "rocksdb.dropped.records");
    assert!(dropped > 0, "keys repeat");
    for span in &merges {
        assert_eq!(
            number(span, "rocksdb.input.records"),
            number(span, "rocksdb.output.records") + number(span, "rocksdb.dropped.records")
        );
        assert!(number(span, "rocksdb.input.size") > 0);
        assert!(number(span, "rocksdb.input.files") > 0);
        assert!(number(span, "rocksdb.output.level") >= number(span, "rocksdb.input.level"));
    }
    for (family, size) in FAMILIES.into_iter().zip(sizes) {
        let flush = spans.all(&format!("rocksdb.flush {family}"));
        assert!(!flush.is_empty(), "{family}");
        // Every file of the family was written by a flush or a compaction, and all files but the
        // present ones were read by a compaction.
        let of_family = |span: &&CapturedSpan| span.name().ends_with(family);
        let merges: Vec<_> = merges.iter().copied().filter(of_family).collect();
        assert!(!merges.is_empty(), "{family}");
        assert_eq!(
            sum(&flush, "rocksdb.output.size") + sum(&merges, "rocksdb.output.size"),
            size + sum(&merges, "rocksdb.input.size"),
            "{family}"
        );
        for span in flush {
            assert_eq!(
                span.attribute("db.namespace"),
                Some(&Value::from("library"))
            );
            assert_eq!(span.attribute("job.status"), Some(&Value::from("success")));
            assert!(number(span, "rocksdb.output.records") > 0);
        }
    }
    let reasons = |span: &CapturedSpan| span.attribute("rocksdb.job.reason").cloned();
    let reasons: Vec<_> = spans.iter().filter_map(reasons).collect();
    for reason in [
        "write_buffer_full",
        "level_l0_files_num",
        "manual_compaction",
    ] {
        assert!(reasons.contains(&Value::from(reason)), "{reason}");
    }
    let metrics = capture.metrics();
    let about = |job_type| [("job.type", job_type), ("job.status", "success")];
    assert_eq!(
        metrics.count("job.duration", &about("rocksdb.flush")),
        flushes
    );
    assert_eq!(
        metrics.count("job.duration", &about("rocksdb.compaction")),
        compactions + moves.len() as u64
    );
    assert!(metrics.sum("job.active", &[]).abs() < f64::EPSILON);
    capture.report().assert_clean();
}

#[test]
fn jobs_are_roots_whatever_runs_when_the_store_is_opened() {
    let dir = directory();
    let capture = Capture::new();
    capture.run(|| {
        let _request = info_span!("request").entered();
        let storage = Storage::open(dir.path(), options()).expect("it opens");
        storage.put("articles", "key", "value").expect("it writes");
        storage.flush().expect("it flushes");
    });
    let spans = capture.spans();
    let flush = spans.span("rocksdb.flush articles");
    assert_eq!(flush.data().parent_span_id, SpanId::INVALID);
    assert_span!(spans, "rocksdb.flush articles", kind: Internal, error: false,
        "rocksdb.job.reason" = "manual_flush", "rocksdb.output.level" = 0,
        "rocksdb.output.files" = 1, "rocksdb.output.records" = 1);
    capture.report().assert_clean();
}

#[test]
fn a_read_only_store_has_no_jobs() {
    let dir = directory();
    drop(Storage::open(dir.path(), options()).expect("it opens"));
    let capture = Capture::new();
    capture.run(|| {
        let storage = Storage::open(dir.path(), options().read_only(true)).expect("it opens");
        assert!(storage.rocks().events.is_none());
        storage.get("articles", "key").expect("it reads");
    });
    assert!(jobs(&capture.spans(), "rocksdb.").is_empty());
}

#[test]
fn nothing_is_started_while_nothing_listens() {
    let dir = directory();
    let storage = Storage::open(dir.path(), options()).expect("it opens");
    storage.put("articles", "key", "value").expect("it writes");
    storage.flush().expect("it flushes");
    let events = storage.rocks().events.as_ref().expect("it is writable");
    assert!(!events.sink.has_started());
    assert_eq!(events.dropped(), 0);
}

/// Fills a family with overlapping files, which are compacted once `compact` is called.
fn fill(storage: &Storage) {
    set(
        storage,
        "articles",
        &[
            ("disable_auto_compactions", "true"),
            ("write_buffer_size", "67108864"),
        ],
    );
    for _ in 0..8 {
        storm(storage, "articles", 30);
        storage.flush().expect("it flushes");
    }
}

fn compact(storage: &Storage) {
    set(
        storage,
        "articles",
        &[("disable_auto_compactions", "false")],
    );
}

/// Waits until a compaction runs.
fn wait_for_compaction(capture: &Capture) {
    let begin = Instant::now();
    while capture
        .metrics()
        .sum("job.active", &[("job.type", "rocksdb.compaction")])
        < 0.5
    {
        assert!(begin.elapsed() < Duration::from_secs(30), "none has begun");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_store_can_be_closed_while_a_compaction_runs() {
    let dir = directory();
    let capture = Capture::builder().compact_records().build();
    let storage = open(&capture, dir.path());
    fill(&storage);
    compact(&storage);
    wait_for_compaction(&capture);
    drop(storage);
    let spans = capture.spans();
    let compactions = spans.all("rocksdb.compaction articles");
    assert!(!compactions.is_empty());
    for span in compactions {
        let status = span.attribute("job.status").map(Value::as_str);
        assert!(
            matches!(status.as_deref(), Some("success" | "cancelled")),
            "{status:?}"
        );
    }
    let active = capture.metrics().sum("job.active", &[]);
    assert!(active.abs() < f64::EPSILON, "{active}");
    capture.report().assert_clean();
    // It can be opened again at once.
    Storage::open(dir.path(), options()).expect("it opens");
}

#[test]
fn telemetry_can_be_dropped_while_a_compaction_runs() {
    let dir = directory();
    let capture = Capture::builder().compact_records().build();
    let storage = open(&capture, dir.path());
    fill(&storage);
    compact(&storage);
    wait_for_compaction(&capture);
    drop(capture);
    rest(&storage);
    storage.put("articles", "key", "value").expect("it writes");
    storage.flush().expect("it flushes");
    drop(storage);
    Storage::open(dir.path(), options()).expect("it opens");
}

#[test]
fn a_flush_that_fails_is_a_failed_job() {
    let dir = directory();
    let capture = Capture::new();
    let storage = open(&capture, dir.path());
    storage.put("articles", "key", "value").expect("it writes");
    // RocksDB cannot create a table file where there is a directory.
    for number in 0..100 {
        let file = dir.path().join(format!("{number:06}.sst"));
        std::fs::create_dir(file).expect("there is no file of the name");
    }
    storage.flush().expect_err("no file can be written");
    drop(storage);
    let spans = capture.spans();
    assert_span!(spans, "rocksdb.flush articles", error: true, "job.status" = "failed",
        "error.type" = "IOError", "rocksdb.output.size" = ABSENT);
    capture.report().assert_clean();
}

/// The start and the end of a span.
fn times(span: &CapturedSpan) -> (SystemTime, SystemTime) {
    (span.data().start_time, span.data().end_time)
}

/// Opens a store inside the capture whose writes have RocksDB's counters. Writes to the families stall after
/// a few files.
fn open_stalling(capture: &Capture, dir: &std::path::Path, families: &[&str]) -> Storage {
    let storage = capture.run(|| {
        let options = options().perf_context(true);
        Storage::open(dir, options).expect("it opens")
    });
    for family in families {
        set(
            &storage,
            family,
            &[
                ("write_buffer_size", "262144"),
                ("level0_file_num_compaction_trigger", "2"),
                ("level0_slowdown_writes_trigger", "2"),
                ("level0_stop_writes_trigger", "3"),
            ],
        );
    }
    storage
}

/// Whether a write has waited. One that only looks whether it has to wait is measured too: RocksDB waits 1 ms
/// or more.
fn has_waited(span: &CapturedSpan) -> bool {
    span.attribute("rocksdb.write.stalled_ns").is_some()
        && number(span, "rocksdb.write.stalled_ns") > 500_000
}

/// Asserts that the links of writes lead to spans of stalls, that each write that waited has one and no
/// other has any. Returns the names of the stalls by the name of the write.
fn assert_links(spans: &Spans) -> BTreeSet<(String, String)> {
    let id = |span: &CapturedSpan| (span.trace_id(), span.id());
    let stalls: HashMap<_, _> = jobs(spans, "rocksdb.stall")
        .into_iter()
        .map(|stall| (id(stall), stall.name()))
        .collect();
    let mut found = BTreeSet::new();
    for put in jobs(spans, "put ") {
        let links = put.links();
        if has_waited(put) {
            assert!(!links.is_empty(), "{} waited", put.name());
        }
        let counted = put.attribute("rocksdb.write.stalled_ns").is_some();
        assert!(counted || links.is_empty(), "{} did not wait", put.name());
        for link in &links {
            let stall = stalls.get(link);
            let stall = stall.unwrap_or_else(|| panic!("{link:?} is the span of a stall"));
            found.insert((put.name().to_owned(), (*stall).to_owned()));
        }
    }
    found
}

#[test]
fn a_write_links_to_the_stall_that_it_waited_for_also_of_another_family() {
    let dir = directory();
    let capture = Capture::builder().compact_records().build();
    let storage = open_stalling(&capture, dir.path(), &["articles"]);
    std::thread::scope(|scope| {
        for family in FAMILIES {
            let (storage, capture) = (&storage, &capture);
            scope.spawn(move || capture.run(|| storm(storage, family, 100)));
        }
    });
    rest(&storage);
    drop(storage);
    let found = assert_links(&capture.spans());
    for family in FAMILIES {
        let link = (format!("put {family}"), "rocksdb.stall articles".to_owned());
        assert!(found.contains(&link), "{link:?} in {found:?}");
    }
    capture.report().assert_clean();
}

#[test]
fn writes_link_to_the_stalls_of_two_families() {
    let dir = directory();
    let capture = Capture::builder().compact_records().build();
    let storage = open_stalling(&capture, dir.path(), &FAMILIES);
    capture.run(|| {
        for _ in 0..5 {
            for family in FAMILIES {
                storm(&storage, family, 10);
            }
        }
    });
    rest(&storage);
    drop(storage);
    let found = assert_links(&capture.spans());
    for family in FAMILIES {
        let stall = format!("rocksdb.stall {family}");
        assert!(
            found.iter().any(|(_, linked)| *linked == stall),
            "{found:?}"
        );
    }
    capture.report().assert_clean();
}

#[test]
fn a_stall_is_recorded_if_a_sampled_write_links_to_it() {
    let dir = directory();
    // Of what starts in this process nothing is sampled.
    let capture = Capture::builder()
        .compact_records()
        .sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .build();
    let storage = open_stalling(&capture, dir.path(), &["articles"]);
    capture.run(|| {
        storm(&storage, "articles", 50);
        let request = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = request.parse().expect("it is a trace context");
        let _request = attach_trace_context(Some(request));
        storm(&storage, "articles", 50);
    });
    rest(&storage);
    drop(storage);
    let spans = capture.spans();
    assert!(!assert_links(&spans).is_empty());
    let stalls = jobs(&spans, "rocksdb.stall");
    let linked: BTreeSet<_> = jobs(&spans, "put ")
        .iter()
        .flat_map(|put| put.links())
        .map(|(trace, span)| (trace.to_bytes(), span.to_bytes()))
        .collect();
    assert_eq!(stalls.len(), linked.len(), "no other stall has a span");
    assert!(jobs(&spans, "rocksdb.flush").is_empty());
    let about = [("job.type", "rocksdb.stall")];
    let all = capture.metrics().count("job.duration", &about);
    assert!(all > stalls.len() as u64, "each of the {all} is measured");
    capture.report().assert_clean();
}

#[test]
fn a_stall_whose_event_has_no_place_has_no_links() {
    let sink = Sink::new(std::path::PathBuf::new(), "library".to_owned());
    let received = sink.queue_without_thread(1);
    let family = || FamilyName::new(b"articles");
    let changes = [Condition::Delayed, Condition::Stopped];
    let begin = Instant::now();
    for (place, to) in changes.into_iter().enumerate() {
        let at = begin + Duration::from_secs(place as u64);
        let from = if place == 0 {
            Condition::Stopped
        } else {
            Condition::Delayed
        };
        sink.stall_changed(family(), at, (from, to), None);
    }
    assert_eq!(sink.dropped(), 1);
    let links: Vec<_> = sink
        .waits
        .since(begin)
        .iter()
        .map(LinkTarget::link)
        .collect();
    assert!(matches!(&links[..], [Some(_), None]), "{links:?}");
    drop(received);
}

#[test]
fn a_write_that_waits_for_a_stall_has_its_time_and_the_stall_is_a_span() {
    let dir = directory();
    let capture = Capture::builder().compact_records().build();
    let storage = open_stalling(&capture, dir.path(), &["articles"]);
    storage.register_metrics(capture.meter_provider());
    capture.run(|| storm(&storage, "articles", 100));
    rest(&storage);
    let statistics = storage
        .rocks()
        .statistics
        .as_ref()
        .expect("they are enabled");
    let waited = statistics.get_ticker_count(Ticker::StallMicros);
    let exported = capture.metrics().sum("rocksdb.write.stalled", &[]);
    drop(storage);
    assert!(waited > 0, "the storm is stalled");
    let waited = Duration::from_micros(waited).as_secs_f64();
    assert!((exported - waited).abs() < 1e-6, "{exported} of {waited} s");

    let spans = capture.spans();
    let stalls = spans.all("rocksdb.stall articles");
    assert!(!stalls.is_empty());
    for stall in &stalls {
        let condition = stall
            .attribute("rocksdb.stall.condition")
            .map(Value::as_str);
        assert!(
            matches!(condition.as_deref(), Some("delayed" | "stopped")),
            "{condition:?}"
        );
    }
    // One thread writes, so the waits of its writes are those of the statistics.
    let puts = spans.all("put articles");
    let waits: Vec<_> = puts.iter().filter(|put| has_waited(put)).copied().collect();
    assert!(!waits.is_empty() && waits.len() < puts.len());
    // On an idle machine many waits for a flush are shorter than that, so all are compared.
    let is_counted = |span: &&&CapturedSpan| span.attribute("rocksdb.write.stalled_ns").is_some();
    let counted: Vec<_> = puts.iter().filter(is_counted).copied().collect();
    let seconds = Duration::from_nanos(sum(&counted, "rocksdb.write.stalled_ns")).as_secs_f64();
    let nanos = sum(&waits, "rocksdb.write.stalled_ns");
    assert!(
        (seconds - waited).abs() < 0.1 * waited,
        "{seconds} of {waited} s"
    );
    // They wait while there is a stall. RocksDB reports some stalls a little late.
    let is_during_a_stall = |wait: &&CapturedSpan| {
        let (begin, end) = times(wait);
        let stalls = stalls.iter().map(|stall| times(stall));
        stalls
            .into_iter()
            .any(|(from, to)| from <= end && begin <= to)
    };
    let during: Vec<_> = waits.into_iter().filter(is_during_a_stall).collect();
    let during = sum(&during, "rocksdb.write.stalled_ns");
    assert!(during > nanos / 10 * 8, "{during} of {nanos} ns");
    let link = (
        "put articles".to_owned(),
        "rocksdb.stall articles".to_owned(),
    );
    assert_eq!(assert_links(&spans), BTreeSet::from([link]));
    assert!(capture.metrics().sum("job.active", &[]).abs() < f64::EPSILON);
    capture.report().assert_clean();
}

#[test]
fn an_ingested_file_is_a_job() {
    let dir = directory();
    let capture = Capture::new();
    let storage = open(&capture, &dir.path().join("store"));
    let file = dir.path().join("external.sst");
    let writer_options = rocksdb::Options::default();
    let mut writer = SstFileWriter::create(&writer_options);
    writer.open(&file).expect("it can be created");
    for key in 0..10_u8 {
        writer.put([key], [0; 100]).expect("it writes");
    }
    writer.finish().expect("it is complete");
    let size = std::fs::metadata(&file).expect("it is there").len();
    let articles = storage.rocks().db.cf_handle("articles").expect("it exists");
    storage
        .rocks()
        .db
        .ingest_external_file_cf_opts(
            &articles,
            &IngestExternalFileOptions::default(),
            vec![&file],
        )
        .expect("it is ingested");
    drop(articles);
    drop(storage);
    let spans = capture.spans();
    assert_span!(spans, "rocksdb.ingestion articles", error: false, "job.status" = "success",
        "rocksdb.output.files" = 1, "rocksdb.output.records" = 10);
    let span = spans.span("rocksdb.ingestion articles");
    assert_eq!(number(span, "rocksdb.output.size"), size);
    capture.report().assert_clean();
}

fn event(job: i32, what: What) -> Event {
    Event {
        family: FamilyName::new(b"articles"),
        at: Instant::now(),
        job,
        what,
    }
}

fn recorded(events: Vec<Event>) -> (Spans, f64) {
    let capture = Capture::new();
    capture.run(|| {
        let (sender, receiver) = sync_channel(events.len() + 1);
        for event in events {
            sender.send(event).expect("there is a place for each");
        }
        drop(sender);
        Recorder::new("library".to_owned(), std::path::PathBuf::new()).run(&receiver);
    });
    let active = capture.metrics().sum("job.active", &[]);
    capture.report().assert_clean();
    (capture.spans(), active)
}

const RESULT: CompactionResult = CompactionResult {
    input_files: 4,
    output_files: 2,
    input_bytes: 4000,
    output_bytes: 3000,
    input_records: 40,
    output_records: 30,
    is_move: false,
};

const COMPACTION: What = What::CompactionBegan {
    reason: 1,
    input_level: 0,
    output_level: 1,
};

fn flush() -> What {
    What::FlushBegan {
        reason: 6,
        thread: ThreadMark::current(),
    }
}

#[test]
fn a_job_without_an_end_is_cancelled_when_the_store_is_closed() {
    let (spans, active) = recorded(vec![
        event(1, flush()),
        event(2, COMPACTION),
        event(0, What::Closed),
        event(3, COMPACTION),
    ]);
    assert_eq!(spans.iter().count(), 2, "nothing is recorded afterwards");
    for name in ["rocksdb.flush articles", "rocksdb.compaction articles"] {
        assert_span!(spans, name, error: false, "job.status" = "cancelled");
    }
    assert!(active.abs() < f64::EPSILON);
}

#[test]
fn an_end_without_a_begin_is_no_job() {
    let ended = |job| {
        event(
            job,
            What::CompactionEnded {
                code: None,
                result: RESULT,
            },
        )
    };
    let (spans, active) = recorded(vec![
        ended(1),
        event(
            2,
            What::FlushEnded {
                file: FileSize::Bytes(1),
                records: 1,
            },
        ),
        event(
            0,
            What::Failed {
                thread: ThreadMark::current(),
                code: StatusCode::IoError,
            },
        ),
    ]);
    assert_eq!(spans.iter().count(), 0);
    assert!(active.abs() < f64::EPSILON);
}

#[test]
fn the_result_of_a_compaction_is_on_its_span() {
    let ended = |job, code, result| event(job, What::CompactionEnded { code, result });
    let moved = CompactionResult {
        is_move: true,
        ..RESULT
    };
    let (spans, _) = recorded(vec![
        event(1, COMPACTION),
        ended(1, None, RESULT),
        event(2, COMPACTION),
        ended(2, Some(StatusCode::Corruption), RESULT),
        event(3, COMPACTION),
        ended(3, Some(StatusCode::ShutdownInProgress), RESULT),
        event(4, COMPACTION),
        ended(4, None, moved),
    ]);
    let all = spans.all("rocksdb.compaction articles");
    let of = |job: i64| {
        let job = Value::I64(job);
        all.iter()
            .find(|span| span.attribute("rocksdb.job.id") == Some(&job))
            .expect("each job is recorded")
    };
    let status = |job| of(job).attribute("job.status").cloned();
    assert_eq!(status(1), Some(Value::from("success")));
    assert_eq!(number(of(1), "rocksdb.dropped.records"), 10);
    assert_eq!(status(2), Some(Value::from("failed")));
    assert_eq!(
        of(2).attribute("error.type"),
        Some(&Value::from("Corruption"))
    );
    assert_eq!(status(3), Some(Value::from("cancelled")));
    assert_eq!(
        of(4).attribute("rocksdb.compaction.move"),
        Some(&Value::Bool(true))
    );
    assert_eq!(of(4).attribute("rocksdb.input.size"), None);
}

fn stall(at: Instant, from: Condition, to: Condition) -> Event {
    let cause = Some(StallCause::MemoryTables);
    Event {
        family: FamilyName::new(b"articles"),
        at,
        job: 0,
        what: What::StallChanged {
            from,
            to,
            cause,
            span: None,
        },
    }
}

#[test]
fn a_stall_is_recorded_whichever_of_its_events_comes_first() {
    use Condition::{Delayed, Normal, Stopped};
    let begin = Instant::now();
    let after = |seconds| begin + Duration::from_secs(seconds);
    // The end of the first stall arrives before its begin. The second one changes its condition.
    let (spans, active) = recorded(vec![
        stall(after(10), Stopped, Normal),
        stall(begin, Normal, Stopped),
        stall(after(20), Normal, Delayed),
        stall(after(22), Delayed, Stopped),
        stall(after(25), Stopped, Normal),
    ]);
    let stalls = spans.all("rocksdb.stall articles");
    let found: Vec<_> = stalls
        .iter()
        .map(|span| {
            assert_eq!(
                span.attribute("rocksdb.job.reason"),
                Some(&Value::from("memtable_limit"))
            );
            let condition = span.attribute("rocksdb.stall.condition").cloned();
            (
                condition.expect("it has one").as_str().into_owned(),
                number(span, "job.duration_ms"),
            )
        })
        .collect();
    let expected = [("stopped", 10_000), ("delayed", 2_000), ("stopped", 3_000)];
    let expected = expected.map(|(condition, millis)| (condition.to_owned(), millis));
    assert_eq!(found, expected);
    assert!(active.abs() < f64::EPSILON);
}

#[test]
fn a_stall_of_a_store_that_is_closed_is_cancelled() {
    let begin = Instant::now();
    let (spans, active) = recorded(vec![
        // The end of one that began before anything listened.
        stall(begin, Condition::Stopped, Condition::Normal),
        stall(
            begin + Duration::from_millis(10),
            Condition::Normal,
            Condition::Delayed,
        ),
        event(0, What::Closed),
    ]);
    assert_span!(spans, "rocksdb.stall articles", error: false, "job.status" = "cancelled",
        "rocksdb.stall.condition" = "delayed");
    assert!(active.abs() < f64::EPSILON);
}

#[test]
fn jobs_that_never_end_do_not_pile_up() {
    let (spans, active) = recorded((0..200).map(|job| event(job, flush())).collect());
    assert_eq!(spans.all("rocksdb.flush articles").len(), 200);
    assert!(active.abs() < f64::EPSILON);
}

#[test]
fn events_that_have_no_place_are_counted() {
    let sink = Sink::new(std::path::PathBuf::new(), "library".to_owned());
    sink.ended(|| unreachable!("no begin was passed on"));
    // Nothing reads the queue, so two have a place.
    let received = sink.queue_without_thread(2);
    for job in 0..5 {
        sink.ended(|| event(job, flush()));
    }
    assert_eq!(sink.dropped(), 3);
    drop(received);
    sink.ended(|| event(5, flush()));
    assert_eq!(sink.dropped(), 4, "the thread has ended");
}
