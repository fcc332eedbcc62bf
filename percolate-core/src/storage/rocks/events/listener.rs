//! RocksDB's event listener, through its C interface: the `rocksdb` crate has none.
//!
//! The callbacks run on RocksDB's threads, and some on the thread of a write. They read numbers and
//! pass them on. They never wait, never call into the database, and never unwind into C++.
#![expect(unsafe_code, reason = "the C interface passes pointers")]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use librocksdb_sys as ffi;
use rocksdb::{AsRawPtr as _, Options};

use super::event::{
    CompactionResult, Condition, Event, FamilyName, FileSize, StallCause, ThreadMark, What,
};
use super::sink::Sink;
use crate::storage::StatusCode;

/// Adds a listener to the options that passes events to `sink`. RocksDB owns it, and drops it with
/// the options and the database.
pub(super) fn listen(options: &mut Options, sink: Arc<Sink>) {
    let state = Arc::into_raw(sink).cast_mut().cast::<c_void>();
    // SAFETY: `state` is a reference of the `Arc`, which `drop_sink` releases. RocksDB calls
    // `drop_sink` once, when it destroys the listener, and no other callback after it. All callbacks
    // are set, because RocksDB calls them without checking. `options` is valid for the call, and its
    // list of listeners takes ownership of the listener.
    unsafe {
        let listener = ffi::rocksdb_eventlistener_create(
            state,
            Some(drop_sink),
            Some(flush_began),
            Some(flush_ended),
            Some(compaction_began),
            Some(compaction_ended),
            Some(subcompaction),
            Some(subcompaction),
            Some(ingested),
            Some(background_error),
            Some(stall_changed),
            Some(memtable_sealed),
        );
        ffi::rocksdb_options_add_eventlistener(options.as_raw_ptr(), listener);
    }
}

unsafe extern "C" fn drop_sink(state: *mut c_void) {
    // SAFETY: the pointer is that of `Arc::into_raw` in `listen`, and is used for the last time.
    let sink = unsafe { Arc::from_raw(state.cast_const().cast::<Sink>()) };
    guarded(|| drop(sink));
}

/// Calls `body` with the sink. A panic ends here: it must not reach C++.
///
/// # Safety
/// `state` must be the pointer of `listen`, and RocksDB must not have dropped the listener.
unsafe fn with_sink(state: *mut c_void, body: impl FnOnce(&Sink)) {
    // SAFETY: required of the caller. The reference does not outlive the callback.
    let sink = unsafe { &*state.cast_const().cast::<Sink>() };
    guarded(|| body(sink));
}

fn guarded(body: impl FnOnce()) {
    // Nothing in the sink is left in a state that another callback could not continue from.
    _ = catch_unwind(AssertUnwindSafe(body));
}

/// Reads a name that RocksDB returns with its length.
///
/// # Safety
/// `get` must return a pointer to as many bytes as it stores in its argument, valid for the callback.
unsafe fn name(get: impl FnOnce(*mut usize) -> *const c_char) -> FamilyName {
    let mut length = 0;
    let bytes = get(&raw mut length);
    if bytes.is_null() {
        return FamilyName::new(b"");
    }
    // SAFETY: required of the caller; the bytes are copied.
    FamilyName::new(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) })
}

/// Reads the code of a status, `None` if it is a success.
///
/// # Safety
/// `save` must store null or a string that RocksDB has allocated.
unsafe fn code(save: impl FnOnce(*mut *mut c_char)) -> Option<StatusCode> {
    let mut message = std::ptr::null_mut();
    save(&raw mut message);
    if message.is_null() {
        return None;
    }
    // SAFETY: the string ends with a zero byte and is this function's to free.
    let code = unsafe {
        let code = StatusCode::of_message(std::ffi::CStr::from_ptr(message).to_bytes());
        ffi::rocksdb_free(message.cast());
        code
    };
    Some(code)
}

