//! Damage of logs: every flipped bit, every length, zeros, garbage, and missing files.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::storage::{Storage, StorageOptions};

/// The number of records in the log of [`written`].
const RECORDS: u32 = 12;

fn key(number: u32) -> String {
    format!("key-{number}")
}

/// Creates a database whose log has a few records. Returns the path and the name of the log.
fn written() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).unwrap();
    for number in 0..RECORDS {
        let value = [b'v'; 20];
        storage.put("meta", key(number), value).unwrap();
    }
    drop(storage);
    let log = logs(dir.path()).pop().unwrap();
    (dir, log)
}

fn logs(path: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

fn open(path: &Path) -> Result<Storage, OpenError> {
    Storage::open(path, StorageOptions::new())
}

/// Opens a copy of the database with this log, in at most ten seconds. Returns the number of the
/// records that it has.
fn records_with(from: &Path, log: &Path, bytes: &[u8]) -> Result<u32, OpenError> {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    fs::write(copy.path().join(log.file_name().unwrap()), bytes).unwrap();
    let (sender, opened) = mpsc::channel();
    let path = copy.path().to_owned();
    std::thread::spawn(move || sender.send(open(&path)));
    let storage = opened
        .recv_timeout(Duration::from_secs(10))
        .expect("open should return")?;
    let has = |number: &u32| storage.get("meta", key(*number)).unwrap().is_some();
    let found = (0..RECORDS).take_while(has).count();
    // Records after a missing one are missing too.
    assert_eq!((0..RECORDS).filter(has).count(), found);
    Ok(u32::try_from(found).unwrap())
}

/// Returns the places of the records of a log.
fn places(log: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < log.len() {
        places.push(at);
        at += HEADER + usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
    }
    places
}

#[test]
fn no_flipped_bit_is_silent() {
    let (dir, log) = written();
    let bytes = fs::read(&log).unwrap();
    let places = places(&bytes);
    let (first, middle, last) = (
        places[0],
        places[RECORDS as usize / 2],
        places[places.len() - 1],
    );
    for record in [first, middle, last] {
        // The header, and the first bytes of the data.
        for at in record..record + HEADER + 3 {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let opened = records_with(dir.path(), &log, &damaged);
                let place = format!("byte {} of the record at {record}, bit {bit}", at - record);
                match opened {
                    Err(OpenError::Corrupt { .. } | OpenError::DamagedLog { .. }) => {}
                    Err(error) => panic!("{place}: {error:?}"),
                    Ok(records) => panic!("{place}: opened with {records} records"),
                }
            }
        }
    }
}

#[test]
fn a_log_that_a_crash_cut_opens_with_the_records_before() {
    let (dir, log) = written();
    let bytes = fs::read(&log).unwrap();
    let places = places(&bytes);
    // The log begins with the records of the creation of the database.
    let before = places.len() - RECORDS as usize;
    for length in places[before]..=bytes.len() {
        let complete = places
            .iter()
            .skip(before + 1)
            .filter(|place| **place <= length);
        let expected = complete.count() + usize::from(length == bytes.len());
        let found = records_with(dir.path(), &log, &bytes[..length]).unwrap();
        assert_eq!(found as usize, expected, "cut after {length} bytes");
    }
    for zeros in [1, 6, 7, 8, 100, 2 * BLOCK] {
        let padded = [&bytes[..], &vec![0; zeros]].concat();
        let found = records_with(dir.path(), &log, &padded).unwrap();
        assert_eq!(found, RECORDS, "{zeros} zeros at the end");
    }
}

#[test]
fn garbage_and_zeros_do_not_make_open_hang_or_forget() {
    let (dir, log) = written();
    let bytes = fs::read(&log).unwrap();
    for kind in (0..=12).chain(127..=132).chain([u8::MAX]) {
        let garbage = [&bytes[..], &[1, 2, 3, 4, 5, 0, kind]].concat();
        match records_with(dir.path(), &log, &garbage) {
            // An incomplete record, as after a crash.
            Ok(found) => assert_eq!(found, RECORDS, "type {kind}"),
            Err(OpenError::Corrupt { .. } | OpenError::DamagedLog { .. }) => {}
            Err(error) => panic!("type {kind}: {error:?}"),
        }
    }
    let middle = places(&bytes)[RECORDS as usize / 2];
    let mut damaged = bytes.clone();
    damaged[middle..middle + 40].fill(0);
    let error = records_with(dir.path(), &log, &damaged).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(&error, OpenError::DamagedLog { offset, .. } if *offset == middle as u64),
        "{error:?}"
    );
    assert!(text.contains(".log") && text.contains("backup"), "{text}");
    assert!(!text.contains("key-"), "{text}");
}

#[test]
fn zeros_in_an_earlier_block_are_damage() {
    let record = |kind: u8, length: usize| {
        let mut bytes = vec![0; HEADER + length];
        bytes[4..6].copy_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
        bytes[6] = kind;
        bytes[HEADER..].fill(1);
        bytes
    };
    let check = |log: Vec<u8>| {
        let mut blocks = log.chunks(BLOCK);
        damage(|block| {
            *block = blocks.next().unwrap_or_default().to_vec();
            Ok(())
        })
        .unwrap()
    };
    let block = record(2, BLOCK - HEADER);
    let whole = [block.clone(), record(4, 100)].concat();
    assert_eq!(check(whole), None);
    let mut zeroed = [record(1, 100), vec![0; BLOCK - 107]].concat();
    assert_eq!(check(zeroed.clone()), None);
    zeroed.extend(record(1, 100));
    assert_eq!(check(zeroed), Some((107, ZEROS)));
    let reused = [block, record(8, 100)].concat();
    assert_eq!(check(reused).map(|(offset, _)| offset), Some(BLOCK as u64));
}

#[test]
fn a_deleted_log_is_an_error() {
    let (dir, log) = written();
    fs::remove_file(&log).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::MissingLog { .. }), "{error:?}");
    let error = Storage::open(dir.path(), StorageOptions::new().read_only(true)).unwrap_err();
    assert!(matches!(error, OpenError::MissingLog { .. }), "{error:?}");
}

#[test]
fn a_deleted_log_that_another_one_follows_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let options = || {
        StorageOptions::new()
            .column_family("a")
            .column_family("b")
            .sync(true)
    };
    let storage = Storage::open(dir.path(), options()).unwrap();
    for number in 0..3 {
        storage.put("a", key(number), b"a").unwrap();
        storage.put("b", key(number), b"b").unwrap();
        // Begins a new log. The data of the other family keeps the old one.
        let family = storage.rocks().family("b").unwrap();
        storage.rocks().db.flush_cf(&*family).unwrap();
    }
    storage.flush_wal(true).unwrap();
    drop(storage);
    let logs = logs(dir.path());
    assert!(logs.len() > 1, "{logs:?}");
    fs::remove_file(&logs[0]).unwrap();
    match Storage::open(dir.path(), options()) {
        Ok(storage) => panic!("opened with {:?}", storage.get("a", key(0))),
        Err(error) => assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}"),
    }
}

#[test]
fn a_checkpoint_opens() {
    let (dir, _) = written();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy");
    open(dir.path()).unwrap().checkpoint(&copy).unwrap();
    let storage = open(&copy).unwrap();
    assert!(storage.get("meta", key(0)).unwrap().is_some());
}
