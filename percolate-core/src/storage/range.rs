//! [`ScanRange`]: the keys of a scan.

/// A key and its value.
pub type Entry = (Box<[u8]>, Box<[u8]>);

/// The keys that a scan visits, and its direction.
///
/// ```
/// use percolate_core::storage::ScanRange;
///
/// let articles = ScanRange::prefix("article:");
/// let newest_of_2025 = ScanRange::all().from("2025-01").before("2026-01").reverse();
/// let next_page = ScanRange::prefix("article:").after("article:0099");
/// # let _ = (articles, newest_of_2025, next_page);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct ScanRange {
    /// The first key of the range.
    lower: Option<Vec<u8>>,
    /// The first key after the range.
    upper: Option<Vec<u8>>,
    reverse: bool,
}

impl ScanRange {
    /// Creates the range of all keys.
    pub fn all() -> Self {
        Self::default()
    }

    /// Creates the range of the keys with the prefix `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        Self {
            lower: Some(prefix.to_vec()),
            upper: first_key_after_prefix(prefix),
            reverse: false,
        }
    }

    /// Excludes the keys before `key`.
    pub fn from(self, key: impl AsRef<[u8]>) -> Self {
        self.narrow_lower(key.as_ref().to_vec())
    }

    /// Excludes the keys up to and including `key`, to continue after a page that ended with `key`.
    pub fn after(self, key: impl AsRef<[u8]>) -> Self {
        self.narrow_lower(successor(key.as_ref()))
    }

    /// Excludes the keys from `key` on.
    pub fn before(self, key: impl AsRef<[u8]>) -> Self {
        self.narrow_upper(key.as_ref().to_vec())
    }

    /// Excludes the keys after `key`.
    pub fn through(self, key: impl AsRef<[u8]>) -> Self {
        self.narrow_upper(successor(key.as_ref()))
    }

    /// Excludes the keys up to and including those with the prefix `prefix`.
    pub fn after_prefix(self, prefix: impl AsRef<[u8]>) -> Self {
        match first_key_after_prefix(prefix.as_ref()) {
            Some(lower) => self.narrow_lower(lower),
            None => self.before([]),
        }
    }

    /// Excludes the keys after those with the prefix `prefix`.
    pub fn through_prefix(self, prefix: impl AsRef<[u8]>) -> Self {
        match first_key_after_prefix(prefix.as_ref()) {
            Some(upper) => self.narrow_upper(upper),
            None => self,
        }
    }

    fn narrow_lower(mut self, lower: Vec<u8>) -> Self {
        if self.lower.as_ref().is_none_or(|old| *old < lower) {
            self.lower = Some(lower);
        }
        self
    }

    fn narrow_upper(mut self, upper: Vec<u8>) -> Self {
        if self.upper.as_ref().is_none_or(|old| *old > upper) {
            self.upper = Some(upper);
        }
        self
    }

    /// Reverses the direction: the last key comes first.
    pub fn reverse(mut self) -> Self {
        self.reverse = !self.reverse;
        self
    }

    /// Returns whether the range can contain no key.
    pub(super) fn is_empty(&self) -> bool {
        matches!((&self.lower, &self.upper), (Some(lower), Some(upper)) if lower >= upper)
    }

    /// Returns whether the last key comes first.
    pub(super) fn is_reverse(&self) -> bool {
        self.reverse
    }

    /// Returns the first key of the range, and the first key after it.
    pub(super) fn into_bounds(self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (self.lower, self.upper)
    }
}

/// Returns the smallest key that is greater than `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// Returns the smallest key that is greater than every key with the prefix `prefix`, `None` if
/// there is none.
pub(super) fn first_key_after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefix_of_highest_bytes_has_no_upper_bound() {
        assert_eq!(first_key_after_prefix(&[0xff, 0xff]), None);
        assert_eq!(first_key_after_prefix(&[]), None);
        assert_eq!(first_key_after_prefix(&[1, 0xff]), Some(vec![2]));
    }

    proptest! {
        #[test]
        fn prefix_bounds_hold_exactly_the_keys_with_that_prefix(prefix: Vec<u8>, key: Vec<u8>) {
            let range = ScanRange::prefix(&prefix);
            let above = range.lower.as_ref().is_none_or(|lower| &key >= lower);
            let below = range.upper.as_ref().is_none_or(|upper| &key < upper);
            prop_assert_eq!(above && below, key.starts_with(&prefix));
        }
    }
}