unsafe extern "C" fn flush_began(
    state: *mut c_void,
    _: *mut ffi::rocksdb_t,
    info: *const ffi::rocksdb_flushjobinfo_t,
) {
    let at = Instant::now();
    // SAFETY: RocksDB calls back with the listener's state, and with information that is valid for
    // the callback.
    unsafe {
        with_sink(state, |sink| {
            sink.began(|| Event {
                family: name(|length| ffi::rocksdb_flushjobinfo_cf_name(info, length)),
                at,
                job: ffi::rocksdb_flushjobinfo_job_id(info),
                what: What::FlushBegan {
                    reason: ffi::rocksdb_flushjobinfo_flush_reason(info),
                    thread: ThreadMark::current(),
                },
            });
        });
    }
}

unsafe extern "C" fn flush_ended(
    state: *mut c_void,
    _: *mut ffi::rocksdb_t,
    info: *const ffi::rocksdb_flushjobinfo_t,
) {
    let at = Instant::now();
    // SAFETY: as in `flush_began`. The properties are a part of the information.
    unsafe {
        let slows_writes = ffi::rocksdb_flushjobinfo_triggered_writes_slowdown(info) != 0
            || ffi::rocksdb_flushjobinfo_triggered_writes_stop(info) != 0;
        before(if slows_writes {
            Before::Flushed(at)
        } else {
            Before::Nothing
        });
        with_sink(state, |sink| {
            sink.ended(|| {
                let properties = ffi::rocksdb_flushjobinfo_table_properties(info);
                let records = ffi::rocksdb_table_properties_num_entries(properties);
                let number = ffi::rocksdb_flushjobinfo_file_number(info);
                // RocksDB has just written the file on this thread, and holds no lock. A compaction
                // may delete the file before another thread reads its size.
                let file = match sink.file_size(number) {
                    FileSize::Unknown if records == 0 => FileSize::NoFile,
                    size => size,
                };
                Event {
                    family: name(|length| ffi::rocksdb_flushjobinfo_cf_name(info, length)),
                    at,
                    job: ffi::rocksdb_flushjobinfo_job_id(info),
                    what: What::FlushEnded { file, records },
                }
            });
        });
    }
}

unsafe extern "C" fn compaction_began(
    state: *mut c_void,
    _: *mut ffi::rocksdb_t,
    info: *const ffi::rocksdb_compactionjobinfo_t,
) {
    let at = Instant::now();
    // SAFETY: as in `flush_began`.
    unsafe {
        with_sink(state, |sink| {
            sink.began(|| Event {
                family: name(|length| ffi::rocksdb_compactionjobinfo_cf_name(info, length)),
                at,
                job: ffi::rocksdb_compactionjobinfo_job_id(info),
                what: What::CompactionBegan {
                    reason: ffi::rocksdb_compactionjobinfo_compaction_reason(info),
                    input_level: ffi::rocksdb_compactionjobinfo_base_input_level(info),
                    output_level: ffi::rocksdb_compactionjobinfo_output_level(info),
                },
            });
        });
    }
}

unsafe extern "C" fn compaction_ended(
    state: *mut c_void,
    _: *mut ffi::rocksdb_t,
    info: *const ffi::rocksdb_compactionjobinfo_t,
) {
    let at = Instant::now();
    // SAFETY: as in `flush_began`. The statistics are a part of the information.
    unsafe {
        with_sink(state, |sink| {
            sink.ended(|| {
                let stats = ffi::rocksdb_compactionjobinfo_stats(info);
                let moved =
                    ffi::rocksdb_compaction_job_stats_num_input_files_trivially_moved(stats);
                Event {
                    family: name(|length| ffi::rocksdb_compactionjobinfo_cf_name(info, length)),
                    at,
                    job: ffi::rocksdb_compactionjobinfo_job_id(info),
                    what: What::CompactionEnded {
                        code: code(|message| ffi::rocksdb_compactionjobinfo_status(info, message)),
                        result: CompactionResult {
                            input_files: ffi::rocksdb_compactionjobinfo_input_files_count(info),
                            output_files: ffi::rocksdb_compactionjobinfo_output_files_count(info),
                            input_bytes: ffi::rocksdb_compactionjobinfo_total_input_bytes(info),
                            output_bytes: ffi::rocksdb_compactionjobinfo_total_output_bytes(info),
                            input_records: ffi::rocksdb_compactionjobinfo_input_records(info),
                            output_records: ffi::rocksdb_compactionjobinfo_output_records(info),
                            is_move: moved > 0,
                        },
                    },
                }
            });
        });
    }
}

