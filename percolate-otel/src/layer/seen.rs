//! Which fields a span was given, as bit masks over the fields of its call site.

/// Which fields were given, when, and with which types. Bit `i` stands for field `i` of the call
/// site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Given when the span was created.
    pub(crate) start: u64,
    /// Given afterwards.
    pub(crate) late: u64,
    pub(crate) ints: u64,
    pub(crate) unsigned: u64,
    pub(crate) doubles: u64,
    pub(crate) booleans: u64,
    pub(crate) strings: u64,
    pub(crate) errors: u64,
    /// Values that their definitions do not list.
    pub(crate) undefined: u64,
}

impl Seen {
    pub(crate) fn given(&self) -> u64 {
        self.start | self.late
    }

    /// Removes the type of a field, because the field is given again.
    pub(crate) fn clear_type(&mut self, bit: u64) {
        for types in [
            &mut self.ints,
            &mut self.unsigned,
            &mut self.doubles,
            &mut self.booleans,
            &mut self.strings,
            &mut self.errors,
        ] {
            *types &= !bit;
        }
    }

    /// The type a field was given with.
    pub(crate) fn type_of(&self, index: usize) -> &'static str {
        let bit = 1 << index;
        match () {
            () if self.unsigned & bit != 0 => "u64",
            () if self.ints & bit != 0 => "int",
            () if self.doubles & bit != 0 => "double",
            () if self.booleans & bit != 0 => "boolean",
            () if self.errors & bit != 0 => "error",
            () => "string",
        }
    }
}
