//! What the values of a span meant, as bits: values are read when they are recorded and are not
//! kept.

/// Facts about the values of a span, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u64);

/// Defines constants with one bit each.
macro_rules! flags {
    ($($name:ident)*) => {
        flags!(@ 0; $($name)*);
    };
    (@ $bit:expr; $name:ident $($rest:ident)*) => {
        pub(crate) const $name: Flags = Flags(1 << $bit);
        flags!(@ $bit + 1; $($rest)*);
    };
    (@ $bit:expr;) => {};
}

impl Flags {
    flags! {
        STATUS_ERROR STATUS_OK STATUS_ODD ERROR_EVENT
        KIND_RIGHT KIND_INTERNAL KIND_OTHER KIND_ODD KIND_LATE
        NAME_LATE NAME_MISMATCH NAME_LONG NAME_CHANGING
        NEEDS_COLLECTION SINGLE BATCH
        BATCH_ONE BATCH_NEGATIVE
        EMBEDDED ROCKSDB SYSTEM_ODD ROCKSDB_CODE ERROR_MESSAGE
        PATH LITERAL JOB_SUCCESS JOB_FAILED
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    pub(crate) fn put(&mut self, other: Self, on: bool) {
        if on {
            self.set(other);
        } else {
            self.clear(other);
        }
    }
}