unsafe extern "C" fn subcompaction(_: *mut c_void, _: *const ffi::rocksdb_subcompactionjobinfo_t) {}

unsafe extern "C" fn ingested(
    state: *mut c_void,
    _: *mut ffi::rocksdb_t,
    info: *const ffi::rocksdb_externalfileingestioninfo_t,
) {
    let at = Instant::now();
    // SAFETY: as in `flush_began`. The properties are a part of the information.
    unsafe {
        with_sink(state, |sink| {
            sink.began(|| {
                let properties = ffi::rocksdb_externalfileingestioninfo_table_properties(info);
                let path = name(|length| {
                    ffi::rocksdb_externalfileingestioninfo_internal_file_path(info, length)
                });
                Event {
                    family: name(|length| {
                        ffi::rocksdb_externalfileingestioninfo_cf_name(info, length)
                    }),
                    at,
                    job: 0,
                    what: What::Ingested {
                        file: file_number(path.as_str()),
                        records: ffi::rocksdb_table_properties_num_entries(properties),
                    },
                }
            });
        });
    }
}

/// Returns the number of a table file, `…/000123.sst`.
fn file_number(path: &str) -> u64 {
    let file = path.rsplit('/').next().unwrap_or(path);
    let number = file.split('.').next().unwrap_or(file);
    number.parse().unwrap_or(0)
}

unsafe extern "C" fn background_error(
    state: *mut c_void,
    _: u32,
    status: *mut ffi::rocksdb_status_ptr_t,
) {
    let at = Instant::now();
    // SAFETY: as in `flush_began`.
    unsafe {
        with_sink(state, |sink| {
            sink.ended(|| Event {
                family: FamilyName::new(b""),
                at,
                job: 0,
                what: What::Failed {
                    thread: ThreadMark::current(),
                    code: code(|message| ffi::rocksdb_status_ptr_get_error(status, message))
                        .unwrap_or(StatusCode::Unknown),
                },
            });
        });
    }
}

/// What happened on this thread before RocksDB reports a stall.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// A write has sealed a memory table. RocksDB reports a stall that begins so when the write ends,
    /// which is after it has waited.
    Sealed(Instant),
    /// A flush has added a file to a level that has too many. RocksDB reports the stall after it has
    /// tidied up.
    Flushed(Instant),
}

thread_local! {
    static BEFORE: Cell<Before> = const { Cell::new(Before::Nothing) };
}

fn before(before: Before) {
    _ = BEFORE.try_with(|place| place.set(before));
}

unsafe extern "C" fn stall_changed(state: *mut c_void, info: *const ffi::rocksdb_writestallinfo_t) {
    let now = Instant::now();
    let before = BEFORE.try_with(|place| place.replace(Before::Nothing));
    // SAFETY: as in `flush_began`. The C interface returns pointers to the conditions, which are
    // numbers of an `enum class` without another type, so of the type `int`, and has no function
    // that reads them.
    unsafe {
        let condition = |pointer: *const ffi::rocksdb_writestallcondition_t| {
            Condition::of(*pointer.cast::<c_int>())
        };
        let from = condition(ffi::rocksdb_writestallinfo_prev(info));
        let to = condition(ffi::rocksdb_writestallinfo_cur(info));
        let (at, cause) = match before {
            Ok(Before::Sealed(time)) => (time, Some(StallCause::MemoryTables)),
            Ok(Before::Flushed(time)) => (time, Some(StallCause::LevelZeroFiles)),
            _ => (now, None),
        };
        with_sink(state, |sink| {
            let family = name(|length| ffi::rocksdb_writestallinfo_cf_name(info, length));
            sink.stall_changed(family, at, (from, to), cause);
        });
    }
}

unsafe extern "C" fn memtable_sealed(_: *mut c_void, _: *const ffi::rocksdb_memtableinfo_t) {
    before(Before::Sealed(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::file_number;

    #[test]
    fn the_number_of_a_table_file_is_read_from_its_path() {
        assert_eq!(file_number("/data/shop/000123.sst"), 123);
        assert_eq!(file_number("1234567.sst"), 1_234_567);
        assert_eq!(file_number("/data/shop.d/other"), 0);
    }
}
