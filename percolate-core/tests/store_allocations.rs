//! What the store allocates, with nothing installed: a read its value and no more, a write nothing. The allocator of
//! this binary counts by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use percolate_core::storage::{Storage, StorageOptions};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local without a destructor.
#[expect(unsafe_code, reason = "counting allocations takes an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of one more `body`, once everything that is made but once was made.
fn allocations<T>(mut body: impl FnMut() -> T) -> u64 {
    for _ in 0..10 {
        drop(body());
    }
    let before = COUNT.get();
    let value = body();
    let counted = COUNT.get() - before;
    drop(value);
    counted
}

#[test]
fn a_read_allocates_its_value_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path(), StorageOptions::new().column_family("articles")).unwrap();
    storage.put("articles", "percolate", "a way through").unwrap();
    assert_eq!(allocations(|| storage.get("articles", "percolate").unwrap()), 1);
    assert_eq!(allocations(|| storage.get("articles", "absent").unwrap()), 0);
}

#[test]
fn a_write_allocates_nothing_here() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path(), StorageOptions::new().column_family("articles")).unwrap();
    assert_eq!(allocations(|| storage.put("articles", "percolate", "a way through").unwrap()), 0);
}
